"""The containers' broker: a real ``nats-server`` with deploy/nats, whose users deploy/prepare.py made."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nats
from nats.aio.client import Client

from eva.broker import find_server
from shared.bus.nats import NatsBus, connect
from shared.bus.nats_address import read_address

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0


class Rights:
    """The broker; only its ports and its folders are another's than in a container."""

    def __init__(self, folder: Path, scheme: str) -> None:
        self.folder, self.scheme = folder, scheme
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None

    def prepare(self) -> None:
        """Does what the container ``prepare`` does; may be done again."""
        for name in ("nats", "gateway", "stt", "llm", "tts", "operator", "grafana"):
            (self.folder / "secrets" / name).mkdir(parents=True, exist_ok=True)
        told = {"SECRETS": str(self.folder / "secrets"), "EVA_NATS_SCHEME": self.scheme}
        script = ROOT / "deploy" / "prepare.py"
        subprocess.run([sys.executable, script], env={**os.environ, **told}, check=True, timeout=WAIT_S)

    async def start(self) -> None:
        self.prepare()
        conf, run = self.folder / "etc" / "nats", self.folder / "run"
        conf.mkdir(parents=True)
        run.mkdir()
        (run / "eva").symlink_to(self.folder / "secrets" / "nats")
        for file in ("nats.conf", "tls.conf", "accounts.conf"):
            text = (ROOT / "deploy" / "nats" / file).read_text()
            for ours, here in (
                ('"/run/eva', f'"{run}/eva'),
                ('"/data"', json.dumps(str(self.folder / "data"))),
                ('"0.0.0.0:4222"', f'"127.0.0.1:-1"\nports_file_dir: {json.dumps(str(self.folder))}'),
                ('"0.0.0.0:8222"', '"127.0.0.1:-1"'),
            ):
                text = text.replace(ours, here)
            (conf / file).write_text(text)
        log = (self.folder / "nats.log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            find_server(), "-c", conf / f"{self.scheme}.conf", stdout=log, stderr=log
        )
        log.close()
        async with asyncio.timeout(WAIT_S):
            self.url = await self._address()

    async def _address(self) -> str:
        assert self._process is not None
        file = self.folder / f"nats-server_{self._process.pid}.ports"
        while True:
            assert self._process.returncode is None, self.said()
            with contextlib.suppress(OSError, ValueError, KeyError):
                port = json.loads(file.read_text())["nats"][0].rpartition(":")[2]
                return f"{self.scheme}://127.0.0.1:{port}"
            await asyncio.sleep(0.02)

    def environment_of(self, user: str) -> dict[str, str]:
        """What the compose file tells a service."""
        secrets = self.folder / "secrets" / user
        url = f"{self.url}?ca={secrets / 'nats_ca.pem'}"
        return {"EVA_NATS_URL": url, "EVA_NATS_USER": user, "EVA_SECRETS_DIR": str(secrets)}

    @property
    def environment(self) -> dict[str, str]:
        """What is common to all services: nothing."""
        return {}

    def said(self) -> str:
        """The broker's log."""
        return (self.folder / "nats.log").read_text(errors="replace")

    def password_of(self, user: str) -> str:
        return (self.folder / "secrets" / user / "eva_nats_password").read_text()

    @contextlib.asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[tuple[Client, asyncio.Queue[str]]]:
        """A stock client as this user, and what the server complains of."""
        complaints: asyncio.Queue[str] = asyncio.Queue()

        async def note(error: Exception) -> None:
            complaints.put_nowait(str(error))

        servers, tls = read_address(self.environment_of(user)["EVA_NATS_URL"])
        client = await nats.connect(
            servers, tls=tls, user=user, password=self.password_of(user), error_cb=note,
            connect_timeout=int(WAIT_S), allow_reconnect=False,
        )  # fmt: skip
        try:
            yield client, complaints
        finally:
            await client.close()

    async def connect(self) -> NatsBus:
        """A connection of a test's own, as the gateway's: it may hear what all tell it."""
        return await connect(
            self.environment_of("gateway")["EVA_NATS_URL"],
            name="gateway",
            user="gateway",
            password=self.password_of("gateway"),
        )

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
