"""What the voice can be told by ``EVA_TTS_…``."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import Field, field_validator

from services.tts.encode import CHUNK_MS
from services.tts.engine import Prosody
from services.tts.moods import read_moods
from shared.settings import CommonSettings


class TtsSettings(CommonSettings):
    """Settings of ``python -m services.tts``."""

    tts_device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`cuda`, `cuda:1`, `cpu` or `auto`; `cuda` means CUDA or refuse to start.",
    )
    tts_engines: str = Field(
        "piper,espeak",
        pattern=r"^(piper|espeak)(,(piper|espeak))*$",
        description="Engines in the order of their use.",
    )
    tts_voice: str = Field("", description="Voice used where none is asked for, `en_US-lessac-medium`.")
    tts_slots: int = Field(
        0,
        ge=0,
        le=64,
        description="Segments made at the same time; 0: as many as can be made in real time, measured.",
    )
    tts_threads: int = Field(
        0, ge=0, le=256, description="Threads of one synthesis; 0: up to four, as cores are."
    )
    tts_chunk_ms: int = Field(CHUNK_MS, ge=40, le=100, description="Length of an audio chunk, milliseconds.")
    tts_warm_up_s: float = Field(
        30.0, gt=0, description="How long a voice may take for each of the lines that prove it at start."
    )
    tts_gpu_memory_mb: int = Field(
        2048, ge=64, description="Memory that one model may take on a GPU, MiB; ears and voice share it."
    )
    tts_moods: str = Field(
        "",
        description='How moods are said, as JSON, `{"joy": {"length": 0.9, "pitch": 1}}`: factors of length, '
        "noise and noise_w, pitch in semitones, gain_db; what is not named stays as it is.",
    )
    tts_cache_mb: float = Field(
        16.0, ge=0, le=4096, description="Kept sound of short phrases that come again and again, MB; 0: none."
    )

    @field_validator("tts_moods")
    @classmethod
    def _are_moods(cls, text: str) -> str:
        read_moods(text)
        return text

    @property
    def moods(self) -> Mapping[str, Prosody]:
        """How moods are said."""
        return read_moods(self.tts_moods)

    @property
    def threads(self) -> int:
        """Threads of one synthesis, at least 1."""
        return self.tts_threads or min(4, os.cpu_count() or 1)
