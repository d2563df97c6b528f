"""Engines of the ears whose answers are known, and a detector for which loud is speech."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from services.stt.engine import FRAME, RATE_HZ, Clip, EngineInfo, Frames, Pcm, Transcript
from shared.errors import EngineFailed


class Loudness:
    """Speech is whatever is loud."""

    def open(self) -> Loudness:
        return self

    async def probabilities(self, frames: Frames) -> list[float]:
        return loud(frames)


def loud(frames: Frames) -> list[float]:
    assert frames.shape[1:] == (FRAME,)
    return [float(loudest > 0.1) for loudest in np.abs(frames).max(axis=1)]


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
        is_deaf: bool = False,
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
        self.is_closed, self.is_deaf = False, is_deaf
        self.failures = 0
        """How many of the next calls fail."""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.detects = ("en", 0.9)
        self.on_call: Callable[[], None] = lambda: None

    def close(self) -> None:
        self.is_closed = True

    def transcribe(self, clip: Clip) -> Transcript:
        pcm, language = clip.pcm, clip.language
        self.calls.append((len(pcm) / RATE_HZ, language, clip.likely))
        self.on_call()
        assert self.may_answer.wait(60)
        if self.failures:
            self.failures -= 1
            raise EngineFailed(self.info.name, "out of memory")
        blocks = pcm[: len(pcm) // 80 * 80].reshape(-1, 80)
        loud_s = float(np.count_nonzero(np.abs(blocks).max(axis=1) > 0.05)) * 80 / RATE_HZ
        detected, probability = (language, 1.0) if language else self.detects
        text = f"{pitch_hz(pcm)} Hz {loud_s:.1f} s" if loud_s > 0.02 and not self.is_deaf else ""
        return Transcript(text=text, language=detected, language_probability=probability)


class BatchingTranscriber(PitchTranscriber):
    """Takes several clips in one call; ``batch_failures`` of the next of these fail."""

    def __init__(self, name: str = "pitch", *, max_batch: int = 4, languages: tuple[str, ...] = ()) -> None:
        super().__init__(name, languages=languages)
        self.info = replace(self.info, max_batch=max_batch)
        self.batches: list[int] = []
        """Clips of each call."""
        self.batch_failures = 0
        self.is_measured = False

    def measure(self) -> None:
        self.is_measured = True

    def transcribe_batch(self, clips: Sequence[Clip]) -> list[Transcript]:
        self.batches.append(len(clips))
        if self.batch_failures:
            self.batch_failures -= 1
            raise EngineFailed(self.info.name, "out of memory for a batch")
        return [self.transcribe(clip) for clip in clips]


class FedTranscriber(PitchTranscriber):
    """Decodes while one speaks; has room for ``room`` utterances."""

    def __init__(self, name: str = "pitch", *, room: int = 1, languages: tuple[str, ...] = ()) -> None:
        super().__init__(name, languages=languages)
        self.room = room

    def begin(self, language: str | None, learnt: str = "") -> PitchDecoding | None:
        del learnt
        if self.failures:
            self.failures -= 1
            raise EngineFailed(self.info.name, "it did not start")
        if not self.room:
            return None
        self.room -= 1
        return PitchDecoding(self, language)


class PitchDecoding:
    """What was fed so far, heard as a whole."""

    learnt = ""

    def __init__(self, engine: FedTranscriber, language: str | None) -> None:
        self._engine, self._language = engine, language
        self._pcm = np.zeros(0, np.float32)
        self.is_dead = False

    def feed(self, pcm: Pcm) -> None:
        if self.is_dead:
            raise EngineFailed(self._engine.info.name, "it has died")
        self._pcm = np.concatenate([self._pcm, pcm])

    def draft(self) -> Transcript:
        if self.is_dead:
            raise EngineFailed(self._engine.info.name, "it has died")
        return self._engine.transcribe(Clip(pcm=self._pcm, language=self._language))

    def close(self) -> None:
        self._engine.room += 1
