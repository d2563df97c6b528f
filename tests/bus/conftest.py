"""The two buses behind one face, for the suite that both must pass."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from shared.bus import Bus
from shared.bus.memory import MemoryBroker, MemoryBus
from shared.bus.nats import NatsBus
from shared.bus.nats_rush import Sender
from shared.messages import Cancel
from tests.conftest import NatsServer

WAIT_S = 60.0
"""A net: what does not come within it never does, on any machine."""


class Place(Protocol):
    """A broker and what tests do to it."""

    async def connect(self, name: str) -> Any: ...

    async def lose(self, bus: Any) -> None:
        """The process behind a connection dies without a word."""

    async def send_raw(self, bus: Any, subject: str, payload: bytes) -> None:
        """Publishes bytes that are perhaps no message."""

    async def close(self) -> None: ...


class MemoryPlace:
    def __init__(self) -> None:
        self._broker = MemoryBroker()

    async def connect(self, name: str) -> MemoryBus:
        return self._broker.connect(name)

    async def lose(self, bus: MemoryBus) -> None:
        bus.abort()

    async def send_raw(self, bus: MemoryBus, subject: str, payload: bytes) -> None:
        self._broker.route(subject, payload)
        for queue in self._broker.queues.values():
            queue.store(subject, payload, "raw")

    async def close(self) -> None:
        pass


class NatsPlace:
    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self._buses: list[NatsBus] = []

    async def connect(self, name: str) -> NatsBus:
        """Nothing that it sends goes past its queue because the machine stood still."""
        bus = await self._server.connect(name)
        bus._sender = Sender(bus._control, patience_s=WAIT_S)
        self._buses.append(bus)
        return bus

    async def lose(self, bus: NatsBus) -> None:
        self._buses.remove(bus)
        for link in (bus._control, bus._media):
            link._is_closing = True
            link._client.cut()
            await link._client.close()

    async def send_raw(self, bus: NatsBus, subject: str, payload: bytes) -> None:
        await bus._control.publish(subject, payload)

    async def close(self) -> None:
        for bus in self._buses:
            await bus.close()


@pytest_asyncio.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.process)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
        return
    server = NatsServer(tmp_path / "nats")
    await server.start()
    made = NatsPlace(server)
    try:
        yield made
    finally:
        await made.close()
        await server.stop()


class Working:
    """A consumer that runs in the background of a test."""

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer
        self.task = asyncio.get_running_loop().create_task(consumer.run())

    async def stop(self) -> None:
        """Drains it."""
        self.consumer.drain()
        async with asyncio.timeout(WAIT_S):
            await self.task

    async def cancel(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


class Heard:
    """Collects what handlers get; waits for it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._changed = asyncio.Event()

    def __call__(self, *item: Any) -> None:
        self.items.append(item[-1])
        self._changed.set()

    async def until(self, true: Callable[[list[Any]], bool] | int, timeout_s: float = WAIT_S) -> list[Any]:
        """Waits until so many have come, or until ``true`` of them."""
        holds = true if callable(true) else lambda items: len(items) >= true
        async with asyncio.timeout(timeout_s):
            while not holds(self.items):
                self._changed.clear()
                await self._changed.wait()
        return self.items


async def settled(bus: Bus) -> None:
    """Returns when this connection's own subscriptions have been given all that it has published before."""
    heard = Heard()
    mark = await bus.subscribe("eva.test.settled", heard)
    await bus.publish("eva.test.settled", Cancel(sid="settled", turn=0))
    await heard.until(1)
    await mark.close()
