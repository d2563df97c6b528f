"""All connections of one server, and what they may take together.

A connection begins as a stranger; it stops being one with the last line of its request's head, for which it
has a few seconds. Of too many strangers the oldest is dropped: whoever sends a request at once gets in.
Requests begin one by one (``Turnstile``): two thousand that come together cost who talks a little of each
round of the event loop, and not two seconds in one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response

MESSAGE_BYTES = 262_144
"""Beyond it a socket is closed (1009), where its path allows no more."""
UNFINISHED_BYTES = 64 * 1024 * 1024
"""Messages beyond ``MESSAGE_BYTES`` that have not come to their end, of all sockets together."""
LINGER_S = 2.0
"""How long a client that is closed for its behaviour may take to read why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """What connections may take."""

    head_s: float = 5.0
    """From the first moment of a connection, or the first byte of a later request, to the end of its head."""
    body_s: float = 20.0
    """So slowly a request's body may begin; then it comes at ``rates.LEAST_BYTES_S``."""
    strangers: int = 2048
    connections: int = 16_384


class Turnstile:
    """Lets one pass in each round of the event loop, in the order in which they came.

    Between two that pass everybody inside has a turn, however fast the machine is.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_taken = False
        """Somebody has passed in this round."""

    def enter(self, step: Callable[[], None]) -> bool:
        """Calls ``step`` at once, or in a later round; returns whether it was at once."""
        if self._is_taken:
            self._waiting.append(step)
            return False
        self._is_taken = True
        asyncio.get_running_loop().call_soon(self._turn)
        step()
        return True

    def _turn(self) -> None:
        self._is_taken = bool(self._waiting)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._turn)
            self._waiting.popleft()()


class Lobby:
    """The connections of one server.

    Args:
        count: is told why one was refused or closed.
        patience: what they may take.
        refuse: returns the answer to every handshake while nobody can be let in, else None. It is asked
            before anything of a handshake is served: whoever is refused in a storm costs next to nothing.
    """

    def __init__(
        self,
        count: Callable[[str], None],
        patience: Patience | None = None,
        *,
        refuse: Callable[[], Response | None] = lambda: None,
    ) -> None:
        self.count, self.refuse = count, refuse
        self.patience = patience or Patience()
        self.turnstile = Turnstile()
        self._strangers: dict[object, asyncio.Transport] = {}
        """Whose request has not come yet; the oldest first."""
        self._unfinished: dict[object, int] = {}

    def enter(self, visitor: object, transport: asyncio.Transport, connections: int) -> bool:
        """Takes in a new connection, the ``connections``-th; False if there are too many."""
        if connections > self.patience.connections:
            self.count("too_many_connections")
            return False
        if len(self._strangers) >= self.patience.strangers:
            self.count("too_many_strangers")
            reset(self._strangers.pop(next(iter(self._strangers))))
        self._strangers[visitor] = transport
        return True

    def know(self, visitor: object) -> None:
        """Its request is there, or it is gone: a stranger no more."""
        self._strangers.pop(visitor, None)

    def hold(self, connection: object, size_bytes: int) -> bool:
        """Takes note of what is there of an unfinished message; False if all together are too much."""
        if size_bytes <= MESSAGE_BYTES:
            self._unfinished.pop(connection, None)
            return True
        self._unfinished[connection] = size_bytes
        return sum(self._unfinished.values()) <= UNFINISHED_BYTES


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection at once, for the kernel, too: it would go on to offer what was not read."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(raw.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def part(transport: asyncio.Transport) -> None:
    """Ends a connection behind what was written.

    It is not closed at once: with data of the client's unread that would reset it and take the farewell back.
    """
    if not transport.is_closing():
        transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, reset, transport)
