"""The responses of one Realtime session: asked for, in flight, on their way out. Pure.

A response counts as active until its ``response.done`` has *left*: its sound leaves at the pace of its
playing, so what the client sees is later than what the turn has come to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from services.gateway.chat_protocol import (
    AudioEvent,
    ErrorEvent,
    Interrupted,
    SegmentEvent,
    ServerEvent,
    Token,
    ToolCallEvent,
    TurnDone,
    TurnStarted,
    WordsEvent,
)
from services.gateway.realtime.actions import Actions, DropSound, Relay, Stop, Tell
from services.gateway.realtime.endings import Cut, Ending, Terminal, ending_of
from services.gateway.realtime.errors import RealtimeError
from services.gateway.realtime.events import RateLimit, RealtimeEvent
from services.gateway.realtime.message import pieces
from services.gateway.realtime.responses import Responding
from services.gateway.realtime.session_types import SessionConfig
from shared.messages import ChatMessage

FORGIVEN_S = 5.0
"""A cancel that comes so soon after the end of a response is no mistake: the two have crossed."""
MOST_BESIDE = 4

Limits = Callable[[], tuple[RateLimit, ...]]


@dataclass(slots=True)
class Answer:
    """One response and the turn that makes it."""

    responding: Responding
    settings: SessionConfig
    """As this response has them."""
    messages: tuple[ChatMessage, ...] | None = None
    """In place of the conversation."""
    is_beside: bool = False
    """It runs in a session of its own."""
    is_spoken: bool = False
    """Its question was."""
    turn_id: str = ""
    ending: Terminal | None = None
    """The turn is over; what is left is on its way out."""
    cut: Cut | None = None
    sounds_from: float | None = None
    """When its first sound left."""

    @property
    def id(self) -> str:
        """Of the response."""
        return self.responding.wanted.id

    @property
    def plays_until(self) -> float:
        """When the client will have played what has left, if it plays it as it comes."""
        return 0.0 if self.sounds_from is None else self.sounds_from + self.responding.audio_ms / 1000


@dataclass(slots=True)
class Answers:
    """Those that are not over. ``limits``: what the client may still use."""

    limits: Limits
    deferred: list[Answer] = field(default_factory=list)
    """They wait for transcripts."""
    _expected: list[Answer] = field(default_factory=list)
    """Beside the conversation; their sessions are being opened."""
    _running: dict[str, Answer] = field(default_factory=dict)
    """By the turn's id."""
    _over_at: float | None = None
    _over: deque[str] = field(default_factory=lambda: deque(maxlen=64))

    def __iter__(self) -> Iterator[Answer]:
        return iter([*self._running.values(), *self.deferred, *self._expected])

    @property
    def current(self) -> Answer | None:
        """The newest that belongs to the conversation."""
        return next((answer for answer in reversed(list(self)) if not answer.is_beside), None)

    def of_turn(self, event: ServerEvent) -> Answer | None:
        """Returns the one whose turn an event is about."""
        return self._running.get(getattr(event, "turn_id", None) or "")

    def admit(self, *, is_beside: bool) -> None:
        """Raises ``RealtimeError`` if another one cannot be begun now."""
        current = self.current
        if not is_beside and current is not None:
            raise RealtimeError(
                f"Conversation already has an active response in progress: {current.id}. "
                "Wait until the response is finished before creating a new one.",
                code="conversation_already_has_active_response",
            )
        if is_beside and sum(answer.is_beside for answer in self) >= MOST_BESIDE:
            message = f"{MOST_BESIDE} responses out of band are in progress, as many as there may be."
            raise RealtimeError(message, code="too_many_responses")

    # ------------------------------------------------------------ what its turn tells

    def expect(self, answer: Answer) -> None:
        """Its turn will begin in a session of its own."""
        self._expected.append(answer)

    def begin(self, answer: Answer, event: TurnStarted) -> Actions:
        """Its turn has begun."""
        answer.turn_id, answer.is_spoken = event.turn_id, event.is_spoken
        self._forget(answer)
        self._running[event.turn_id] = answer
        return [Relay(event)]

    def relay(self, answer: Answer, event: ServerEvent, sound: bytes) -> Actions:
        """Takes what its turn tells."""
        answer.responding.expect(event)
        match event:
            case TurnDone() | Interrupted() | ErrorEvent():
                answer.ending = event
                if not isinstance(event, TurnDone):
                    answer.responding.freeze()
                return [Relay(event)]
            case AudioEvent(turn_id=turn_id):
                return [
                    Relay(piece, part, sound_of=turn_id, audio_ms=piece.duration_ms)
                    for piece, part in pieces(event, sound)
                ]
            case SegmentEvent(turn_id=turn_id) | WordsEvent(turn_id=turn_id):
                return [Relay(event, sound_of=turn_id)]
            case ToolCallEvent():
                return [Relay(event, is_beside_sound=True)]
            case Token():
                return [Relay(event)]
            case _:
                return []

    def leaves(
        self, event: ServerEvent, sound: bytes, now: float
    ) -> tuple[Answer | None, list[RealtimeEvent]]:
        """Returns what the client is told as this leaves; and the answer, if that is its end."""
        answer = self.of_turn(event)
        if answer is None:
            return None, []
        match event:
            case TurnStarted():
                return None, answer.responding.begin()
            case TurnDone() | Interrupted() | ErrorEvent():
                ending = ending_of(event, answer.cut)
                del self._running[answer.turn_id]
                self._note_over(answer, now)
                return answer, answer.responding.end(ending, self.limits())
            case AudioEvent() if answer.sounds_from is None:
                answer.sounds_from = now
        return None, answer.responding.take(event, sound)

    # ------------------------------------------------------------ before their time

    def cancel(self, response_id: str | None, now: float) -> Actions:
        """Cancels the one of this id, or the conversation's.

        Raises:
            RealtimeError: there is none, and there was none a moment ago.
        """
        found = self.current
        if response_id is not None:
            found = next((answer for answer in self if answer.id == response_id), None)
        if found is None:
            is_late = self._over_at is not None and now - self._over_at <= FORGIVEN_S
            if response_id in self._over or (response_id is None and is_late):
                return []
            message = "Cancellation failed: no active response found"
            raise RealtimeError(message, code="response_cancel_not_active")
        if found in self._expected:
            found.cut = "client_cancelled"
            return [Stop(found.id)]
        if not found.turn_id:
            return self.give_up(found, Ending(status="cancelled", reason="client_cancelled"), now)
        found.cut = found.cut or "client_cancelled"
        return [Stop(found.id if found.is_beside else None), DropSound(found.turn_id)]

    def truncated(self, item_id: str, played_ms: int) -> Actions:
        """The client has thrown away what it had of an item: nothing more of it is wanted.

        A stock client that interrupts by itself sends just this, and waits for the end of the response: what
        is sent no faster than it is played would end much later than what OpenAI sends at once.
        """
        found = next((each for each in self if each.responding.message_id == item_id and each.turn_id), None)
        if found is None or found.cut is not None or found.is_beside:
            return []
        found.cut = "client_cancelled"
        return [Stop(played_ms=played_ms), DropSound(found.turn_id)]

    def give_up(self, answer: Answer, ending: Ending, now: float) -> Actions:
        """Ends one whose turn has not begun, or will not tell its end any more."""
        self._forget(answer)
        begun = [] if self._running.pop(answer.turn_id, None) else answer.responding.begin()
        self._note_over(answer, now)
        return [Tell(event) for event in [*begun, *answer.responding.end(ending, self.limits())]]

    def dropped(self, turn_id: str) -> bool:
        """Sound of this turn was thrown away; returns whether it was not the client that wanted it."""
        answer = self._running.get(turn_id)
        if answer is None:  # all of it has left, and the person interrupts what the client still plays
            return True
        if answer.cut is not None:
            return False
        if answer.ending is not None:
            answer.cut = "turn_detected"
        return True

    def _forget(self, answer: Answer) -> None:
        for waiting in (self.deferred, self._expected):
            if answer in waiting:
                waiting.remove(answer)

    def _note_over(self, answer: Answer, now: float) -> None:
        self._over_at = now
        self._over.append(answer.id)


def failing(code: str, message: str) -> Ending:
    """Returns the end of a response that EVA could not make."""
    return Ending(status="failed", code=code, message=message)
