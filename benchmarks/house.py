"""Starts EVA's processes for a measurement, and ends them: a broker, a gateway, and workers as named."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from eva.broker import Broker
from eva.place import free_port

START_S = 60.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class House:
    """A running EVA, measured from outside."""

    url: str
    nats_url: str
    user: str
    password: str
    pids: dict[str, int] = field(default_factory=dict)
    commands: dict[str, Sequence[str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    own: Mapping[str, dict[str, str]] = field(default_factory=dict)
    """What only one of them is told, by its name."""
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        """Starts a process, the first time or anew."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *self.commands[name], env=self.environment | self.own.get(name, {})
        )
        self.processes[name], self.pids[name] = process, process.pid

    async def kill(self, name: str) -> None:
        """Kills a process as the kernel would."""
        self.processes[name].kill()
        await self.processes[name].wait()

    async def stop(self) -> None:
        """Ends all of them."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes.values():
            await process.wait()

    @property
    def socket_url(self) -> str:
        """Where the WebSocket is."""
        return self.url.replace("http", "ws", 1) + "/ws/chat"

    def cpu_s(self, name: str) -> float:
        """Returns the processor time that a process has used, seconds."""
        fields = Path(f"/proc/{self.pids[name]}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND

    def memory_mib(self, name: str) -> tuple[float, float]:
        """Returns the resident and the proportional memory of a process and its children, MiB."""
        pid = self.pids[name]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        sizes = [_memory_mib(each) for each in (pid, *map(int, children))]
        return sum(rss for rss, _ in sizes), sum(pss for _, pss in sizes)


def _memory_mib(pid: int) -> tuple[float, float]:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:] if ":" in line}
    return kib["Rss"] / 1024, kib["Pss"] / 1024


@contextlib.asynccontextmanager
async def house(
    modules: Mapping[str, Sequence[str]],
    environment: dict[str, str],
    *,
    own: Mapping[str, dict[str, str]] | None = None,
) -> AsyncIterator[House]:
    """Runs the gateway and ``modules`` (name → what follows ``python -m``) until it is ready."""
    with tempfile.TemporaryDirectory() as directory:
        broker = Broker(Path(directory))
        nats_url = await broker.start()
        port = free_port("127.0.0.1", 0)
        built = House(f"http://127.0.0.1:{port}", nats_url, broker.user, broker.password)
        everything = {
            **os.environ,
            "EVA_NATS_URL": nats_url,
            "EVA_NATS_USER": broker.user,
            "EVA_NATS_PASSWORD": broker.password,
            "EVA_PORT": str(port),
            "EVA_DATA_DIR": directory,
            "EVA_LOG_LEVEL": "ERROR",
            **environment,
        }
        built.environment, built.own = everything, own or {}
        built.commands = {"gateway": ["services.gateway"], **modules}
        try:
            for name in built.commands:
                await built.start(name)
            await _ready(built.url, list(built.processes.values()))
            yield built
        finally:
            await built.stop()
            await broker.stop()


async def _ready(url: str, processes: Sequence[asyncio.subprocess.Process]) -> None:
    async with asyncio.timeout(START_S), httpx.AsyncClient(base_url=url, trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == httpx.codes.OK:
                    return
            if any(process.returncode is not None for process in processes):
                raise RuntimeError("a process has ended; what it wrote says why")
            await asyncio.sleep(0.1)
