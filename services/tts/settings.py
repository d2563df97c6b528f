"""What the voice can be told by ``EVA_TTS_…``."""

from __future__ import annotations

import os

from pydantic import Field

from services.tts.encode import CHUNK_MS
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
    tts_slots: int = Field(2, ge=1, le=64, description="Segments made at the same time.")
    tts_threads: int = Field(
        0, ge=0, le=256, description="Threads of one synthesis; 0: up to four, as cores are."
    )
    tts_chunk_ms: int = Field(CHUNK_MS, ge=40, le=100, description="Length of an audio chunk, milliseconds.")
    tts_warm_up_s: float = Field(30.0, gt=0, description="How long a voice may take for its first sentence.")

    @property
    def threads(self) -> int:
        """Threads of one synthesis, at least 1."""
        return self.tts_threads or min(4, os.cpu_count() or 1)
