"""The client's side of a session that outlives its connection: somebody, or nobody for a while. Pure.

While nobody is there no sound comes, for the turn machine holds it. Those events are kept that tell what was
said and how it ended; the rest stands in ``ready``, as it is when the client is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.gateway.chat_protocol import (
    ErrorEvent,
    FinalEvent,
    Interrupted,
    ServerEvent,
    SpeechStartedEvent,
    SpeechStoppedEvent,
    TurnDone,
    TurnStarted,
)
from services.gateway.loudspeaker import Emit, Sink

MOST_MISSED = 1000
Told = (
    FinalEvent | Interrupted | ErrorEvent | SpeechStartedEvent | SpeechStoppedEvent | TurnDone | TurnStarted
)
"""What a client is told that was not there when it happened."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """What had not left for a client."""

    events: Sequence[ServerEvent] = ()
    audio_ms: float = 0.0


@runtime_checkable
class Client(Sink, Protocol):
    """A sink that can be left: what it has not sent yet can be had back."""

    def leave(self, because: ErrorEvent | None) -> Unsent:
        """Takes nothing more, but says ``because`` if there is a reason; returns what it has not sent."""


class Wire:
    """The sink of such a session."""

    __slots__ = ("_missed", "client", "emit")

    def __init__(self, client: Client) -> None:
        self.client: Client | None = client
        self.emit: Emit = client.emit
        """Sends an event, or keeps it for whoever comes back."""
        self._missed: deque[ServerEvent] = deque(maxlen=MOST_MISSED)

    def _miss(self, event: ServerEvent, payload: bytes = b"") -> None:  # noqa: ARG002 - sound is not kept here
        if isinstance(event, Told):
            self._missed.append(event)

    def drop_audio(self, turn_id: str) -> None:
        """Forgets sound of this turn that was not sent yet."""
        if self.client is not None:
            self.client.drop_audio(turn_id)

    def leave(self, because: ErrorEvent | None = None) -> float:
        """Leaves the client; returns how much sound had not left for it, milliseconds."""
        client, self.client = self.client, None
        self.emit = self._miss
        if client is None:
            return 0.0
        unsent = client.leave(because)
        self._missed.extend(event for event in unsent.events if isinstance(event, Told))
        return unsent.audio_ms

    def join(self, client: Client) -> None:
        """Somebody is there again; ``tell_missed`` follows when it knows where it is."""
        self.client, self.emit = client, client.emit

    def tell_missed(self, goes_on: str | None) -> None:
        """Tells what was missed. ``goes_on``: a turn whose beginning and end are told anyhow."""
        missed, self._missed = list(self._missed), deque(maxlen=MOST_MISSED)
        for event in missed:
            is_told = isinstance(event, TurnDone | ErrorEvent | TurnStarted) and event.turn_id == goes_on
            if goes_on is None or not is_told:
                self.emit(event)
