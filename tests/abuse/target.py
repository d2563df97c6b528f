"""What is attacked: a gateway's process with a real broker, workers without models, and a good client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.house import PATIENT, ROOT, House
from tests.fakes.workers import FakeWorkers

WAIT_S = 60.0
THINKS_S = 0.05
"""From an answer to the next question: without it a fast machine asks more often than is allowed."""
SLOW_MACHINE = PATIENT | {"EVA_GATEWAY_TAKE_UP_S": "60"}
"""The attackers share it with the workers, whose lateness is not what is looked at."""


@dataclass
class Companion:
    """A person who talks while others attack."""

    socket: ClientConnection
    took_s: list[float] = field(default_factory=list)
    """From each question to the first sound of its answer."""
    is_talking: bool = False
    failed: list[str] = field(default_factory=list)
    """Why turns ended without sound."""

    async def ask(self) -> None:
        """One typed turn, to its end."""
        began_s, is_answered = time.monotonic(), False
        await self.socket.send(json.dumps({"type": "message", "text": "Hi"}))
        async with asyncio.timeout(WAIT_S):
            while True:
                raw = await self.socket.recv()
                if isinstance(raw, bytes):
                    if not is_answered:
                        self.took_s.append(time.monotonic() - began_s)
                    is_answered = True
                    continue
                event = json.loads(raw)
                if event["type"] == "turn_done" and is_answered:
                    return
                if event["type"] in {"error", "turn_done"}:
                    self.failed.append(event.get("code", "no sound"))
                    return

    async def talk(self) -> None:
        """Turn after turn, until ``pause``."""
        self.is_talking = True
        while self.is_talking:
            await self.ask()
            await asyncio.sleep(THINKS_S)

    async def pause(self, talking: asyncio.Task[None]) -> None:
        """Ends ``talk`` behind the turn in flight; raises what went wrong with it."""
        self.is_talking = False
        await talking


class Target:
    """A gateway that can be attacked."""

    def __init__(self, home: House, workers: FakeWorkers) -> None:
        self.home, self.workers = home, workers

    @property
    def address(self) -> str:
        return self.home.url.removeprefix("http://")

    @contextlib.asynccontextmanager
    async def companion(self, **headers: str) -> AsyncIterator[Companion]:
        url = f"ws://{self.address}/ws/chat"
        async with connect(url, proxy=None, compression=None, additional_headers=headers) as socket:
            start = {"type": "start", "audio_out": {"format": "pcm", "rate_hz": 16000}}
            await socket.send(json.dumps(start))
            yield Companion(socket)

    async def attack(self, kind: str, *, seconds: float) -> dict[str, Any]:
        """Attacks from a process of its own; returns what it tells."""
        host, _, port = self.address.partition(":")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.abuse.attackers", kind, host, port, str(seconds)),
            cwd=ROOT, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(WAIT_S + seconds):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode()
        told: dict[str, Any] = json.loads(out)
        return told

    async def errors(self) -> dict[str, float]:
        """What the gateway has counted, by code."""
        return {
            line.partition('"')[2].partition('"')[0]: float(line.rpartition(" ")[2])
            for line in await self._metrics()
            if line.startswith("eva_errors_total{")
        }

    async def until_empty(self) -> None:
        """Waits until the gateway has noticed that all have left: until then their places are taken."""
        async with asyncio.timeout(WAIT_S):
            while "eva_sessions_active 0.0" not in await self._metrics():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async def _metrics(self) -> list[str]:
        return (await self.home.http.get(f"{self.home.url}/metrics")).text.splitlines()


@contextlib.asynccontextmanager
async def target(folder: Path, *, key: str = "", **variables: str) -> AsyncIterator[Target]:
    """A gateway that is ready to be talked to; it is gone afterwards, and told of no defect.

    ``key``: the only one that it lets in; "": it lets everybody in.
    """
    if key:
        (folder / "keys").write_text(f"{key}\n", encoding="utf-8")
        variables |= {"EVA_GATEWAY_AUTH": "on", "EVA_API_KEYS_FILE": str(folder / "keys")}
    home = House(folder, **({"EVA_CANARY": "off"} | SLOW_MACHINE | variables))
    await home.server.start()
    try:
        async with home.bus() as bus:
            workers = FakeWorkers(bus)
            async with workers.running():
                await home.start("gateway")
                await until_answered(home, key)
                yield Target(home, workers)
                said = home["gateway"].said()
                assert "Traceback" not in said, said
                assert "defect" not in said, said
    finally:
        await home.close()


async def until_answered(home: House, key: str) -> None:
    """Waits until a turn is answered."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(httpx.TransportError, StopIteration):
                answer = await home.http.post(f"{home.url}/chat", json={"message": "Hi"}, headers=headers)
                if answer.status_code == 200:
                    return
            await asyncio.sleep(0.1)
