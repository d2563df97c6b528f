"""Engines of the ears whose answers are known, and a detector for which loud is speech."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from services.stt.engine import RATE_HZ, EngineInfo, Pcm, Transcript
from shared.errors import EngineFailed


class LoudnessDetector:
    """Speech is whatever is loud."""

    def probability(self, frame: Pcm) -> float:
        return float(np.abs(frame).max() > 0.1)


def pitch_hz(pcm: Pcm) -> int:
    """Returns the strongest frequency, to 10 Hz."""
    spectrum = np.abs(np.fft.rfft(pcm))
    return round(float(np.argmax(spectrum)) * RATE_HZ / len(pcm) / 10) * 10


class PitchTranscriber:
    """Hears the pitch of a tone and how long it lasted: ``440 Hz 1.0 s``."""

    def __init__(
        self,
        name: str = "pitch",
        *,
        languages: tuple[str, ...] = (),
        is_degraded: bool = False,
        parallel: int = 2,
        device: str = "cpu",
    ) -> None:
        self.info = EngineInfo(
            name=name,
            model="ideal",
            device=device,
            model_sha256="cafe",
            languages=languages,
            is_degraded=is_degraded,
            parallel=parallel,
        )
        self.calls: list[tuple[float, str | None, str]] = []
        """Seconds of audio, language, likely language."""
        self.is_closed = False
        self.failures = 0
        """How many of the next calls fail."""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.detects = ("en", 0.9)
        self.on_call: Callable[[], None] = lambda: None

    def close(self) -> None:
        self.is_closed = True

    def transcribe(self, pcm: Pcm, language: str | None, *, likely: str = "") -> Transcript:
        self.calls.append((len(pcm) / RATE_HZ, language, likely))
        self.on_call()
        assert self.may_answer.wait(10)
        if self.failures:
            self.failures -= 1
            raise EngineFailed(self.info.name, "out of memory")
        blocks = pcm[: len(pcm) // 80 * 80].reshape(-1, 80)
        loud_s = float(np.count_nonzero(np.abs(blocks).max(axis=1) > 0.05)) * 80 / RATE_HZ
        detected, probability = (language, 1.0) if language else self.detects
        text = f"{pitch_hz(pcm)} Hz {loud_s:.1f} s" if loud_s > 0.02 else ""
        return Transcript(text=text, language=detected, language_probability=probability)
