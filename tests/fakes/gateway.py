"""A whole gateway on a port of the kernel's choice: real server, in-memory bus, workers without models."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from services.gateway.life import live, make_door
from services.gateway.server import listen
from services.gateway.settings import GatewaySettings
from shared.bus import Bus
from shared.bus.memory import MemoryBroker, MemoryBus
from tests.fakes.workers import FakeWorkers

WAIT_S = 60.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Without certificates, which take longer to read than a gateway to start."""
PATIENT = {"gateway_filler_ms": 10_000, "gateway_apology_s": 60.0, "gateway_take_up_s": 60.0, "turn_s": 120.0}
"""A machine that stalls puts no filler into an answer, where that is not a test's subject."""


class Client:
    """One socket, as a client sees it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.sound = b""

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def next(self) -> dict[str, Any]:
        """The next event; the sound behind an ``audio`` event is collected, and checked against it."""
        async with asyncio.timeout(WAIT_S):
            raw = await self.connection.recv()
            assert isinstance(raw, str)
            event: dict[str, Any] = json.loads(raw)
            if event["type"] == "audio":
                payload = await self.connection.recv()
                assert isinstance(payload, bytes)
                assert len(payload) == event["size_bytes"]
                self.sound += payload
            return event

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """All events up to the first of this kind."""
        events = [await self.next()]
        while events[-1]["type"] != kind:
            events.append(await self.next())
        return events

    async def expect(self, kind: str) -> dict[str, Any]:
        return (await self.until(kind))[-1]

    async def closed(self) -> int:
        """Reads to the end; returns the close code."""
        async with asyncio.timeout(WAIT_S):
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code


class RunningGateway:
    """What a test needs of it."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.broker = MemoryBroker()
        self.workers = FakeWorkers(self.broker.connect("workers"))
        self.door = make_door(settings)
        self.stop = asyncio.Event()
        self.reachable = asyncio.Event()
        """The broker can be connected to."""
        self.reachable.set()
        self.bus: MemoryBus | None = None
        self.listener = listen("127.0.0.1", 0)
        self.listener_address: tuple[str, int] = self.listener.getsockname()
        self.address = f"127.0.0.1:{self.listener_address[1]}"
        self.http = httpx.AsyncClient(
            base_url=f"http://{self.address}", timeout=WAIT_S, trust_env=False, verify=NO_TLS
        )

    async def to_broker(self) -> Bus:
        await self.reachable.wait()
        self.bus = self.broker.connect("gateway")
        return self.bus

    async def run(self) -> None:
        await live(self.door, self.listener, self.to_broker, self.stop, gw="gw")

    @contextlib.asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        url = f"ws://{self.address}/ws/chat"
        async with connect(url, proxy=None, compression=None, max_size=None, **options) as connection:
            yield Client(connection)

    async def until(self, is_so: Callable[[], bool], *, within_s: float = WAIT_S) -> None:
        """Looks until it is so."""
        async with asyncio.timeout(within_s):
            while not is_so():  # noqa: ASYNC110 - it is a fact of the outside, no event tells of it
                await asyncio.sleep(0.005)

    async def until_status(self, *wanted: str) -> dict[str, Any]:
        """Returns ``/health`` once it says so."""
        await self.until(lambda: self.door.watch.health().status in wanted)
        health: dict[str, Any] = (await self.http.get("/health")).json()
        return health


@contextlib.asynccontextmanager
async def running_gateway(*, is_reachable: bool = True, **settings: Any) -> AsyncIterator[RunningGateway]:
    """Starts gateway and workers; at the end the gateway is stopped as by SIGTERM."""
    options = {"canary": False, "drain_s": 2.0, **PATIENT, **settings}
    gateway = RunningGateway(GatewaySettings(_env_file=None, **options))
    if not is_reachable:
        gateway.reachable.clear()
    task = asyncio.create_task(gateway.run())
    try:
        async with gateway.workers.running():
            if is_reachable:
                await gateway.until(lambda: gateway.door.core is not None and gateway.door.watch.is_up("tts"))
            yield gateway
            gateway.stop.set()
            async with asyncio.timeout(WAIT_S):
                await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await gateway.http.aclose()
        gateway.listener.close()
