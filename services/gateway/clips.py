"""Speech that is ready before it is needed: what fillers and apologies sound like. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from shared.messages import AudioChunk, SegmentDone

FILLER_SEGMENT = -1
"""The number that the sound of fillers goes out with."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One phrase as the voice has made it, in one format."""

    text: str
    chunks: tuple[AudioChunk, ...]
    done: SegmentDone
    """Who made it."""

    @property
    def ms(self) -> float:
        """Its duration."""
        return sum(1000 * chunk.samples / chunk.rate_hz for chunk in self.chunks)

    def chunks_of(self, turn: int, segment: int) -> list[AudioChunk]:
        """Returns its sound as that of a segment."""
        return [msgspec.structs.replace(chunk, turn=turn, segment=segment) for chunk in self.chunks]


class Clips(Protocol):
    """What is ready for one session, in its format; asked for in vain, it is made for the next time."""

    def fillers(self, language: str, voice: str) -> Sequence[Clip]:
        """Returns the fillers that can be played now."""

    def apology(self, language: str, voice: str) -> Clip | None:
        """Returns what is said when no answer could be made."""


class NoClips:
    """Nothing is ready."""

    def fillers(self, language: str, voice: str) -> Sequence[Clip]:  # noqa: ARG002 - as all clips
        """Returns nothing."""
        return ()

    def apology(self, language: str, voice: str) -> Clip | None:  # noqa: ARG002 - as all clips
        """Returns nothing."""
        return None


def choose(clips: Sequence[Clip], last: str) -> Clip | None:
    """Returns the next filler behind the one that was played last, in turn; never the same one again."""
    texts = [clip.text for clip in clips]
    begin = texts.index(last) + 1 if last in texts else 0
    for clip in [*clips[begin:], *clips[:begin]]:
        if clip.text != last:
            return clip
    return None
