"""A broker and one process that hears: EVA's speech recognition worker, or the peer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.house import TICKS_A_SECOND
from eva.broker import Broker
from shared import subjects
from shared.bus import Bus
from shared.bus.nats import connect
from shared.errors import EngineFailed
from shared.messages import AnyMessage, Facts

START_S = 90.0
LOOK_EVERY_S = 0.1


@dataclass
class Workplace:
    """What a measurement needs of it."""

    bus: Bus
    process: asyncio.subprocess.Process
    facts: list[Facts] = field(default_factory=list)
    """The newest, once a worker has told some."""
    _used: dict[tuple[int, str], float] = field(default_factory=dict)
    """Processor time by process and its start."""

    @property
    def pid(self) -> int:
        """Of the process that hears."""
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has died; what it wrote says why."""
        return self.process.returncode is not None

    def cpu_s(self) -> float:
        """Returns the processor time so far of the process and of all that it has started, seconds.

        Forks are looked at ten times a second: what one uses behind the last look is not counted.
        """
        self.look()
        return sum(self._used.values())

    def look(self) -> None:
        """Notes what the processes that live have used."""
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):  # it has just ended
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self._used[pid, fields[19]] = (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (thread / "children").read_text().split())

    async def watch(self) -> None:
        """Looks until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def ready(self) -> Facts:
        """Waits until EVA's worker is warm; returns what it says of itself."""
        async with asyncio.timeout(START_S):
            while not self.has_ended:
                if self.facts and self.facts[-1].state in {"ready", "degraded"}:
                    return self.facts[-1]
                await asyncio.sleep(0.05)
        raise EngineFailed("ears", "their process has ended; what it wrote says why")


@contextlib.asynccontextmanager
async def workplace(command: Sequence[str], environment: dict[str, str]) -> AsyncIterator[Workplace]:
    """Runs ``python -m`` with the command until it can be asked for ears."""
    with tempfile.TemporaryDirectory() as directory:
        broker = Broker(Path(directory))
        url = await broker.start()
        everything = {
            **os.environ,
            "EVA_NATS_URL": url,
            "EVA_NATS_USER": broker.user,
            "EVA_NATS_PASSWORD": broker.password,
            "EVA_BENCH_BROKER": json.dumps([url, broker.user, broker.password]),
            "EVA_DATA_DIR": directory,
            "EVA_LOG_LEVEL": "ERROR",
            **environment,
        }
        bus = await connect(url, name="bench", user=broker.user, password=broker.password)
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, env=everything)
        built = Workplace(bus, process)
        watching = asyncio.create_task(built.watch())

        def take(_: str, message: AnyMessage) -> None:
            if isinstance(message, Facts):
                built.facts[:] = [message]

        try:
            await bus.subscribe(subjects.FACTS_ALL, take)
            yield built
        finally:
            watching.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            await bus.close()
            await broker.stop()
