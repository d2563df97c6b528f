"""What tests of several parts use."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from hypothesis import settings

from eva.broker import Broker
from shared.bus.nats import NatsBus, connect

# In CI the same examples each time: what it says of a commit must not depend on luck. At a desk new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.register_profile("thorough", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("EVA_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "desk"))


class NatsServer:
    """A real ``nats-server`` on a port that the kernel chose."""

    def __init__(self, data_dir: Path) -> None:
        self._broker = Broker(data_dir)
        self.data_dir = data_dir
        self.url = ""

    @property
    def user(self) -> str:
        return self._broker.user

    @property
    def password(self) -> str:
        return self._broker.password

    @property
    def pid(self) -> int:
        assert self._broker.pid is not None
        return self._broker.pid

    @property
    def environment(self) -> dict[str, str]:
        """For a service's process."""
        return {"EVA_NATS_URL": self.url, "EVA_NATS_USER": self.user, "EVA_NATS_PASSWORD": self.password}

    async def start(self) -> None:
        self.url = await self._broker.start()

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        os.kill(self.pid, signal.SIGKILL)
        await self._broker.wait()

    async def restart(self) -> None:
        """Starts it again on the same port, with the same store."""
        await self._broker.stop()
        await self._broker.start()

    def pause(self) -> None:
        """SIGSTOP: the sockets stay open and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self) -> None:
        if self._broker.pid is not None:
            self.resume()
        await self._broker.stop()

    async def connect(self, name: str = "test", **options: object) -> NatsBus:
        """Returns a new connection; the caller closes it."""
        return await connect(self.url, name=name, user=self.user, password=self.password, **options)  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    await server.start()
    try:
        yield server
    finally:
        await asyncio.shield(server.stop())
