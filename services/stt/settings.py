"""What the ears can be told: ``EVA_STT_…``."""

from __future__ import annotations

from pydantic import Field

from shared.settings import CommonSettings


class SttSettings(CommonSettings):
    """Settings of the speech recognition service."""

    stt_model: str = Field(
        "auto",
        description="Whisper model: `auto`, a name below <data_dir>/models/stt, a folder, or `sphinx` "
        "(offline, English only).",
    )
    stt_device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`cuda`, `cuda:1`, `cpu` or `auto`. `cuda` without CUDA refuses to start.",
    )
    stt_compute_type: str = Field(
        "auto", description="CTranslate2 compute type; `auto`: float16 on CUDA, int8 on the CPU."
    )
    stt_threads: int = Field(0, ge=0, le=256, description="CPU threads of one transcription; 0: up to 4.")
    stt_slots: int = Field(
        0, ge=0, le=1024, description="Sessions heard at once; 0: 8 on the CPU, 32 on CUDA."
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
