"""``WS /ws/chat``: one reader that never waits for an answer, one writer with a queue of its own.

If the application stopped reading, pongs would go unread and the connection would be torn down in mid-turn;
if it wrote directly, one client that does not read would hold up a turn. A mistake of the client is answered
by an ``error`` event and costs nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import NoReturn

from fastapi import WebSocket, WebSocketDisconnect

from services.gateway import problems
from services.gateway.chat_protocol import AudioEvent, encode_event
from services.gateway.connections import ABORT
from services.gateway.door import Door
from services.gateway.guests import guest_of
from services.gateway.outbox import Item, Outbox
from services.gateway.passage import SEND, SendAll
from services.gateway.reader import NORMAL, Reader
from services.gateway.wire_frames import BINARY, TEXT, Message
from shared.errors import EvaError
from shared.observe import Log

log = Log("eva.gateway")

SEND_TIMEOUT_S = 5.0
LOOKS = 5
"""How often, within the time that a send may take, it is looked at."""


class SlowClient(Exception):
    """The client has not read for too long."""


async def chat(websocket: WebSocket, door: Door, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
    """Serves one socket to its end; one that does not read for ``send_timeout_s`` is ended.

    Whoever cannot be let in is told so by the answer to the handshake.
    """
    outbox = Outbox(door.metrics.error, ahead_s=door.settings.gateway_ahead_s)
    guest = guest_of(websocket.scope)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(door.seat(outbox, guest))
        except EvaError as refused:
            door.metrics.error(refused.code)
            await websocket.send_denial_response(problems.of_error(refused))
            return
        await websocket.accept(subprotocol=guest.subprotocol)
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = Reader(websocket, door, outbox, guest)
                writer = Writer(websocket, outbox, frames)
                tasks.create_task(_write(writer, reader, send_timeout_s), name="socket-writer")
                await reader.run()
        except* SlowClient:
            log.warning("socket.slow_client")
            door.metrics.error("slow_client")
            abort(websocket)


async def _write(writer: Writer, reader: Reader, timeout_s: float) -> None:
    """Writes; a client that takes nothing any more has vanished, as far as anybody can tell."""
    try:
        await writer.run(timeout_s)
    except* SlowClient:
        reader.is_lost = True
        raise


def frames(item: Item) -> Iterable[Message]:
    """Returns what an event of ours is on the wire: its JSON, and its sound right behind it."""
    text = (TEXT, encode_event(item.event))
    return (text, (BINARY, item.payload)) if isinstance(item.event, AudioEvent) else (text,)


class Writer:
    """The outgoing half of a socket.

    ``encode`` makes each item text and binary messages; besides a dialect's own items it gets the
    ``ErrorEvent`` by which the outbox says good-bye.
    """

    def __init__(
        self, websocket: WebSocket, outbox: Outbox, encode: Callable[[Item], Iterable[Message]]
    ) -> None:
        self._websocket, self._outbox, self._encode = websocket, outbox, encode
        self._sends = 0
        self._is_sending = False

    async def run(self, timeout_s: float) -> None:
        """Sends what the outbox holds, and closes the socket at its end. Raises ``SlowClient``."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(timeout_s), name="socket-watch")
            try:
                await self._send()
            except (OSError, WebSocketDisconnect, RuntimeError):
                self._outbox.finish(NORMAL)
            finally:
                watching.cancel()

    async def _send(self) -> None:
        """Sends each item once it may leave."""
        send_all = sender(self._websocket)
        if (extension := self._websocket.scope.get("extensions", {}).get(SEND)) is not None:
            self._outbox.leave_by(extension["send_now"], self._encode)
        while (item := await self._outbox.get()) is not None:
            self._is_sending = True
            await send_all(self._encode(item))
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


def sender(websocket: WebSocket) -> SendAll:
    """Returns what sends several messages: in one go, where the server can."""
    extension = websocket.scope.get("extensions", {}).get(SEND)
    if extension is not None:
        in_one_go: SendAll = extension["send"]
        return in_one_go

    async def one_by_one(messages: Iterable[Message]) -> None:
        for kind, content in messages:
            await (websocket.send_text(content.decode()) if kind == TEXT else websocket.send_bytes(content))

    return one_by_one


def abort(websocket: WebSocket) -> None:
    """Ends the connection at once, whatever is still to be sent."""
    extension = websocket.scope.get("extensions", {}).get(ABORT)
    if extension is not None:
        extension["abort"]()
