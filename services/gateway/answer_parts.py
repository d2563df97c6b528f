"""What an answer in flight is made of. Pure data; times are seconds of one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from shared.messages import SegmentDone


class Due(Enum):
    """Whose patience runs out next."""

    TURN = auto()
    MIND_UNTAKEN = auto()
    MIND_STALLED = auto()
    VOICE_UNTAKEN = auto()
    VOICE_STALLED = auto()
    TOOL_SLOW = auto()
    TOOL_LOST = auto()
    MIND_SLOW = auto()


@dataclass(slots=True)
class Segment:
    """A speakable piece of the answer."""

    text: str
    attempt: int
    published_at: float
    language: str
    voice: str
    speed: float
    take: int = 1
    mood: str = ""
    beat_at: float | None = None
    """Last sign of life of the worker that makes it; None: not taken up yet."""
    done: SegmentDone | None = None


@dataclass(slots=True)
class Marks:
    """Moments of a turn, seconds; None: has not happened."""

    asked_at: float
    text_at: float | None = None
    segment_at: float | None = None
    chunk_at: float | None = None
    audible_at: float | None = None
    """The answer's own sound."""
    sound_at: float | None = None
    """Any sound, a filler's too."""
