"""A dialect with a client on one side and EVA on the other, by hand, on a clock of its own."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from services.gateway.chat_protocol import (
    AudioEvent,
    FinalEvent,
    Interrupted,
    SegmentEvent,
    ServerEvent,
    SpeechStartedEvent,
    Start,
    TurnDone,
    TurnStarted,
    Usage,
)
from services.gateway.chat_protocol.base import Timeline
from services.gateway.realtime.actions import (
    Action,
    Actions,
    Configure,
    DropSound,
    Intend,
    Relay,
    Respond,
    RespondBeside,
    Settle,
    Tell,
)
from services.gateway.realtime.context import Context
from services.gateway.realtime.dialect import Dialect
from services.gateway.realtime.errors import RealtimeError
from services.gateway.realtime.events import ErrorEvent, RateLimit, RealtimeEvent, encode, parse
from services.gateway.realtime.items import Items
from services.gateway.realtime.names import Names
from services.gateway.realtime.session import initial
from tests.gateway.realtime.strict import judged

Event = dict[str, Any]
TIMELINE = Timeline()
LIMIT = RateLimit(name="tokens", limit=10, remaining=9, reset_seconds=1.0)


def session(**patch: Any) -> Event:
    """A ``session.update``."""
    return {"type": "session.update", "session": {"type": "realtime", **patch}}


def listening(turn_detection: Event | None, **more: Any) -> Event:
    """A ``session.update`` of how EVA listens."""
    return session(
        audio={"input": {"turn_detection": turn_detection, "transcription": {"model": "w"}, **more}}
    )


def typed(text: str, **more: Any) -> Event:
    """A ``conversation.item.create`` of what was typed."""
    content = [{"type": "input_text", "text": text}]
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": content, **more},
    }


def sound(turn_id: str, ms: float = 100.0, segment: int = 0) -> tuple[AudioEvent, bytes]:
    """A chunk of EVA's voice."""
    payload = bytes(int(ms * 48))
    event = AudioEvent(
        turn_id=turn_id, segment=segment, seq=0, format="pcm", rate_hz=24000, duration_ms=ms,
        size_bytes=len(payload),
    )  # fmt: skip
    return event, payload


def done(turn_id: str, text: str = "", **more: Any) -> TurnDone:
    """A turn's good end."""
    return TurnDone(
        turn_id=turn_id, text=text, has_audio=True, timeline=TIMELINE, engines={},
        usage=Usage(input_tokens=5, cached_tokens=2, output_tokens=3), **more,
    )  # fmt: skip


def final(text: str, turn_id: str | None = None, id: int = 1) -> FinalEvent:  # noqa: A002 - the event's field
    """The end of an utterance."""
    return FinalEvent(text=text, language="en", turn_id=turn_id, id=id, start_ms=400, end_ms=1400)


@dataclass
class Desk:
    """Everything that a socket would do, by hand."""

    now: float = 100.0
    kind: str = "realtime"
    told: list[Event] = field(default_factory=list)
    """What the client got, in order; judged strictly."""
    asked: Actions = field(default_factory=list)
    """What was asked of EVA's session."""
    queue: list[Relay] = field(default_factory=list)
    """What waits for its sound to be played."""
    turns: int = 0
    has_ears: bool = True

    def __post_init__(self) -> None:
        config = initial("sess_1", model="m", expires_at=1, kind=self.kind)  # type: ignore[arg-type]
        self.items = Items()
        self.dialect = Dialect(config, Context(self.items), Names(), lambda: (LIMIT,))
        self._is_settling = False
        self.perform(self.dialect.open())

    # ------------------------------------------------------------ the client

    def says(self, event: Event) -> list[Event]:
        """The client sends an event; returns what it is told at once."""
        before = len(self.told)
        try:
            self.perform(self.dialect.take(parse(json.dumps(event)), self.now))
        except RealtimeError as error:
            self._tell(ErrorEvent(error=error.of(event.get("event_id"))))
        self.settle()
        return self.told[before:]

    def creates(self, **response: Any) -> list[Event]:
        """The client asks for a response."""
        return self.says({"type": "response.create", "response": response})

    def appends(self, ms: int = 200) -> None:
        """The client sends sound."""
        self.says({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(48 * ms)).decode()})

    # ------------------------------------------------------------ EVA

    def eva(self, event: ServerEvent, payload: bytes = b"", *, beside: str | None = None) -> list[Event]:
        """EVA tells something; returns what the client is told at once."""
        before = len(self.told)
        self.perform(self.dialect.tell(event, payload, self.now, beside=beside))
        return self.told[before:]

    def starts(self, *, is_spoken: bool = False, beside: str | None = None) -> str:
        """A turn begins; returns its id."""
        self.turns += 1
        turn_id = f"sid-{self.turns}"
        self.eva(TurnStarted(turn_id=turn_id, is_spoken=is_spoken), beside=beside)
        return turn_id

    def speaks(self, turn_id: str, *texts: str, ms: float = 100.0) -> None:
        """EVA says something in a turn."""
        for number, text in enumerate(texts):
            self.eva(SegmentEvent(turn_id=turn_id, segment=number, text=text))
            self.eva(*sound(turn_id, ms, number))

    def drops(self, turn_id: str) -> None:
        """EVA's session forgets the sound that waits."""
        self.perform(self.dialect.drop(turn_id))

    # ------------------------------------------------------------ the socket

    def settle(self) -> None:
        """The moment is over."""
        while self._is_settling:
            self._is_settling = False
            self.perform(self.dialect.settle())

    def leave(self, count: int | None = None) -> list[Event]:
        """So much of what waits leaves; returns what the client is told by it."""
        before = len(self.told)
        count = len(self.queue) if count is None else count
        leaving, self.queue = self.queue[:count], self.queue[count:]
        for relay in leaving:
            for event in self.dialect.leaves(relay.event, relay.sound, self.now):
                self._tell(event)
        return self.told[before:]

    def waits(self, seconds: float) -> list[Event]:
        """Time passes."""
        before = len(self.told)
        self.now += seconds
        if self.dialect.due_at is not None and self.dialect.due_at <= self.now:
            self.perform(self.dialect.tick(self.now))
            self.settle()
        return self.told[before:]

    def perform(self, actions: Actions) -> None:
        """Does what the dialect decides; a response that is asked for begins at once."""
        for action in actions:
            self._do(action)

    def of(self, kind: type[Any]) -> list[Any]:
        """What was asked of the session, of one kind."""
        return [action for action in self.asked if isinstance(action, kind)]

    @property
    def start(self) -> Start:
        """The session's settings as they were given last."""
        start: Start = self.of(Configure)[-1].start
        return start

    def types(self) -> list[str]:
        """The types of all that the client was told."""
        return [event["type"] for event in self.told]

    def _do(self, action: Action) -> None:
        match action:
            case Tell(event=event):
                self._tell(event)
            case Relay():
                self.queue.append(action)
            case DropSound(turn_id=turn_id):
                self.queue = [relay for relay in self.queue if relay.sound_of != turn_id]
            case Settle():
                self._is_settling = True
            case Respond() if self.has_ears:
                self.asked.append(action)
                self.starts()
            case Respond():
                self.asked.append(action)
                self.perform(self.dialect.unable("busy", "too many turns are waiting", self.now))
            case RespondBeside() | Intend() | Configure():
                self.asked.append(action)
            case _:
                self.asked.append(action)

    def _tell(self, event: RealtimeEvent) -> None:
        self.told.append(judged(encode(event)))


def codes(events: list[Event]) -> list[str]:
    """The codes of errors."""
    return [event["error"]["code"] for event in events if event["type"] == "error"]


def interrupted(turn_id: str, reason: str = "speech", heard: str = "") -> Interrupted:
    """A turn that was stopped."""
    return Interrupted(turn_id=turn_id, reason=reason, heard=heard, timeline=TIMELINE)  # type: ignore[arg-type]


def answering(desk: Desk, text: str = "One.", *, ms: float = 100.0) -> str:
    """A response of which something was said; returns its turn."""
    desk.says(typed("Hello."))
    desk.creates()
    turn_id = f"sid-{desk.turns}"
    desk.speaks(turn_id, text, ms=ms)
    return turn_id


def begins(desk: Desk, number: int = 1, at_ms: int = 400) -> list[Event]:
    """The person begins to speak."""
    return desk.eva(SpeechStartedEvent(at_ms=at_ms, id=number))
