"""``WS /ws/chat``: one reader that never waits for an answer, one writer with a queue of its own.

If the application stopped reading, pongs would go unread and the connection would be torn down in mid-turn;
if it wrote directly, one client that does not read would hold up a turn. A mistake of the client is answered
by an ``error`` event and costs nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NoReturn

from fastapi import WebSocket, WebSocketDisconnect

from services.gateway.chat_protocol import (
    AnyClientMessage,
    AudioEvent,
    ErrorEvent,
    Ping,
    Pong,
    Start,
    Stop,
    UserText,
    encode_event,
    parse_client,
)
from services.gateway.door import Door
from services.gateway.outbox import TRY_AGAIN_LATER, Outbox
from services.gateway.session import Session
from shared.errors import BadInput, BusDown, EvaError
from shared.observe import Log

log = Log("eva.gateway")

NORMAL, INTERNAL_ERROR = 1000, 1011
SEND_TIMEOUT_S = 5.0
OPEN_TIMEOUT_S = 5.0
RETRY_AFTER_MS = 1000
IDLE_SLACK = 0.9
"""An idle socket is closed after 0.9 to 1 of the time that it is given."""
LOOKS = 5
"""How often, within the time that a send may take, it is looked at."""
ABORT = "eva.abort"
"""ASGI extension of our server: ends the connection at once, whatever is still to be sent."""


class Defect(EvaError):
    """Ours: an exception that nobody expected."""


class SlowClient(Exception):
    """The client has not read for too long."""


async def chat(websocket: WebSocket, door: Door, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
    """Serves one socket to its end; one that does not read for ``send_timeout_s`` is ended."""
    await websocket.accept()
    outbox = Outbox(door.metrics.error)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Writer(websocket, outbox).run(send_timeout_s), name="socket-writer")
            await Reader(websocket, door, outbox).run()
    except* SlowClient:
        log.warning("socket.slow_client")
        door.metrics.error("slow_client")
        _abort(websocket)


class Reader:
    """The incoming half of a socket; opens the session with the first message that needs one."""

    def __init__(self, websocket: WebSocket, door: Door, outbox: Outbox) -> None:
        self._websocket, self._door, self._outbox = websocket, door, outbox
        self._session: Session | None = None

    async def run(self) -> None:
        """Reads until the client is gone, says ``stop``, or has been silent for too long."""
        code = INTERNAL_ERROR
        try:
            with self._door.seat(self._outbox):
                async with contextlib.AsyncExitStack() as stack:
                    code = await self._read(stack)
        except EvaError as refused:
            self._tell(refused)
            code = TRY_AGAIN_LATER
        except Exception:
            log.exception("socket.defect")
            self._tell(Defect("something broke inside EVA; it is in the log"))
        finally:
            self._outbox.finish(code)

    async def _read(self, stack: contextlib.AsyncExitStack) -> int:
        """Returns the code to close with."""
        loop, idle_s = asyncio.get_running_loop(), self._door.settings.gateway_idle_s
        try:
            async with asyncio.timeout(idle_s) as patience:
                while (received := await self._websocket.receive())["type"] != "websocket.disconnect":
                    # Renewed now and then, not with each of 50 frames a second.
                    if (patience.when() or 0.0) < loop.time() + IDLE_SLACK * idle_s:
                        patience.reschedule(loop.time() + idle_s)
                    try:
                        if await self._take(received, stack):
                            return NORMAL
                    except EvaError as error:
                        self._tell(error)
        except TimeoutError:
            self._outbox.emit(ErrorEvent(code="idle_timeout", message="nothing was said for too long"))
        return NORMAL

    async def _take(self, received: Any, stack: contextlib.AsyncExitStack) -> bool:
        """Handles one message; True if it was ``stop``."""
        pcm = received.get("bytes")
        if pcm is not None:
            session = self._session or await self._open(Start(), stack)
            session.hear(pcm)
            return False
        message = parse_client(received["text"])
        if self._session is not None:
            self._session.handle(message)
        else:
            await self._first(message, stack)
        return isinstance(message, Stop)

    async def _first(self, message: AnyClientMessage, stack: contextlib.AsyncExitStack) -> None:
        match message:
            case Start():
                await self._open(message, stack)
            case UserText():
                (await self._open(Start(), stack)).handle(message)
            case Ping(id=id_):
                self._outbox.emit(Pong(id=id_))
            case _:
                pass  # nothing is going on that it could refer to

    async def _open(self, start: Start, stack: contextlib.AsyncExitStack) -> Session:
        hub = self._door.require_core().hub
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                self._session = await stack.enter_async_context(hub.session(start, self._outbox))
        except TimeoutError as error:
            raise BusDown(f"no session within {OPEN_TIMEOUT_S:g} s") from error
        return self._session

    def _tell(self, error: EvaError) -> None:
        retry_after_ms = None if isinstance(error, BadInput) else RETRY_AFTER_MS
        param = error.param if isinstance(error, BadInput) else None
        self._outbox.emit(
            ErrorEvent(code=error.code, message=str(error), param=param, retry_after_ms=retry_after_ms)
        )


class Writer:
    """The outgoing half of a socket."""

    def __init__(self, websocket: WebSocket, outbox: Outbox) -> None:
        self._websocket, self._outbox = websocket, outbox
        self._sends = 0
        self._is_sending = False

    async def run(self, timeout_s: float) -> None:
        """Sends what the outbox holds, and closes the socket at its end. Raises ``SlowClient``."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(timeout_s), name="socket-watch")
            try:
                await self._send()
            except (WebSocketDisconnect, RuntimeError):  # RuntimeError: the server has closed on its own
                self._outbox.finish(NORMAL)
            finally:
                watching.cancel()

    async def _send(self) -> None:
        """Sends each event, and its sound right behind it."""
        while (item := await self._outbox.get()) is not None:
            self._is_sending = True
            await self._websocket.send_text(encode_event(item.event).decode())
            if isinstance(item.event, AudioEvent):
                await self._websocket.send_bytes(item.payload)
            self._is_sending = False
            self._sends += 1
        if (farewell := self._outbox.farewell) is not None:
            self._is_sending = True
            await self._websocket.close(farewell.code, farewell.reason)

    async def _watch(self, timeout_s: float) -> NoReturn:
        """Looks whether one send takes too long: cheaper than a timer for each of them."""
        seen, looks = -1, 0
        while True:
            await asyncio.sleep(timeout_s / LOOKS)
            looks = looks + 1 if self._is_sending and seen == self._sends else 0
            seen = self._sends
            if looks >= LOOKS:
                raise SlowClient


def _abort(websocket: WebSocket) -> None:
    extension = websocket.scope.get("extensions", {}).get(ABORT)
    if extension is not None:
        extension["abort"]()
