"""nats-py's socket, into which may be written when it is closed.

asyncio's own loop loses such bytes without a word, and nats-py counts on that: its reader will say that the
connection is gone. uvloop raises ``RuntimeError``, which ends nats-py's writer and its pings for good and
reaches whoever publishes in that moment: a worker's heartbeat, a session's work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from nats.aio.transport import TcpTransport


class Socket(TcpTransport):
    """Loses what is written into it when it is closed; ``drain`` raises ``OSError`` then."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

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
