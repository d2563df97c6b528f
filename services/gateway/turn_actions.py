"""What comes out of the turn machine: what is to be done, in order. Pure data; times are seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.gateway.chat_protocol import EngineReport, OngoingTurn, ServerEvent, Timeline
from services.gateway.interruption import Verdict
from services.gateway.turn_inputs import Ask
from shared.messages import AudioChunk, ChatMessage, Pending, RouteReport

Outcome = Literal["completed", "interrupted", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Think:
    """Publish work for the mind."""

    turn: int
    attempt: int
    ask: Ask
    remaining_ms: int
    spoken: str = ""
    first_segment: int = 0
    rounds: tuple[ChatMessage, ...] = ()
    """Behind the question: what the model called in this turn, and the results."""
    offers_tools: bool = True
    """Whether the model may call functions of the client's."""
    is_speculative: bool = False
    """The person's turn is not known to be over: no function may be run."""
    first_ms: int = 0
    """Until the turn is given up if no segment is there; 0: no such bound."""


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
    mood: str


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
class Forget:
    """Take the exchange of this turn out of the memory again: its question comes back in a later one."""

    turn: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pend:
    """Store with the memory what is to be answered; the memory of the turn takes its place.

    When it was asked is not known here.
    """

    pending: Pending


@dataclass(frozen=True, kw_only=True, slots=True)
class GoesOn:
    """A turn goes on for a client that has come back: told first of all, its sound follows."""

    turn: OngoingTurn


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnReport:
    """How a turn ended, for metrics and health; without a word of what was said."""

    outcome: Outcome
    code: str
    is_spoken: bool
    is_canary: bool
    wanted_audio: bool
    has_audio: bool
    timeline: Timeline
    engines: dict[str, EngineReport] = field(default_factory=dict)
    route: RouteReport | None = None
    """Of the mind, where its answer was told to its end."""
    turn: int = 0
    """Its number in the session."""
    trace_id: str = ""
    """Of what was done for it, in all processes; the machine, which is pure, draws none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused:
    """The playback was held for somebody who speaks."""

    after_s: float
    """Since their first sound had reached the gateway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """It was decided whether somebody who speaks into EVA's turn interrupts her."""

    verdict: Verdict
    after_s: float
    """Since their first sound had reached the gateway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CutIn:
    """A turn was taken from a person who was not done: they went on at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speculated:
    """An answer that was begun before the end of the person's turn was used, or dropped."""

    is_used: bool


Note = Paused | Judged | CutIn | Speculated
"""What is counted about taking turns."""
Action = (
    Think | Speak | CancelWork | Emit | EmitAudio | CloseAudio | DropAudio
    | Remember | Forget | Pend | GoesOn | TurnReport | Note
)  # fmt: skip
Take = tuple[int, int, int, int]
"""Turn, attempt, segment and take of sound."""


def playing(event: object, actions: Sequence[Action]) -> Take | None:
    """Returns whose sound an input has had played, if it had no other effect; None: it had."""
    if not isinstance(event, AudioChunk) or len(actions) != 1 or not isinstance(actions[0], EmitAudio):
        return None
    return event.turn, event.attempt, event.segment, event.take
