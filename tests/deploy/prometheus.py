"""A real Prometheus for a test: Debian's, on a port that the kernel chose, told what to scrape."""

from __future__ import annotations

import asyncio
import copy
import re
import shutil
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
WAIT_S = 120.0
POLL_S = 0.05
SCRAPE_EVERY_S = 0.5
Series = dict[str, Any]

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="no Prometheus here (Debian: apt-get install prometheus)",
)


def scraping(targets: dict[str, list[str]], *, key_file: Path, every_s: float = SCRAPE_EVERY_S) -> Series:
    """The committed configuration with addresses in place of names that only an engine's DNS knows.

    ``targets``: addresses by job; jobs that the file does not have are added as they are.
    """
    config: Series = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    every = f"{round(1000 * every_s)}ms"
    config["global"] |= {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    config["rule_files"] = [str(FOLDER / name) for name in config["rule_files"]]
    known = {job["job_name"]: job for job in config["scrape_configs"]}
    jobs = []
    for name, addresses in targets.items():
        job = copy.deepcopy(known.get(name, {"job_name": name}))
        job.pop("dns_sd_configs", None)
        if "authorization" in job:
            job["authorization"] = {"credentials_file": str(key_file)}
        jobs.append(job | {"static_configs": [{"targets": addresses}]})
    return config | {"scrape_configs": jobs}


class Prometheus:
    """A running one; ``async with Prometheus(folder, config) as prometheus``."""

    def __init__(self, folder: Path, config: Series) -> None:
        self.folder = folder
        self.url = ""
        self._config = config
        self._process: Process | None = None
        self._http = httpx.AsyncClient(timeout=WAIT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(self._config))
        log = self.folder / "prometheus.log"
        with log.open("wb") as said:
            self._process = await asyncio.create_subprocess_exec(
                "prometheus", f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}", "--web.listen-address=127.0.0.1:0",
                "--enable-feature=exemplar-storage", stdout=said, stderr=said,
                stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        try:
            async with asyncio.timeout(WAIT_S):
                while not await self._is_ready(log.read_text()):
                    assert self._process.returncode is None, log.read_text()
                    await asyncio.sleep(POLL_S)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._http.aclose()

    async def _is_ready(self, log: str) -> bool:
        if (found := re.search(r'msg="Listening on" address=(\S+)', log)) is None:
            return False
        self.url = f"http://{found[1]}"
        return (await self._http.get(f"{self.url}/-/ready")).status_code == 200

    async def ask(self, path: str, **params: object) -> Any:
        """The ``data`` of an answer of its API."""
        told = await self._http.get(
            f"{self.url}/api/v1/{path}", params={k: str(v) for k, v in params.items()}
        )
        answer = told.json()
        assert answer["status"] == "success", f"{params}: {answer}"
        return answer["data"]

    async def series(self, expr: str) -> list[Series]:
        """What an expression is now."""
        found: list[Series] = (await self.ask("query", query=expr))["result"]
        return found

    async def until(self, expr: str) -> list[Series]:
        """Waits until an expression has series, and returns them."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not (found := await self.series(expr)):  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            targets = (await self.ask("targets"))["activeTargets"]
            told = [(each["scrapeUrl"], each["health"], each["lastError"]) for each in targets]
            raise AssertionError(f"no series of {expr}; targets: {told}") from None
        return found

    async def rules(self) -> list[Series]:
        """The alert rules as it has evaluated them."""
        return [rule for group in (await self.ask("rules"))["groups"] for rule in group["rules"]]
