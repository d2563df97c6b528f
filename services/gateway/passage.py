"""uvicorn's WebSocket with a short way for what comes and goes fifty times a second.

On its own it takes each frame through a chain of generators, stops and resumes reading around each message,
and sends each one through every layer of the application with a system call of its own: together a third of
what a session cost. Here a whole message is taken as it lies there, an application that can take it at once
is called with it (``TAKE``), reading stops only for one that falls behind, and several messages leave in one
go (``SEND``). Whatever is not a whole message goes uvicorn's way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.streams import StreamReader

from services.gateway.wire_frames import Message, joined

SEND = "eva.send"
"""ASGI extension: sends several messages in one go (``send``; raises ``OSError`` when the client is gone), or
if it can be done without waiting (``send_now``, which returns whether it was)."""
TAKE = "eva.take"
"""ASGI extension: gives messages to a function as soon as they have come. Those of which it returns False,
and what comes before the application has received them, are received as usual."""
WAITING_BYTES = 65_536
"""Of messages that the application has not taken: beyond it nothing more is read."""
_BETWEEN_FRAMES = StreamReader.at_eof.__code__
SendAll = Callable[[Iterable[Message]], Awaitable[None]]
SendNow = Callable[[Callable[[Any], Iterable[Message]], Any], bool]
Take = Callable[[str | bytes], bool]


class Passage(WebSocketsSansIOProtocol):
    """One WebSocket."""

    __slots__ = ("_is_full", "_is_shut", "_take", "_unread", "_waiting_bytes", "_wire", "is_fresh", "taker")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting_bytes = self._unread = 0
        """Of messages that the application has not received, and how many they are."""
        self._take: Take | None = None
        self.taker: Take | None = None
        """What the next message is given to first; None: it is queued."""
        self._is_full = self._is_shut = False
        """The client takes nothing for the moment, or it was told that nothing more will come."""
        self.is_fresh = False
        """Nothing unfinished is with the parser, as was seen when a message was last taken."""

    def handle_connect(self, event: Request) -> None:
        """Offers the application to send several messages in one go, and to take them at once."""
        super().handle_connect(event)
        self._wire = self.transport  # this one is found faster
        if self.response.status_code == 101:
            offered: dict[str, dict[object, object]] = {
                SEND: {"send": self.send_all, "send_now": self.send_now},
                TAKE: {"take": self.take_with},
            }
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), **offered}

    def take_with(self, take: Take) -> None:
        """From now on messages are given to this function first."""
        self._take = take
        self._choose_taker()

    async def send_all(self, messages: Iterable[Message]) -> None:
        """Sends messages behind one another; waits while the client takes nothing. Raises ``OSError``."""
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.conn.state is not OPEN:
            raise ClientDisconnected
        self.transport.write(joined(messages))

    def send_now(self, encode: Callable[[Any], Iterable[Message]], item: Any) -> bool:
        """Makes an item messages and sends them, if that needs no waiting; returns whether."""
        if self._is_full or self._is_shut or self._wire.is_closing():
            return False
        self._wire.write(joined(encode(item)))
        return True

    def shut(self) -> None:
        """Nothing more is sent at once, and nothing taken."""
        self._is_shut, self.taker = True, None

    async def send(self, message: ASGISendEvent) -> None:
        """Sends."""
        await super().send(message)
        if self.close_sent:
            self.shut()

    def pause_writing(self) -> None:
        """The client takes nothing."""
        self._is_full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """It takes something again."""
        self._is_full = False
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Takes in what is not one whole message."""
        self.is_fresh = False
        super().data_received(data)

    def begins_message(self) -> bool:
        """Whether what comes now begins a message; it is looked at only where that is not known."""
        self.is_fresh = self.is_fresh or (self.conn.state is OPEN and self._is_between_messages())
        return self.is_fresh

    async def receive(self) -> ASGIReceiveEvent:
        """Waits for what comes next."""
        received = await super().receive()
        if received["type"] == "websocket.receive":
            self._unread -= 1
            self._choose_taker()
        return received

    def hand_on(self, message: str | bytes) -> None:
        """Gives a message to the application."""
        if self.taker is None or not self.taker(message):
            self.keep(message)

    def keep(self, message: str | bytes) -> None:
        """Has a message wait until the application receives it."""
        if self._is_shut or self.close_sent:
            return
        self._waiting_bytes = len(message) + (self._waiting_bytes if self._unread else 0)
        self._unread += 1
        self._choose_taker()
        if isinstance(message, str):
            self.queue.put_nowait({"type": "websocket.receive", "text": message})
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": message})
        if self._waiting_bytes > WAITING_BYTES and not self.read_paused:
            self.read_paused = True  # ``receive`` goes on when nothing waits any more
            self.transport.pause_reading()

    def _choose_taker(self) -> None:
        """What the application has not received comes in front of what could be taken."""
        self.taker = None if self._unread or self._is_shut else self._take

    def _is_between_messages(self) -> bool:
        """Whether what comes now begins a message: nothing unfinished is with the parser."""
        conn = self.conn
        if conn.current_size is not None or conn.reader.buffer:
            return False
        parser: Any = conn.parser  # a generator in others; between frames the innermost waits for any byte
        while (inner := parser.gi_yieldfrom) is not None:
            parser = inner
        return parser.gi_code is _BETWEEN_FRAMES
