"""What tests of several parts use."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from hypothesis import HealthCheck, settings

from eva.broker import Broker
from eva.place import CannotStart
from shared.bus.nats import NatsBus, connect
from tests.fakes.stopped import until_stopped

# In CI the same examples each time: what it says of a commit must not depend on luck. At a desk new ones.
# Nothing is held against a machine that is slow or busy: no deadline, and no complaint of slow examples.
TIMELESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", TIMELESS, derandomize=True)
settings.register_profile("desk", TIMELESS)
settings.register_profile("thorough", TIMELESS, max_examples=3000)
settings.load_profile(os.environ.get("EVA_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "desk"))

WAIT_S = 60.0


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
    def monitor_url(self) -> str:
        return self._broker.monitor_url

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
        """Starts it again on the same port, with the same store.

        Meanwhile the kernel may have lent the port to somebody's connection, even to one of those who try to
        reach the server there: it is waited for.
        """
        await self._broker.stop()
        give_up_s = time.monotonic() + WAIT_S
        while True:
            try:
                await self._broker.start()
            except CannotStart:
                if time.monotonic() > give_up_s:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    def pause(self) -> None:
        """SIGSTOP: the sockets stay open and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)
        until_stopped(self.pid)

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
