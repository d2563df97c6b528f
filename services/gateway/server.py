"""uvicorn, inside our own lifecycle: we own the listening socket, the signals and the drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from services.gateway.connections import protocols
from services.gateway.lobby import MESSAGE_BYTES, Lobby
from shared.errors import EvaError

PING_EVERY_S, PONG_WITHIN_S = 5.0, 8.0
"""A client that vanished is noticed within 13 s."""
IDLE_S = 75
"""How long a connection stays open on which nothing is asked, seconds. Clients keep theirs for less (5 s or
15 s, proxies 60 s): it is they who end it, so that none asks in the moment in which it is closed."""
OPEN_FILES = 65_536
BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted; it cuts that to its own bound."""
ACCEPTED_AT_ONCE = 1
"""In each round of the event loop; as many begin their requests (``lobby.Turnstile``)."""
SEND_BUFFER_BYTES = 65_536
"""Of the kernel, for each connection (Linux doubles it). Left alone it grows to megabytes, a minute of sound,
and a client that does not read would be noticed that much later."""
UNACKNOWLEDGED_MS = 15_000
"""After so long without a sign that anything was taken, the kernel gives a connection up."""


class AddressInUse(EvaError):
    """Nothing can listen on this address."""

    code = "address_in_use"


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers; ``accepting`` is set once it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # the loop has set it to what it accepts at once
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to the process."""
        yield

    def stop_accepting(self) -> None:
        """Refuses new connections; those that are open go on."""
        for server in self.servers:
            server.close()

    async def run_on(self, listener: socket.socket) -> None:
        """Serves until ``should_exit`` is set."""
        await self.serve(sockets=[listener])


def make_server(app: ASGIApp, lobby: Lobby) -> Server:
    """Returns the server for an application."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are its clients' mistakes
    visitor, connection = protocols(lobby)
    return Server(
        uvicorn.Config(
            app,
            loop="none",
            http=visitor,
            ws=connection,
            ws_max_size=MESSAGE_BYTES,
            ws_ping_interval=PING_EVERY_S,
            ws_ping_timeout=PONG_WITHIN_S,
            ws_per_message_deflate=False,
            backlog=ACCEPTED_AT_ONCE,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=2,
        )
    )


def allow_connections() -> None:
    """Lets this process have as many open files as it may: each connection is one."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - there is none on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def can_share() -> bool:
    """Whether several processes may listen on one port, with the kernel dividing what comes among them."""
    return sys.platform == "linux"


def reserve(host: str, port: int) -> socket.socket:
    """Returns a socket that keeps a port for several processes: bound, or listening where none is shared.

    Raises:
        AddressInUse: somebody else has the port, or a part of it.
    """
    listener = listen(host, port)
    if not can_share():
        return listener
    host, port = listener.getsockname()[:2]
    listener.close()  # who shares a port shares it with anybody of the same user: first it was ours alone
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((host, port))
    return held


def listen(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Returns a listening socket; port 0: the kernel chooses. ``is_shared``: as one of several processes.

    Raises:
        AddressInUse: says what is in the way.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=is_shared)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise AddressInUse(f"cannot listen on {host}:{port}: {reason}; EVA_PORT sets another port") from error
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    return listener
