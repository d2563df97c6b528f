"""An EVA on three "machines": a broker on each, and on two of them a gateway and one worker of each stage."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx

from tests.cluster.nodes import Cluster, Node
from tests.e2e.house import POLL_S, ROOT, Service, install_models

STAGES = ("gateway", "stt", "llm", "tts")
PATIENCE_S = 120.0


class Town:
    """The services by name: ``gateway1`` stands on the first machine."""

    def __init__(self, folder: Path, stages: Sequence[str] = STAGES, **variables: str) -> None:
        self.folder, self.stages = folder, stages
        self.cluster = Cluster(folder)
        self.services: dict[str, Service] = {}
        self._variables = variables

    def machine(self, number: int) -> tuple[Node, list[Service]]:
        """Returns the broker and the services of the first machine or the second."""
        return self.cluster.nodes[number - 1], [self.services[f"{stage}{number}"] for stage in self.stages]

    def url(self, gateway: str) -> str:
        """Of a gateway, as its log tells it; "": it is not there."""
        if not self.services[gateway].is_running:
            return ""  # its port may be somebody else's by now
        said = self.services[gateway].said().splitlines(keepends=True)
        lines = [line for line in said if "gateway.ready" in line and line.endswith("\n")]  # whole ones
        return f"http://127.0.0.1:{lines[-1].strip().rpartition('port=')[2]}" if lines else ""

    async def open(self) -> None:
        """Starts everything and waits until a turn was audible at each gateway."""
        await self.cluster.start()
        for stage in self.stages:
            for number in (1, 2):
                name = f"{stage}{number}"
                self.services[name] = Service(name, self.folder, self._environment())
        await asyncio.gather(*(service.start() for service in self.services.values()))
        await self.until_ready()

    async def until_ready(self) -> None:
        """Waits until all services that run are ready."""
        running = [service for service in self.services.values() if service.is_running]
        async with asyncio.timeout(PATIENCE_S), httpx.AsyncClient(trust_env=False) as http:
            for service in running:
                while not await self._is_ready(http, service):  # noqa: ASYNC110 - another's state
                    await asyncio.sleep(POLL_S)

    async def _is_ready(self, http: httpx.AsyncClient, service: Service) -> bool:
        if service.stage != "gateway":
            starts = int(service.worker.rpartition("-")[2])
            return service.said().count("worker.ready") >= starts
        with contextlib.suppress(httpx.TransportError):
            url = self.url(service.name)
            health = (await http.get(f"{url}/health")).json() if url else {}
            told = [health.get("stages", {}).get(stage, {}) for stage in self.stages if stage != "gateway"]
            return all(stage.get("state") in {"ready", "degraded"} for stage in told)
        return False

    async def close(self) -> None:
        """Ends everything, whatever state it is in."""
        for service in self.services.values():
            if service.is_running:
                service.resume()
                await service.kill()
        await self.cluster.stop()

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("EVA_", "GROQ_"))}
        return {
            **kept,
            **self.cluster.environment,
            "PYTHONPATH": str(ROOT),
            "EVA_DATA_DIR": str(self.folder),
            "EVA_SUPERVISED": "1",  # they die with the tests, however those end
            "EVA_PORT": "0",
            "EVA_LLM_DISCOVER": "off",
            "EVA_CANARY_EVERY_S": "600",
            "EVA_STT_THREADS": "1",
            "EVA_TTS_THREADS": "1",
            **self._variables,
        }


@contextlib.asynccontextmanager
async def town(folder: Path, stages: Sequence[str] = STAGES, **variables: str) -> AsyncIterator[Town]:
    """A town that is ready; it is gone afterwards."""
    install_models(folder)
    made = Town(folder, stages, **variables)
    try:
        await made.open()
        yield made
    finally:
        await made.close()
