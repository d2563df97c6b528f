"""Several gateway processes behind one port: started, started again, and seen out by one that serves nobody.

Linux divides new connections among the listeners of a port (``SO_REUSEPORT``); elsewhere all take them from
the parent's one. Each process has its own name on the bus and its own sessions. The parent keeps the port
bound for as long as it lives, so that nobody else gets it while a process is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from services.gateway.server import can_share, listen, reserve
from services.gateway.settings import GatewaySettings
from shared.observe import Log
from shared.service import EXIT_CONFIG, EXIT_OK

log = Log("eva.gateway")

AGAIN_S, AGAIN_AT_MOST_S = 0.5, 10.0
"""Before a process that died is started again; doubled with each death within ``STEADY_S``."""
STEADY_S = 60.0
SEEN_OUT_S = 5.0
"""Beyond the time in which turns may end."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one of several processes is told by its parent, on its command line."""

    name: str
    """Its number, from 0."""
    folder: Path
    """Where the processes tell one another how they are."""
    listener: int | None = None
    """File descriptor of the parent's listener, where the port cannot be shared."""

    def words(self) -> list[str]:
        """Returns the command line."""
        return [self.name, str(self.folder), *([] if self.listener is None else [str(self.listener)])]

    @classmethod
    def of(cls, words: list[str]) -> Share | None:
        """Returns what a command line says; None: this is no part of several."""
        if not words:
            return None
        listener = int(words[2]) if len(words) > 2 else None
        return cls(name=words[0], folder=Path(words[1]), listener=listener)

    def listen(self, settings: GatewaySettings) -> socket.socket:
        """Returns this process's listener. Raises ``AddressInUse``."""
        if self.listener is not None:
            return socket.socket(fileno=self.listener)
        return listen(settings.host, settings.port, is_shared=True)


class Processes:
    """The processes of one gateway."""

    def __init__(self, settings: GatewaySettings, held: socket.socket, folder: Path) -> None:
        self._settings, self._held, self._folder = settings, held, folder
        self._stop = asyncio.Event()
        self._code = EXIT_OK

    async def run(self) -> int:
        """Keeps all of them running until SIGTERM or SIGINT; returns the exit code."""
        loop = asyncio.get_running_loop()
        for wanted in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(wanted, self._stop.set)
        log.info(
            "gateway.processes", count=self._settings.gateway_processes, port=self._held.getsockname()[1]
        )
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._settings.gateway_processes):
                tasks.create_task(self._keep(str(number)), name=f"process {number}")
        return self._code

    async def _keep(self, name: str) -> None:
        """Runs one process, again and again."""
        pause_s = AGAIN_S
        while not self._stop.is_set():
            began_s = time.monotonic()
            code = await self._run(name)
            if self._stop.is_set():
                return
            if code == EXIT_CONFIG:
                self._code = code
                self._stop.set()
                return
            pause_s = AGAIN_S if time.monotonic() - began_s > STEADY_S else min(2 * pause_s, AGAIN_AT_MOST_S)
            log.warning("gateway.process_died", process=name, code=code, again_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)

    async def _run(self, name: str) -> int:
        """Runs one process once; returns its exit code."""
        share = Share(name=name, folder=self._folder, listener=None if can_share() else self._held.fileno())
        environment = {**os.environ, "EVA_PORT": str(self._held.getsockname()[1]), "EVA_SUPERVISED": "1"}
        if self._settings.worker_id:
            environment["EVA_WORKER_ID"] = f"{self._settings.worker_id}-{name}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.gateway", *share.words()),
            env=environment,
            pass_fds=() if share.listener is None else (share.listener,),
        )
        ended = asyncio.create_task(process.wait(), name=f"wait {name}")
        stopped = asyncio.create_task(self._stop.wait(), name=f"stop {name}")
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            process.terminate()
            await asyncio.wait({ended}, timeout=self._settings.drain_s + SEEN_OUT_S)
        if not ended.done():
            process.kill()
        return await ended


async def run_processes(settings: GatewaySettings) -> int:
    """Serves with as many processes as the settings say; returns the exit code. Raises ``AddressInUse``."""
    with (
        reserve(settings.host, settings.port) as held,
        tempfile.TemporaryDirectory(prefix="eva-gateway-") as folder,
    ):
        return await Processes(settings, held, Path(folder)).run()
