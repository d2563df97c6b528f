"""What goes into the turn machine and what comes out of it. Pure data.

Messages of the bus (``TextDelta``, ``AudioChunk``, ``Working``…) go in as they are; the inputs here are
what clients and the clock add. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from services.gateway.chat_protocol import EngineReport, ServerEvent, Timeline
from shared.messages import (
    AudioChunk,
    Failed,
    MindDone,
    SegmentDone,
    SpeechStarted,
    Stage,
    Synthesize,
    TextDelta,
    Working,
)

InterruptReason = Literal["speech", "message", "client", "closed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnPolicy:
    """How long what may take, seconds."""

    turn_s: float = 30.0
    """A whole turn."""
    take_up_s: float = 5.0
    """From the publishing of work until a worker takes it up; longer than the broker's redelivery."""
    beat_lost_s: float = 2.0
    """Silence of a worker at work (it beats every 0.5 s) after which its work is published again."""
    attempts: int = 3
    """How often an answer is begun, and a segment made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A user turn, typed or transcribed."""

    text: str
    wants_audio: bool = True
    language: str = ""
    voice: str = ""
    is_canary: bool = False
    is_spoken: bool = False
    spoke_until: float | None = None
    """When the last speech reached the gateway; None: typed."""
    endpoint_ms: float = 0.0
    ears: EngineReport | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Say:
    """Speak a given text; the mind is not asked and nothing is remembered."""

    text: str
    language: str = ""
    voice: str = ""
    speed: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class HeardNothing:
    """The ears took something for speech, and it was none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """Stop the answer in flight, if there is one."""

    reason: InterruptReason
    played_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayedTo:
    """The client's own account of its playback."""

    turn: int
    ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Undelivered:
    """Work could not be handed to the broker; nobody will do it."""

    stage: Stage
    turn: int
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """Time has passed."""


Input = (
    Ask | Say | HeardNothing | Halt | PlayedTo | Undelivered | Tick
    | SpeechStarted | TextDelta | MindDone | Synthesize | AudioChunk | SegmentDone | Working | Failed
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Think:
    """Publish work for the mind."""

    turn: int
    attempt: int
    ask: Ask
    remaining_ms: int
    spoken: str = ""
    first_segment: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Speak:
    """Publish a segment for the voice: one of our own, or one to be made again."""

    turn: int
    attempt: int
    segment: int
    take: int
    text: str
    remaining_ms: int
    language: str
    voice: str
    speed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelWork:
    """Tell all workers to drop what they do for this turn and those before it."""

    turn: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Emit:
    """Send an event to the client."""

    event: ServerEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class EmitAudio:
    """Send sound to the client."""

    turn: int
    chunk: AudioChunk


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseAudio:
    """All sound of the turn has been emitted: the container's end may follow."""

    turn: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DropAudio:
    """Forget sound of the turn that waits to be sent."""

    turn: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Remember:
    """Put an exchange into the conversation's memory; a second one of the same turn replaces the first."""

    turn: int
    user: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnReport:
    """How a turn ended, for metrics and health; without a word of what was said."""

    outcome: Literal["completed", "interrupted", "failed"]
    code: str
    is_spoken: bool
    is_canary: bool
    wanted_audio: bool
    has_audio: bool
    timeline: Timeline
    engines: dict[str, EngineReport] = field(default_factory=dict)


Action = (
    Think | Speak | CancelWork | Emit | EmitAudio | CloseAudio | DropAudio | Remember | TurnReport
)  # fmt: skip
