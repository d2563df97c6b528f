"""nats-py's socket, into which may be written when it is closed, and of which may be taken before it is read.

asyncio's own loop loses such bytes without a word, and nats-py counts on that: its reader will say that the
connection is gone. uvloop raises ``RuntimeError``, which ends nats-py's writer and its pings for good and
reaches whoever publishes in that moment: a worker's heartbeat, a session's work.

What comes is copied twice and wakes a task before nats-py has it: under load a twentieth of what a gateway
costs. So it is shown to ``take`` first, where all that came before has been dealt with.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport

Take = Callable[[bytes], bytes]
"""Gets what has come; returns what of it is to be read."""


class _Reader(asyncio.StreamReader):
    """A stream that is read only for what nobody takes."""

    def __init__(self, take: Take, limit: int) -> None:
        super().__init__(limit=limit, loop=asyncio.get_running_loop())
        self._take = take
        self._is_awaited = False
        """Whoever reads has dealt with all that came, and waits for more."""

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # it is no other iterable
        """Takes in what has come."""
        if self._is_awaited:
            data = self._take(data)
            self._is_awaited = not data
        if data:
            super().feed_data(data)

    async def read(self, n: int = -1) -> bytes:
        """Waits for bytes."""
        self._is_awaited = not self._buffer  # type: ignore[attr-defined] # told nowhere else
        try:
            return await super().read(n)
        finally:
            self._is_awaited = False


class Socket(TcpTransport):
    """Loses what is written into it when it is closed; ``drain`` raises ``OSError`` then."""

    def __init__(self, take: Take = bytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._take = take

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Connects. Raises ``OSError``, ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        reader = _Reader(self._take, buffer_size)
        protocol = asyncio.StreamReaderProtocol(reader)
        async with asyncio.timeout(connect_timeout):
            transport, _ = await loop.create_connection(lambda: protocol, uri.hostname or "", uri.port or 0)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    def __bool__(self) -> bool:
        """Whether it is there: before it is connected, too, or nats-py would make one of its own."""
        return True

    @property
    def is_empty(self) -> bool:
        """Whether it is connected, and nothing that was written waits for the server to read."""
        writer = self._io_writer
        return writer is not None and not writer.transport.get_write_buffer_size()

    def write(self, payload: bytes) -> None:
        """Has bytes sent."""
        with contextlib.suppress(RuntimeError):
            super().write(payload)  # type: ignore[no-untyped-call]

    def writelines(self, payload: Iterable[bytes]) -> None:
        """Likewise."""
        with contextlib.suppress(RuntimeError):
            super().writelines(payload)  # type: ignore[no-untyped-call]
