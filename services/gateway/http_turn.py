"""One turn for one request: read the body, open a session for it, give up when the client does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from fastapi import Request

from services.gateway.chat_protocol import ErrorEvent, Interrupted, Played, Start, TurnDone
from services.gateway.door import Door
from services.gateway.memory import check_session_id
from services.gateway.outbox import Outbox
from services.gateway.problems import ClientGone, SessionBusy, TooLarge, TurnFailed
from services.gateway.session import Session
from shared.errors import BadInput

MAX_BODY_BYTES = 65_536
BEYOND_TURN_S = 15.0
"""The turn machine ends every turn by itself, an apology included; this is the net below it."""
EVERYTHING_MS = 10**9
MAX_AUDIO_MS = 1_800_000.0

T = TypeVar("T")
Ending = TurnDone | ErrorEvent | Interrupted
Consume = Callable[[Outbox], Awaitable[Ending]]
"""Reads the outbox until the turn has ended."""


async def read_body(request: Request, kind: type[T]) -> T:
    """Reads a JSON body.

    Raises:
        TooLarge: it has more than 64 KiB.
        BadInput: it is no JSON, or a field is missing or of the wrong type; names it.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"a body may have {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except msgspec.ValidationError as error:
        reason, found, path = str(error).rpartition(" - at `$.")
        raise BadInput(reason or path, param=path.rstrip("`") if found else None) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A turn that a request asks for."""

    start: Start
    begin: Callable[[Session], object]
    """Begins the turn, at once."""
    consume: Consume
    remember: bool


async def take_turn(request: Request, door: Door, wanted: Wanted) -> TurnDone:
    """Has one turn in a session of its own, or in the one that ``wanted.start`` names.

    Raises:
        TurnFailed: it ended otherwise than well.
        ClientGone: nobody waits for it any more; it was cancelled.
        SessionBusy, Busy, Draining, BusDown, BadInput: it was not begun.
    """
    hub, start = door.require_core().hub, wanted.start
    if start.session_id is not None and check_session_id(start.session_id) in hub.sessions:
        raise SessionBusy("this session is in use by another client")
    outbox = Outbox(door.metrics.error, max_audio_ms=MAX_AUDIO_MS, max_events=100_000)
    ending: Ending | None = None
    with door.seat(outbox):
        try:
            async with asyncio.TaskGroup() as tasks:
                watcher = tasks.create_task(_until_gone(request), name="client-watch")
                async with hub.session(start, outbox, remember=wanted.remember) as session:
                    wanted.begin(session)
                    ending = await _within(door.settings.turn_s + BEYOND_TURN_S, wanted.consume(outbox))
                    if isinstance(ending, TurnDone):  # a file is heard as a whole
                        session.handle(Played(turn_id=ending.turn_id, ms=EVERYTHING_MS))
                watcher.cancel()
        except* ClientGone:
            ending = None
    match ending:
        case TurnDone():
            return ending
        case ErrorEvent():
            raise TurnFailed(ending)
        case Interrupted():
            raise TurnFailed(ErrorEvent(code="interrupted", message="another client interrupted the turn"))
        case None:
            raise ClientGone("the client is gone")


async def _within(seconds: float, ending: Awaitable[Ending]) -> Ending:
    try:
        async with asyncio.timeout(seconds):
            return await ending
    except TimeoutError:
        return ErrorEvent(code="turn_timeout", message=f"no end of the turn within {seconds:g} s")


async def _until_gone(request: Request) -> None:
    """Raises ``ClientGone`` when the client closes its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientGone("the client is gone")


async def next_of_turn(outbox: Outbox) -> tuple[Ending | None, bytes]:
    """Returns the turn's end once it is there, or else the next piece of its sound."""
    while (item := await outbox.get()) is not None:
        match item.event:
            case TurnDone() | Interrupted() | ErrorEvent(turn_id=str()):
                return item.event, b""
            case _ if item.payload:
                return None, item.payload
            case _:
                pass
    reason = outbox.farewell.reason if outbox.farewell is not None else ""
    return ErrorEvent(code="draining", message=f"the turn was given up: {reason}"), b""
