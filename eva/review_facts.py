"""What a review has seen of a running EVA, before anybody judges it. Pure data; times are milliseconds."""

from __future__ import annotations

from typing import Literal

import msgspec

from eva.wav import AUDIBLE_DBFS
from services.gateway.chat_protocol import EngineReport, Timeline
from services.gateway.health import Health

Kind = Literal["typed", "spoken"]


class TurnSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One real turn. Its words are the review's own, never a person's."""

    kind: Kind
    said: str
    heard: str = ""
    """What EVA understood."""
    text: str = ""
    outcome: str = "failed"
    """``done``, ``interrupted``, ``failed``, or ``open`` where no end came."""
    error: str = ""
    loudest_dbfs: float | None = None
    """Of the loudest 20 ms of the answer, fillers left out; None: no sound came."""
    audio_s: float = 0.0
    response_ms: float | None = None
    """Measured by the review's own clock: the end of what was said → first audible sound of the answer."""
    timeline: Timeline = Timeline()
    engines: dict[str, EngineReport] = {}
    back: str | None = None
    """The answer's sound as the same EVA's ears read it; None: it was not asked."""

    @property
    def is_mute(self) -> bool:
        """Whether nobody would have heard an answer."""
        return self.loudest_dbfs is None or self.loudest_dbfs <= AUDIBLE_DBFS


class CardSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU while the turns ran: the most of all samples; None: it was not told."""

    stage: str
    device: str
    utilisation: float | None = None
    """0..1."""
    memory_bytes: float | None = None
    process_bytes: float | None = None
    samples: int = 0


class InterruptionSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody spoke into a long answer."""

    stopped_ms: float | None = None
    """First voiced frame sent → playback was held or dropped for good; None: it went on."""
    ended_ms: float | None = None
    """First voiced frame sent → the rest of the answer was dropped; None: it never was."""
    is_kept_told: bool = False
    """Whether EVA said what she remembers as heard: she does where the answer was still being made."""
    kept: str = ""
    """That."""
    text: str = ""
    error: str = ""


class MemorySeen(msgspec.Struct, frozen=True, kw_only=True):
    """A name was told and asked back, on the same socket and on a new one."""

    is_known: bool = False
    is_resumed: bool = False
    """EVA said so, on the new socket."""
    is_known_after: bool = False
    error: str = ""


class BreakSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A worker was killed in mid-turn."""

    stage: str
    outcome: str = "open"
    """Of the turn in flight."""
    is_audible: bool = False
    back_s: float | None = None
    """From the kill until a whole turn was audible again; None: it was not in time."""
    error: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one review has seen."""

    before: Health
    after: Health
    is_ready: bool
    """What ``/readyz`` said behind the turns."""
    connects_ms: list[float] = []
    """Opening a conversation, up to ``ready``; only those that opened."""
    connects_failed: int = 0
    turns: list[TurnSeen] = []
    cards: list[CardSeen] = []
    has_metrics: bool = True
    interruption: InterruptionSeen = InterruptionSeen(error="not tried")
    memory: MemorySeen = MemorySeen(error="not tried")
    breaks: list[BreakSeen] | None = None
    """None: breaking things was not allowed."""
