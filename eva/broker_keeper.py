"""Brings the embedded broker back when it dies, on the same port and with what it had stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

from eva.broker import Broker
from eva.place import CannotStart
from eva.restart import Deaths, after_death
from eva.status import ProcessState


class BrokerKeeper:
    """Owns the broker of one EVA."""

    def __init__(self, broker: Broker, *, on_change: Callable[[], None]) -> None:
        self._broker, self._on_change = broker, on_change
        self._deaths = Deaths()
        self._reason = ""

    async def start(self) -> dict[str, str]:
        """Starts the broker; returns the variables by which services reach it. Raises ``CannotStart``."""
        url = await self._broker.start()
        return {
            "EVA_NATS_URL": url,
            "EVA_NATS_USER": self._broker.user,
            "EVA_NATS_PASSWORD": self._broker.password,
            "EVA_NATS_MONITOR_URL": self._broker.monitor_url,
        }

    async def run(self) -> NoReturn:
        """Starts the broker anew after each death, until cancelled."""
        while True:
            began_s = time.monotonic()
            code = await self._broker.wait()
            self._reason = f"exit code {code}"
            await self._revive(code, alive_s=time.monotonic() - began_s)

    async def _revive(self, code: int, *, alive_s: float) -> None:
        while True:
            restart = after_death(self._deaths, exit_code=code, alive_s=alive_s)
            self._deaths = restart.deaths
            self._on_change()
            await asyncio.sleep(restart.delay_s)
            try:
                await self._broker.start()
            except CannotStart as error:
                self._reason, code, alive_s = str(error), 1, 0.0
                continue
            self._on_change()
            return

    async def stop(self) -> None:
        """Ends the broker."""
        await self._broker.stop()

    def state(self) -> ProcessState:
        """Returns what is known of the process."""
        pid = self._broker.pid
        return ProcessState(
            name="broker",
            stage="broker",
            pid=pid,
            state="running" if pid else "waiting",
            restarts=self._deaths.total,
            reason=self._reason,
        )
