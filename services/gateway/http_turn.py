"""One turn for one request: open a session for it, count what it costs, give up when the client does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request

from services.gateway.chat_protocol import ErrorEvent, Interrupted, Played, Start, TurnDone
from services.gateway.conversation import Dialogue
from services.gateway.door import Door
from services.gateway.guests import Guest, LimitReached, guest_of
from services.gateway.memory import name_of
from services.gateway.outbox import Item, Outbox
from services.gateway.problems import ClientGone, SessionBusy, TurnFailed
from services.gateway.session import Session
from shared.observe import Log

log = Log("eva.gateway")

BEYOND_TURN_S = 15.0
"""The turn machine ends every turn by itself, an apology included; this is the net below it."""
EVERYTHING_MS = 10**9
MAX_AUDIO_MS = 1_800_000.0

Ending = TurnDone | ErrorEvent | Interrupted
Consume = Callable[[Outbox], Awaitable[Ending]]
"""Reads the outbox until the turn has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A turn that a request asks for."""

    start: Start
    begin: Callable[[Session], object]
    """Begins the turn, at once."""
    consume: Consume
    remember: bool
    conversation: Dialogue | None = None
    """What was said before, where the request brings it."""


async def take_turn(request: Request, door: Door, wanted: Wanted) -> TurnDone:
    """Has one turn in a session of its own, or in the one that ``wanted.start`` names.

    Raises:
        TurnFailed: it ended otherwise than well.
        ClientGone: nobody waits for it any more; it was cancelled.
        SessionBusy, Busy, Draining, BusDown, BadInput, LimitReached: it was not begun.
    """
    hub, start, guest = door.require_core().hub, wanted.start, guest_of(request.scope)
    guest.check()
    if start.session_id is not None and name_of(start.session_id, guest.key_id) in hub.sessions:
        raise SessionBusy("this session is in use by another client")
    outbox = Outbox(door.metrics.error, max_audio_ms=MAX_AUDIO_MS, max_events=100_000)
    ending: Ending | None = None
    with door.seat(outbox, guest):
        try:
            async with asyncio.TaskGroup() as tasks:
                watcher = tasks.create_task(until_gone(request), name="client-watch")
                async with hub.session(
                    start,
                    outbox,
                    remember=wanted.remember,
                    is_live=False,
                    conversation=wanted.conversation,
                    owner=guest.key_id,
                ) as session:
                    wanted.begin(session)
                    ending = await _within(door.settings.turn_s + BEYOND_TURN_S, wanted.consume(outbox))
                    if isinstance(ending, TurnDone):  # a file is heard as a whole
                        session.handle(Played(turn_id=ending.turn_id, ms=EVERYTHING_MS))
                watcher.cancel()
        except* ClientGone:
            ending = None
    return _checked(ending, guest)


def _checked(ending: Ending | None, guest: Guest) -> TurnDone:
    match ending:
        case None:
            raise ClientGone("the client is gone")
        case TurnDone(usage=usage, timeline=timeline):
            tokens = usage.input_tokens + usage.output_tokens if usage is not None else 0
            spend(guest, tokens=tokens, audio_s=timeline.audio_ms / 1000)
            return ending
        case Interrupted():
            raise TurnFailed(ErrorEvent(code="interrupted", message="another client interrupted the turn"))
        case ErrorEvent():
            raise TurnFailed(ending)


def spend(guest: Guest, *, tokens: int = 0, audio_s: float = 0.0) -> None:
    """Tells a guest what an answer took that was given already: who is over the limit feels it next time."""
    pays: tuple[Callable[[], None], ...] = (
        lambda: guest.spend_tokens(tokens),
        lambda: guest.spend_audio(audio_s),
    )
    for pay in pays:
        try:
            pay()
        except LimitReached as reached:
            log.info("limit.reached", key=guest.key_id, limit=reached.limit)


async def _within(seconds: float, ending: Awaitable[Ending]) -> Ending:
    try:
        async with asyncio.timeout(seconds):
            return await ending
    except TimeoutError:
        return ErrorEvent(code="turn_timeout", message=f"no end of the turn within {seconds:g} s")


async def until_gone(request: Request) -> None:
    """Raises ``ClientGone`` when the client closes its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientGone("the client is gone")


def ending_of(item: Item | None, outbox: Outbox) -> Ending | None:
    """Returns the turn's end, if this is it; without an item: the gateway says good-bye."""
    match item.event if item is not None else None:
        case None:
            reason = outbox.farewell.reason if outbox.farewell is not None else ""
            return ErrorEvent(code="draining", message=f"the turn was given up: {reason}")
        case (TurnDone() | Interrupted() | ErrorEvent(turn_id=str())) as ending:
            return ending
        case _:
            return None


async def next_of_turn(outbox: Outbox) -> tuple[Ending | None, bytes]:
    """Returns the turn's end once it is there, or else the next piece of its sound."""
    while True:
        item = await outbox.get()
        ending = ending_of(item, outbox)
        if ending is not None or (item is not None and item.payload):
            return ending, b"" if ending is not None or item is None else item.payload
