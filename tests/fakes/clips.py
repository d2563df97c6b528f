"""Speech that is ready: fillers and an apology of tenths of a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.gateway.clips import Clip
from shared.messages import AudioChunk, SegmentDone

RATE_HZ = 16000
CHUNK_SAMPLES = 1600
TEXTS = ("Hmm.", "Well.", "Let me see.")
SORRY = "Sorry about that."


def clip(text: str, *, chunks: int = 5, level: float = 0.1) -> Clip:
    """A clip of so many tenths of a second."""
    sound = tuple(
        AudioChunk(
            turn=1, attempt=1, segment=0, take=1, seq=seq, start=seq * CHUNK_SAMPLES, samples=CHUNK_SAMPLES,
            rate_hz=RATE_HZ, codec="pcm", level=level, data=b"\1\0" * CHUNK_SAMPLES,
        )
        for seq in range(chunks)
    )  # fmt: skip
    done = SegmentDone(
        turn=1, attempt=1, segment=0, take=1, chunks=chunks, samples=chunks * CHUNK_SAMPLES, rate_hz=RATE_HZ,
        engine="tone", device="cpu",
    )  # fmt: skip
    return Clip(text, sound, done)


@dataclass
class Ready:
    """``Clips`` that notes what it was asked for."""

    texts: Sequence[str] = TEXTS
    sorry: str = SORRY
    level: float = 0.1
    asked: list[tuple[str, str]] = field(default_factory=list)

    def fillers(self, language: str, voice: str) -> Sequence[Clip]:
        self.asked.append((language, voice))
        return [clip(text, level=self.level) for text in self.texts]

    def apology(self, language: str, voice: str) -> Clip | None:
        self.asked.append((language, voice))
        return clip(self.sorry) if self.sorry else None
