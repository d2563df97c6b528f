"""A loop without waiting and without sockets: its clock jumps, its network is in memory.

So real SDKs, their real HTTP library and real servers of ``asyncio`` talk to one another, hours of talk pass
in seconds, and the same seed gives the same figures on any machine. Only what the loop itself offers is
replaced: ``create_connection`` and ``create_server``.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.fakes.virtual_time import VirtualTimeLoop

CONNECT_S = 0.03
"""What opening a connection takes: two or three round trips to a provider that is near."""
_PORTS = itertools.count(20_000)


class _Pipe(asyncio.Transport):
    """One end of a connection; what is written arrives in a later step of the loop, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any) -> None:
        super().__init__()
        self._loop, self._protocol = loop, protocol
        self._socket, self._other_end = socket.socketpair()
        """Not used for data: what libraries ask about a connection, they ask its socket. It can be read from
        as soon as the other side is gone."""
        self._waiting: deque[bytes | None] = deque()
        self._is_paused = self._is_closing = self._has_ended = False
        self.peer: _Pipe | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def write(self, data: Any) -> None:
        self._send(bytes(data))

    def _send(self, data: bytes | None) -> None:
        if self._has_ended or self.peer is None:
            return
        self._has_ended = data is None
        self._loop.call_soon(self.peer.arrive, data)

    def arrive(self, data: bytes | None) -> None:
        """Takes what the other end has written; None: it writes no more."""
        self._waiting.append(data)
        self._read()

    def _read(self) -> None:
        while self._waiting and not self._is_paused and not self._is_closing:
            data = self._waiting.popleft()
            if data is not None:
                self._protocol.data_received(data)
            else:
                self._other_end.close()
                if not self._protocol.eof_received():
                    self.close()

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._loop.call_soon(self._read)

    def is_reading(self) -> bool:
        return not self._is_paused

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._send(None)

    def close(self) -> None:
        if not self._is_closing:
            self._send(None)
            self._is_closing = True
            self._loop.call_soon(self._lost)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Is never full."""

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def _lost(self) -> None:
        self._protocol.connection_lost(None)
        self._socket.close()
        self._other_end.close()


class _Name:
    """Of a listening socket."""

    def __init__(self, port: int) -> None:
        self._port = port

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port


class _Server:
    """One that listens."""

    def __init__(self, servers: dict[int, Callable[[], Any]], port: int) -> None:
        self._servers, self._port = servers, port
        self.sockets = [_Name(port)]

    def close(self) -> None:
        """Refuses from now on."""
        self._servers.pop(self._port, None)

    async def wait_closed(self) -> None:
        """Waits for nothing."""


class NetworkLoop(VirtualTimeLoop):
    """Virtual time, and a network that has only this loop's servers in it."""

    def __init__(self) -> None:
        super().__init__()
        self._servers: dict[int, Callable[[], Any]] = {}

    async def create_server(  # type: ignore[override] # what is offered of it
        self, protocol_factory: Callable[[], Any], _host: Any = None, port: Any = 0, **_: Any
    ) -> Any:
        """Listens on a port; 0: on a free one."""
        port = port or next(_PORTS)
        self._servers[port] = protocol_factory
        return _Server(self._servers, port)

    async def create_connection(  # type: ignore[override] # what is offered of it
        self, protocol_factory: Callable[[], Any], _host: Any = None, port: Any = 0, **_: Any
    ) -> Any:
        """Connects to a server of this loop. Raises ``ConnectionRefusedError`` if there is none."""
        await asyncio.sleep(CONNECT_S)
        if port not in self._servers:
            raise ConnectionRefusedError(f"nobody listens on {port}")
        ours, theirs = protocol_factory(), self._servers[port]()
        here, there = _Pipe(self, ours), _Pipe(self, theirs)
        here.peer, there.peer = there, here
        theirs.connection_made(there)
        ours.connection_made(here)
        return here, ours
