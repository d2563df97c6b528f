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
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from shared.bus.nats import NatsBus
from tests.conftest import NatsServer
from tests.fakes.stopped import until_stopped
from tests.models import tiny_voice, tiny_whisper

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 120.0
POLL_S = 0.03
STAGES = ("gateway", "stt", "llm", "tts")
PATIENT = {
    "EVA_GATEWAY_FILLER_MS": "0",
    "EVA_GATEWAY_APOLOGY_S": "25",
    "EVA_TURN_S": "120",
    "EVA_LLM_CONNECT_S": "60",
    "EVA_LLM_SERVER_FIRST_TOKEN_S": "100",
    "EVA_LLM_BETWEEN_TOKENS_S": "100",
    "EVA_STT_WARMUP_S": "110",
    "EVA_TTS_WARM_UP_S": "110",
}
"""No machine is too slow for a turn, where a test's subject is not how long somebody waits for it: no
lesser engine serves or answers instead, and nothing bridges the silence."""
OWN: Mapping[str, str] = {}
"""EVA's own deadlines, for whoever measures what becomes of a turn that meets trouble."""
UNPACED = {"EVA_GATEWAY_AHEAD_S": "600"}
"""Sound leaves far ahead of its playing: nobody listens, and nobody has to wait for it."""
FRESH = httpx.Limits(max_keepalive_connections=0)
"""A gateway that ends closes what is idle: no connection is used again that it may be about to close."""
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
        self._log_begins = 0

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
            self._log_begins = log.tell()
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
        until_stopped(self.pid)

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

    @property
    def url(self) -> str:
        """Of a gateway, as its log tells it: the kernel chose the port. ``StopIteration``: not yet."""
        lines = self.log.read_bytes()[self._log_begins :].decode(errors="replace").splitlines(keepends=True)
        line = next(line for line in lines if "gateway.ready" in line and line.endswith("\n"))  # a whole one
        return f"http://127.0.0.1:{line.strip().rpartition('port=')[2]}"


OPEN: list[House] = []
"""Those that are there now: a failure's report has the last lines of their logs."""


class House:
    """The broker, the services that were started, and what a person at the door sees of them."""

    def __init__(self, folder: Path, *, deadlines: Mapping[str, str] = PATIENT, **variables: str) -> None:
        self.folder = folder
        self.models_dir = folder / "models"
        self.server = NatsServer(folder)
        self.services: dict[str, Service] = {}
        self.http = httpx.AsyncClient(timeout=WAIT_S, trust_env=False, limits=FRESH)
        self._variables = {**deadlines, **variables}
        OPEN.append(self)

    def __getitem__(self, name: str) -> Service:
        return self.services[name]

    @property
    def url(self) -> str:
        """Of the gateway."""
        return self["gateway"].url

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
        if self in OPEN:
            OPEN.remove(self)
        for service in self.services.values():
            if service.is_running:
                with contextlib.suppress(ProcessLookupError):  # it has ended just now
                    service.resume()
                    service.signal(signal.SIGKILL)
                await service.wait()
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
        begun = {name: service for name, service in self.services.items() if service.log.exists()}
        tails = {name: service.said().splitlines()[-15:] for name, service in begun.items()}
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
            "EVA_CANARY_EVERY_S": "600",  # once EVA was audible its turns are the tests' alone
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
    folder: Path,
    *names: str,
    with_models: bool = True,
    deadlines: Mapping[str, str] = PATIENT,
    **variables: str,
) -> AsyncIterator[House]:
    """An EVA that is ready; it is gone afterwards.

    ``names``: the services, if not one of each; ``deadlines``: how long it waits for what, ``OWN``: as it
    does for people.
    """
    if with_models:
        install_models(folder)
    home = House(folder, deadlines=deadlines, **variables)
    try:
        await home.open(*names)
        yield home
    finally:
        await home.close()
