"""A whole EVA for a test: a real broker and the services as processes, told by ``EVA_…`` variables alone.

Each process has a handle, so that a test can kill, pause and restart just that one. Nothing outside the
test's folder is read or written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from shared.bus.nats import NatsBus
from tests.conftest import NatsServer
from tests.models import tiny_voice, tiny_whisper

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 30.0
POLL_S = 0.03
STAGES = ("gateway", "stt", "llm", "tts")
RATE_HZ = 22050
"""Of the small voice."""


class Service:
    """One process; ``name`` is its stage, with a number behind it where there are several."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.stage = name.rstrip("0123456789")
        self.log = folder / "logs" / f"{name}.log"
        self.worker = ""
        """Its name on the bus, new at each start."""
        self._folder, self._environment = folder, environment
        self._process: Process | None = None
        self._starts = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, **variables: str) -> None:
        assert not self.is_running
        self._starts += 1
        self.worker = f"{self.name}-{self._starts}"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", f"services.{self.stage}",
                cwd=self._folder, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL,
                env=self._environment | {"EVA_WORKER_ID": self.worker} | variables,
            )  # fmt: skip

    async def kill(self) -> None:
        """SIGKILL: nobody is told."""
        self.signal(signal.SIGKILL)
        await self.wait()

    def pause(self) -> None:
        """SIGSTOP: its sockets stay open and nobody answers."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return await self.wait()

    async def wait(self) -> int:
        """Returns the exit code once it has ended."""
        assert self._process is not None
        async with asyncio.timeout(WAIT_S):
            return await self._process.wait()

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class House:
    """The broker, the services that were started, and what a person at the door sees of them."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.models_dir = folder / "models"
        self.server = NatsServer(folder)
        self.services: dict[str, Service] = {}
        self.http = httpx.AsyncClient(timeout=WAIT_S, trust_env=False)
        self._variables = variables

    def __getitem__(self, name: str) -> Service:
        return self.services[name]

    @property
    def url(self) -> str:
        """Of the gateway, as its log tells it: the kernel chose the port."""
        line = next(line for line in reversed(self["gateway"].said().splitlines()) if "gateway.ready" in line)
        return f"http://127.0.0.1:{line.rpartition('port=')[2]}"

    async def open(self, *names: str) -> None:
        """Starts the broker and services, and waits until a turn was audible."""
        await self.server.start()
        await asyncio.gather(*(self.start(name) for name in names or STAGES))
        await self.until_ready()

    async def start(self, name: str, **variables: str) -> Service:
        """Starts a service, or one more of its kind."""
        service = self.services.setdefault(name, Service(name, self.folder, self._environment()))
        await service.start(**variables)
        return service

    async def close(self) -> None:
        """Ends everything, whatever state it is in."""
        for service in self.services.values():
            if service.is_running:
                service.resume()
                await service.kill()
        await self.http.aclose()
        await self.server.stop()

    async def until_ready(self) -> None:
        """Waits until ``/readyz`` says yes."""

        async def is_ready() -> bool:
            with contextlib.suppress(httpx.TransportError, StopIteration):
                return (await self.http.get(f"{self.url}/readyz")).status_code == 200
            return False

        try:
            async with asyncio.timeout(WAIT_S):
                while not await is_ready():  # noqa: ASYNC110 - another process's state is polled
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"EVA was not ready:\n{self.logs()}") from None

    async def health(self) -> dict[str, Any]:
        """The answer of ``/health``."""
        answer: dict[str, Any] = (await self.http.get(f"{self.url}/health")).json()
        return answer

    async def health_when(
        self, holds: Callable[[dict[str, Any]], object], *, within_s: float = WAIT_S
    ) -> dict[str, Any]:
        """Returns ``/health`` as soon as it is so; fails if it is not in time."""
        began_s = time.monotonic()
        while not holds(health := await self.health()):
            took_s = time.monotonic() - began_s
            assert took_s < within_s, f"not within {within_s:g} s: {health['status']} {health['reasons']}"
            await asyncio.sleep(POLL_S)
        return health

    async def chat(self, message: str, **fields: object) -> dict[str, Any]:
        """A typed turn by ``POST /chat``."""
        answer = await self.http.post(f"{self.url}/chat", json={"message": message, **fields})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    @contextlib.asynccontextmanager
    async def bus(self) -> AsyncIterator[NatsBus]:
        """A connection of the test's own."""
        bus = await self.server.connect()
        try:
            yield bus
        finally:
            await bus.close()

    def logs(self) -> str:
        """The last lines of all logs, for a failure's report."""
        tails = {name: service.said().splitlines()[-15:] for name, service in self.services.items()}
        return "".join(f"--- {name}\n" + "\n".join(lines) + "\n" for name, lines in tails.items())

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("EVA_", "GROQ_"))}
        return {
            **kept,
            **self.server.environment,
            "PYTHONPATH": str(ROOT),
            "EVA_DATA_DIR": str(self.folder),
            "EVA_SUPERVISED": "1",  # they die with the tests, however those end
            "EVA_PORT": "0",
            "EVA_LLM_DISCOVER": "off",
            "EVA_STT_THREADS": "1",
            "EVA_TTS_THREADS": "1",
            **self._variables,
        }


def install_models(folder: Path) -> None:
    """Builds the small models where the services look for them."""
    tiny_whisper.install(folder / "models")
    tiny_voice.install(folder / "models", rate_hz=RATE_HZ)


@contextlib.asynccontextmanager
async def house(
    folder: Path, *names: str, with_models: bool = True, **variables: str
) -> AsyncIterator[House]:
    """An EVA that is ready; it is gone afterwards. ``names``: the services, if not one of each."""
    if with_models:
        install_models(folder)
    home = House(folder, **variables)
    try:
        await home.open(*names)
        yield home
    finally:
        await home.close()
