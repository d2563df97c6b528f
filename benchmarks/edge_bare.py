"""The floor under ``benchmarks.edge``: sockets that give back each frame, and nothing else.

    python -m benchmarks.edge_bare PORT

One process on uvloop with EVA's own frames: no session, no broker, no pacing, nobody who may not come. What a
session costs here is spent on system calls, the loop and RFC 6455 by any gateway in this language.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import sys

import uvloop

from services.gateway.wire_frames import joined, whole

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""
KEY = b"sec-websocket-key:"


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._head: bytes | None = b""
        """What has come of the request; None: it was answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keeps the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Gives a whole binary message back; whatever else comes ends the connection."""
        if self._head is not None:
            self._open(self._head + data)
            return
        at = 0
        while (message := whole(data, at)) is not None:
            kind, content, at = message
            self._transport.write(joined([(kind, content)]))
        if at < len(data):
            self._transport.close()

    def _open(self, head: bytes) -> None:
        self._head = head
        if not head.endswith(b"\r\n\r\n"):
            return
        lines = [
            line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(KEY)
        ]
        accept = base64.b64encode(hashlib.sha1(lines[0] + GUID, usedforsecurity=False).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._head = None


async def main(port: int) -> None:
    """Serves until it is killed."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    gc.collect()
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(int(sys.argv[1])))
