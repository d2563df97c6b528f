"""The client's end of a session that charges for what it is given."""

from __future__ import annotations

import contextlib

from services.gateway.chat_protocol import AudioEvent, ErrorEvent, ServerEvent
from services.gateway.guests import Guest, LimitReached
from services.gateway.loudspeaker import Emit
from services.gateway.outbox import Outbox
from services.gateway.parked import Unsent


class Till:
    """A sink that charges a guest for what is said and thought; who has spent too much hears this one out."""

    __slots__ = ("_guest", "_outbox", "emit", "is_left")

    def __init__(self, outbox: Outbox, guest: Guest) -> None:
        self._outbox, self._guest = outbox, guest
        self.emit: Emit = self._emit_charged if guest.is_charged else outbox.emit
        """Queues an event."""
        self.is_left = False
        """The session has left this client for another one, or for nobody."""

    def leave(self, because: ErrorEvent | None) -> Unsent:
        """Takes nothing more, but says ``because`` if there is a reason; returns what it has not sent."""
        self.is_left = True
        unsent = self._outbox.abandon()
        if because is not None:
            self._outbox.emit(because)
        return unsent

    def _emit_charged(self, event: ServerEvent, payload: bytes = b"") -> None:
        self._outbox.emit(event, payload)
        with contextlib.suppress(LimitReached):
            self._charge(event)

    def _charge(self, event: ServerEvent) -> None:
        if isinstance(event, AudioEvent):
            self._guest.spend_audio(event.duration_ms / 1000)
        elif (usage := getattr(event, "usage", None)) is not None:
            self._guest.spend_tokens(usage.input_tokens + usage.output_tokens)

    def drop_audio(self, turn_id: str) -> None:
        """Forgets sound of this turn."""
        self._outbox.drop_audio(turn_id)
