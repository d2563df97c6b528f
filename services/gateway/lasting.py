"""A session that outlives its client's connection: ``WS /ws/chat``.

A client that is lost may come back for a while, here or at another gateway, and finds the answer going on.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec

from services.gateway.absence import LastingTurns
from services.gateway.chat_protocol import ErrorEvent, Start
from services.gateway.conversation import Dialogue
from services.gateway.loudspeaker import voice_format
from services.gateway.parked import Client, Wire
from services.gateway.session import Session
from services.gateway.surroundings import Surroundings
from services.gateway.turn import State
from services.gateway.turn_io import Action, Ask, Back, GoesOn, Gone, Parted, Pend, TakenUp
from shared.messages import Pending, SessionClaim, SessionRecord

EARS_S = 1.0
"""How long the ears are kept for what was said last; nobody else can have them meanwhile."""
TAKEN_OVER = ErrorEvent(code="session_taken_over", message="another client has resumed this session")
ERASED = ErrorEvent(code="session_erased", message="the conversation was erased")


class LastingSession(Session):
    """Made by ``Hub.session`` for a client that can be left."""

    __slots__ = (
        "_goes_on", "_grace_s", "_timers", "_wall", "_wire",
    )  # fmt: skip

    turns = LastingTurns

    def __init__(
        self,
        sid: str,
        around: Surroundings,
        client: Client,
        conversation: Dialogue,
        *,
        remember: bool,
        owner: str = "",
    ) -> None:
        self._wire = Wire(client)
        self._grace_s, self._wall = around.grace_s, around.wall
        self._timers: list[asyncio.TimerHandle] = []
        self._goes_on = False
        """Whether there was a turn in flight when the client came back."""
        super().__init__(sid, around, self._wire, conversation, remember=remember, owner=owner)

    @property
    def client(self) -> Client | None:
        """Who is there."""
        return self._wire.client

    def leave(self) -> bool:
        """The client is lost; returns whether it is waited for: something is going on."""
        if self._is_finished or not self._grace_s or self._machine.state is State.IDLE:
            return False
        self._feed(Gone(unsent_ms=self._wire.leave()))
        call_later = asyncio.get_running_loop().call_later
        self._timers = [
            call_later(min(EARS_S, self._grace_s), self._listening.release),
            call_later(self._grace_s, self.finish),
        ]
        return True

    def can_come_back(self, start: Start) -> bool:
        """Whether a client with these settings can go on right here: the sound that is held fits."""
        out = start.audio_out
        has_format = out is not None and voice_format(out) == self._publisher.audio
        return not self._is_finished and has_format and self._settings.audio_out == out

    def come_back(self, client: Client, start: Start) -> None:
        """A client is there again, or another one in place of the one that is."""
        self._cancel_timers()
        self._feed(Gone(unsent_ms=self._wire.leave(TAKEN_OVER)))
        self._wire.join(client)
        self._use(start, is_resumed=True)
        has, self._goes_on = start.has, False
        self._feed(Back() if has is None else Back(turn_id=has.turn_id, ms=has.ms))
        if not self._goes_on:
            self._ready()
            self._wire.tell_missed(None)

    def take_up(self, start: Start, pending: Pending) -> None:
        """Takes the client's settings, and goes on with an answer that was begun elsewhere."""
        self._use(start, is_resumed=True)
        ask = Ask(
            text=pending.question,
            wants_audio=pending.wants_audio and start.audio_out is not None,
            wish=self.wish,
            language=pending.language,
            voice=pending.voice,
            is_spoken=pending.is_spoken,
        )
        self._feed(TakenUp(pending=pending, ask=ask))

    def hand_over(self, claim: SessionClaim, because: ErrorEvent) -> SessionRecord:
        """Ends the session for somebody who goes on with it, with what of an answer is still to be said."""
        self._feed(Gone(unsent_ms=self._wire.leave(because)))
        self._feed(Parted(turn_id=claim.turn_id, ms=claim.ms))
        self.finish()
        return self._publisher.settle(self._outbox)

    def finish(self, *, because: ErrorEvent | None = None) -> None:
        """Ends it for good."""
        self._cancel_timers()
        super().finish(because=because)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _do(self, action: Action) -> None:
        match action:
            case GoesOn(turn=turn):
                self._goes_on = True
                self._speaker.begin_at(turn.from_ms)
                self._ready(turn)
                self._wire.tell_missed(turn.turn_id)
            case Pend(pending=pending):
                asked_at = pending.asked_at or self._wall()
                super()._do(replace(action, pending=msgspec.structs.replace(pending, asked_at=asked_at)))
            case _:
                super()._do(action)
