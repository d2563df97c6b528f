"""uvicorn, inside our own lifecycle: we own the listening socket, the signals and the drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from services.gateway.websocket import ABORT
from shared.errors import EvaError

MAX_MESSAGE_BYTES = 262_144
"""Beyond it the socket is closed (1009); from what is allowed up to here, an event refuses the message."""
PING_EVERY_S, PONG_WITHIN_S = 5.0, 8.0
"""A client that vanished is noticed within 13 s."""
BACKLOG = 512


class AddressInUse(EvaError):
    """Nothing can listen on this address."""

    code = "address_in_use"


class Connection(WebSocketsSansIOProtocol):
    """One socket that can be ended at once: a client that does not read would keep it open for ever."""

    def handle_connect(self, event: Request) -> None:
        """Offers the application to abort the connection."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"] = {
                **(self.scope["extensions"] or {}),
                ABORT: {"abort": self.transport.abort},
            }

    def keepalive_timeout(self) -> None:
        """Does not wait for the farewell to be read: nobody is there."""
        super().keepalive_timeout()
        self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers; ``accepting`` is set once it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept."""
        await super().startup(sockets)
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


def make_server(app: ASGIApp) -> Server:
    """Returns the server for an application."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return Server(
        uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws=Connection,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_ping_interval=PING_EVERY_S,
            ws_ping_timeout=PONG_WITHIN_S,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Returns a listening socket; port 0: the kernel chooses.

    Raises:
        AddressInUse: says what is in the way.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise AddressInUse(f"cannot listen on {host}:{port}: {reason}; EVA_PORT sets another port") from error
    listener.setblocking(False)
    return listener
