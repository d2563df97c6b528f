"""The processes that play people, and what EVA's own processes use meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from eva.bench_level import Generator, Level, Use, level_of
from eva.bench_people import Order, Told
from eva.bench_use import cpu_s, family, memory_mib
from eva.process import die_with_parent
from eva.stack import Stack
from eva.supervisor import ROOT
from shared.errors import EvaError

PEOPLE_EACH = 32
"""From so many people on another process helps, up to one a core."""
LEAD_S = 0.3
"""Until the first one comes."""
JOIN_EACH_S, JOIN_AT_MOST_S = 0.025, 5.0
"""Between two who come, and for all of them."""
SETTLE_S = 0.5
"""Until it is measured, once all have come: the first questions of most of them count, too."""
LINE_BYTES = 2**26
"""The longest answer of a generator."""


class GeneratorLost(EvaError):
    """A load generator has ended; what it wrote says why."""

    code = "generator_lost"


class Generators:
    """Any number of them, started as they are needed."""

    def __init__(self, url: str, folder: Path, seed: int) -> None:
        self._words = [sys.executable, "-m", "eva.bench_people", url, str(folder), str(seed)]
        self._processes: list[asyncio.subprocess.Process] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def ready(cls, url: str, folder: Path, seed: int) -> AsyncIterator[Generators]:
        """Keeps them for as long as the context lasts; ``folder`` holds what people say."""
        made = cls(url, folder, seed)
        try:
            yield made
        finally:
            for process in made._processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def level(self, users: int, seconds: float, stack: Stack | None) -> Level:
        """Has so many people talk, and measures them for so long. Raises ``GeneratorLost``."""
        count = min(-(-users // PEOPLE_EACH), os.cpu_count() or 1)
        while len(self._processes) < count:
            self._processes.append(await self._started())
        joining_s = min(users * JOIN_EACH_S, JOIN_AT_MOST_S)
        first_s = time.monotonic() + LEAD_S
        from_s = first_s + joining_s + SETTLE_S
        until_s = from_s + seconds
        orders = [
            Order(
                numbers=(numbers := list(range(which, users, count))),
                joins_s=[first_s + joining_s * number / users for number in numbers],
                from_s=from_s,
                until_s=until_s,
            )
            for which in range(count)
        ]
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(_ask(process, order))
                for process, order in zip(self._processes, orders, strict=False)
            ]
            using = tasks.create_task(_use(stack, from_s, until_s))
        told = [task.result() for task in asked]
        generator = Generator(
            late_p99_ms=max(one.generator.late_p99_ms for one in told),
            cores=max(one.generator.cores for one in told),
            people=sum(one.generator.people for one in told),
        )
        met = [each for one in told for each in one.met]
        return level_of(users, seconds, met, using.result(), generator)

    async def _started(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        return await asyncio.create_subprocess_exec(
            *self._words,
            stdin=pipe,
            stdout=pipe,
            limit=LINE_BYTES,
            env={**os.environ, "PYTHONPATH": path},
            preexec_fn=die_with_parent(),
        )


async def _ask(process: asyncio.subprocess.Process, order: Order) -> Told:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        await process.stdin.drain()
        return msgspec.json.decode(await process.stdout.readline(), type=Told)
    except (OSError, msgspec.DecodeError) as error:
        raise GeneratorLost("a load generator has ended") from error


async def _use(stack: Stack | None, from_s: float, until_s: float) -> dict[str, Use]:
    """Returns what each of EVA's stages used between two moments; nothing where she is not our own."""
    await asyncio.sleep(max(0.0, from_s - time.monotonic()))
    before, began_s = _used_s(stack), time.monotonic()
    await asyncio.sleep(max(0.0, until_s - time.monotonic()))
    after, seconds = _used_s(stack), time.monotonic() - began_s
    return {
        stage: Use(
            cores=round(max(0.0, used_s - before.get(stage, used_s)) / max(1e-3, seconds), 4),
            memory_mib=round(memory_mib(_families(stack)[stage]), 1),
        )
        for stage, used_s in after.items()
    }


def _used_s(stack: Stack | None) -> Mapping[str, float]:
    return {stage: cpu_s(pids) for stage, pids in _families(stack).items()}


def _families(stack: Stack | None) -> dict[str, set[int]]:
    """Returns the processes of each stage."""
    found: dict[str, set[int]] = {}
    for process in stack.processes() if stack is not None else ():
        pids = family(process.pid) if process.pid is not None else set()
        found[process.stage] = found.get(process.stage, set()) | pids
    return found
