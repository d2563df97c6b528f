"""A WebSocket for load generators: hardly more than the kernel's own cost. See ``bench_frames``."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from eva.bench_frames import BINARY, CLOSE, PING, PONG, TEXT, answered, framed, handshake, unframed
from eva.chat_client import socket_url
from eva.credentials import authorization, refusal
from shared.errors import EvaError

OPEN_S = 10.0
SWITCHING = 101


class NotOpened(EvaError):
    """EVA lets this person not in; says why."""

    code = "not_opened"


class BenchSocket(asyncio.Protocol):
    """One WebSocket; ``on_message`` gets the opcode and the payload of each message, in order."""

    def __init__(
        self, url: str, on_message: Callable[[int, bytes], None], on_lost: Callable[[], None]
    ) -> None:
        parts = urlsplit(socket_url(url))
        self._host, self._path, self._is_secure = parts.netloc, parts.path, parts.scheme == "wss"
        self._address = (parts.hostname or "", parts.port or (443 if self._is_secure else 80))
        self._on_message, self._on_lost = on_message, on_lost
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._data = b""

    async def open(self) -> None:
        """Connects and shakes hands. Raises ``NotOpened``."""
        loop = asyncio.get_running_loop()
        secure = ssl.create_default_context() if self._is_secure else None
        try:
            async with asyncio.timeout(OPEN_S):
                await loop.create_connection(lambda: self, *self._address, ssl=secure)
                status, rest = await self._opened
        except (OSError, TimeoutError) as error:
            self.close()
            raise NotOpened(str(error) or "no answer in time") from error
        if status != SWITCHING:
            self.close()
            raise NotOpened(refusal(status, rest))

    def send_text(self, text: bytes) -> None:
        """Sends a message; does nothing when the socket is closed."""
        self._write(framed(TEXT, text))

    def send_bytes(self, data: bytes) -> None:
        """Sends a message; does nothing when the socket is closed."""
        self._write(framed(BINARY, data))

    def close(self) -> None:
        """Says good-bye and closes."""
        if self._transport is not None and not self._transport.is_closing():
            self._write(framed(CLOSE, b"\x03\xe8"))
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for a WebSocket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._transport.write(handshake(self._host, self._path, authorization()))

    def data_received(self, data: bytes) -> None:
        """Takes in what came."""
        self._data += data
        if not self._opened.done():
            if (told := answered(self._data)) is None:
                return
            self._opened.set_result(told)
            self._data = told[1]
        frames, self._data = unframed(self._data)
        for opcode, payload in frames:
            if opcode == PING:
                self._write(framed(PONG, payload))
            elif opcode == CLOSE:
                self.close()
            else:
                self._on_message(opcode, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        """Is the end of it, whoever wished it."""
        if not self._opened.done():
            self._opened.set_exception(exc or ConnectionResetError("the connection was closed"))
        self._on_lost()
