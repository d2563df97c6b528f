"""Runs the services of one EVA side by side, and stops them in order: the gateway first, then the workers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from eva.process import Child, Program

GATEWAY_GRACE_S = 6.5
"""So long it may take at worst, once it has drained, to end its sessions and store them; mostly less than a
second."""
WORKERS_GRACE_S = 1.5
DRAIN_S = 2.0
"""What a service is told, unless the operator says otherwise; workers have nothing to do behind it, since the
gateway is gone by then."""
ROOT = Path(__file__).resolve().parent.parent


def programs(
    counts: dict[str, int],
    environment: dict[str, str],
    instead: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Program]:
    """Returns what to run: ``counts`` processes of each service, named ``tts``, or ``tts-1`` and so on.

    ``instead`` says what follows ``python -m`` for a stage that is not run by its service.
    """
    others = instead or {}
    inherited = dict(os.environ)
    path = os.pathsep.join(part for part in (str(ROOT), inherited.get("PYTHONPATH", "")) if part)
    shared = {"EVA_DRAIN_S": str(DRAIN_S), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    return [
        Program(
            name=stage if count == 1 else f"{stage}-{number}",
            stage=stage,
            argv=(sys.executable, "-P", "-m", *others.get(stage, (f"services.{stage}",))),
            environment={**inherited, **shared, **environment},
        )
        for stage, count in counts.items()
        for number in range(1, count + 1)
    ]


class Supervisor:
    """Owns the processes; ``run`` returns after ``stop`` or ``kill``."""

    def __init__(
        self, what: list[Program], logs: Path, *, on_change: Callable[[], None], drain_s: float = DRAIN_S
    ) -> None:
        self._drain_s = drain_s
        self.children = [Child(program, logs, on_change=on_change) for program in what]
        self._ended = {child.program.name: asyncio.Event() for child in self.children}

    async def run(self) -> None:
        """Keeps all processes running until they were stopped; being cancelled kills them."""
        async with asyncio.TaskGroup() as tasks:
            for child in self.children:
                tasks.create_task(self._keep(child), name=child.program.name)

    async def _keep(self, child: Child) -> None:
        try:
            await child.run()
        finally:
            self._ended[child.program.name].set()

    async def stop(self) -> None:
        """Drains the gateway, so that each turn gets its end, then the workers; kills who is late."""
        is_gateway = [child for child in self.children if child.program.stage == "gateway"]
        others = [child for child in self.children if child.program.stage != "gateway"]
        await self._stop(is_gateway, self._drain_s + GATEWAY_GRACE_S)
        await self._stop(others, WORKERS_GRACE_S)

    async def _stop(self, children: list[Child], grace_s: float) -> None:
        for child in children:
            child.stop()
        waits = [self._ended[child.program.name].wait() for child in children]
        try:
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*waits)
        except TimeoutError:
            for child in children:
                child.kill()

    def kill(self) -> None:
        """Ends everything at once."""
        for child in self.children:
            child.stop()
            child.kill()
