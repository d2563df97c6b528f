"""What the ears can be told: ``EVA_STT_…``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.settings import CommonSettings


class SttSettings(CommonSettings):
    """Settings of the speech recognition service."""

    stt_model: str = Field(
        "auto",
        description="Whisper model: `auto`, `turbo`, `distil`, `small`, `base`, `tiny`, a name below "
        "<data_dir>/models/stt, a folder, or `sphinx` (offline, English only).",
    )
    stt_device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`cuda`, `cuda:1`, `cpu` or `auto`. `cuda` without CUDA refuses to start.",
    )
    stt_compute_type: str = Field(
        "auto",
        pattern=r"^(auto|int8|int8_float32|int8_float16|int8_bfloat16|int16|float16|bfloat16|float32)$",
        description="CTranslate2 compute type; `auto`: float16 on CUDA, int8 on the CPU, or what there is.",
    )
    stt_window: Literal["auto", "full", "short"] = Field(
        "auto",
        description="What a short turn is padded to: `full` 30 s as Whisper was trained, `short` 5 s and "
        "more (ten times as fast, less proven), `auto`: `short` on the CPU.",
    )
    stt_batch: str = Field(
        "auto",
        pattern=r"^(auto|[1-9]|[1-5]\d|6[0-4])$",
        description="Turns of several sessions in one call, 1..64 at most; `auto`: what pays, as measured.",
    )
    stt_threads: int = Field(0, ge=0, le=256, description="CPU threads of one transcription; 0: up to 4.")
    stt_slots: int = Field(
        0, ge=0, le=1024, description="Sessions heard at once; 0: by what the engine takes at warm-up."
    )
    stt_language: str = Field(
        "", description="Language of sessions that name none (ISO 639-1); empty: detected."
    )
    stt_idle_s: float = Field(
        60.0, gt=0, description="A session that sends no audio for so long loses its ears, seconds."
    )
    stt_warmup_s: float = Field(
        60.0, gt=0, description="How long an engine may take to load and to prove itself, seconds."
    )
