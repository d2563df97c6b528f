"""How many sessions one gateway process carries, sound both ways: writes its part of ``docs/benchmarks.md``.

    python -m benchmarks.edge [--strict] [--pipecat FOLDER] [--out docs/benchmarks.md]

Takes about ten minutes. Everybody sends 20 ms frames of 24 kHz PCM and gets them back: through EVA's
gateway, broker and a worker that echoes (``edge_echo``), over ``/ws/chat`` and over ``/v1/realtime``; through
an echo pipeline of Pipecat's, stock and tuned (``edge_pipecat``), which is one process; and from bare sockets
(``edge_bare``), which is what any gateway in this language costs at least. The server's process has a core of
its own; callers (``edge_load``), broker and worker share the others. A number of sessions is *carried* while
the 99th percentile of a frame's way there and back is at most 50 ms above the median of a lone session, and
99 % of the frames come back. The first run makes Pipecat's environment, which takes a minute more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Self

from benchmarks.aims import Aim, judge
from benchmarks.edge_report import Measured, report
from benchmarks.edge_rungs import (
    LOADED,
    MEASURE_S,
    MOST,
    PROBES,
    PROBING_S,
    Callers,
    Rung,
    Server,
    climb,
)
from benchmarks.figures import write_part
from benchmarks.house import house
from eva.place import free_port

PIPECAT = "1.14.0"
EVA_CHAT, EVA_REALTIME = "EVA `/ws/chat`", "EVA `/v1/realtime`"
STOCK, TUNED = f"Pipecat {PIPECAT} stock", f"Pipecat {PIPECAT} tuned"
BARE = "bare sockets"
BARE_MOST = 800
"""More is not asked for: it is far beyond what the others carry."""
WORKERS = {"echo": ["benchmarks.edge_echo"], "llm": ["eva.stand_ins", "llm"]}
SETTINGS = {
    "EVA_LLM_DISCOVER": "off",
    "EVA_TURN_S": "600",
    "EVA_GATEWAY_FILLER_MS": "0",
    "EVA_GATEWAY_MAX_SESSIONS": "5000",
}
START_S = 60.0
CONNECT_MS = 50.0
TIMES = 10.0
Place = Callable[[], AbstractAsyncContextManager[Server]]


@contextlib.asynccontextmanager
async def eva() -> AsyncIterator[Server]:
    """Runs the gateway, its broker and the workers that cost little."""
    async with house(WORKERS, SETTINGS) as built:
        yield Server(int(built.url.rsplit(":", 1)[1]), built.pids["gateway"])


def pipecat(folder: Path, kind: str) -> AbstractAsyncContextManager[Server]:
    """Runs Pipecat's echo."""
    script = Path(__file__).with_name("edge_pipecat.py")
    return alone(lambda port: [str(folder / "bin" / "python"), str(script), str(port), kind])


def bare() -> AbstractAsyncContextManager[Server]:
    """Runs the bare sockets."""
    return alone(lambda port: [sys.executable, "-m", "benchmarks.edge_bare", str(port)])


@contextlib.asynccontextmanager
async def alone(command: Callable[[int], list[str]]) -> AsyncIterator[Server]:
    """Runs a server that is one process."""
    port = free_port("127.0.0.1", 0)
    words = command(port)
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(START_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.1)
        yield Server(port, process.pid)
    finally:
        process.kill()
        await process.wait()


async def install(folder: Path) -> None:
    """Makes Pipecat's environment if it is not there."""
    if (folder / "bin" / "uvicorn").exists():
        return
    say(f"making an environment for Pipecat in {folder}")
    for words in (
        [sys.executable, "-m", "venv", str(folder)],
        [
            *(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"),
            *(f"pipecat-ai[websocket]=={PIPECAT}", "uvicorn", "uvloop", "httptools"),
        ],
    ):
        process = await asyncio.create_subprocess_exec(*words)
        if await process.wait():
            raise RuntimeError(f"{words[0]} failed")


def share_cores(pid: int, cores: set[int]) -> None:
    """Binds a process and its threads to these cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


async def measure(
    name: str, dialect: str, place: Place, first: int, core: int, *, most: int = MOST
) -> Measured:
    """Finds what one server carries; how connecting goes meanwhile is asked of EVA only."""
    async with Servers(dialect, place, core) as servers:
        rungs = await climb(servers.rung, first, tell=lambda rung: say(f"{name}: {rung}"), most=most)
        carried = max((rung.sessions for rung in rungs if rung.is_carried), default=0)
        connects = None
        if name.startswith("EVA") and carried:
            loaded = max(1, int(LOADED * carried))
            connects = await servers.rung(loaded, probes=PROBES, measure_s=PROBING_S)
            say(f"{name}, connecting: {connects}")
    return Measured(name, rungs, connects, most)


class Servers:
    """A server, and another one in its place once it was given more than it carries.

    What a level of sessions has left behind is not to be measured with the next one.
    """

    def __init__(self, dialect: str, place: Place, core: int) -> None:
        self._dialect, self._place, self._core = dialect, place, core
        self._running = contextlib.AsyncExitStack()
        self._callers: Callers | None = None
        self._base: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._running.aclose()

    async def rung(self, sessions: int, *, probes: int = 0, measure_s: float = MEASURE_S) -> Rung:
        """Has so many sessions speak."""
        callers = self._callers or await self._start()
        rung = await callers.rung(sessions, probes=probes, measure_s=measure_s)
        self._base = rung.base
        if not rung.is_carried:
            self._callers = None
            await self._running.aclose()
        return rung

    async def _start(self) -> Callers:
        server = await self._running.enter_async_context(self._place())
        calling = Callers.calling(self._dialect, server, base=self._base)
        self._callers = await self._running.enter_async_context(calling)
        share_cores(server.pid, {self._core})
        return self._callers


async def measure_all(folder: Path) -> list[Measured]:
    """Measures all, one after the other."""
    await install(folder)
    core, *others = sorted(os.sched_getaffinity(0))
    share_cores(os.getpid(), set(others) or {core})  # what is started from here on inherits it
    return [
        await measure(STOCK, "protobuf", lambda: pipecat(folder, "stock"), 4, core),
        await measure(TUNED, "raw", lambda: pipecat(folder, "tuned"), 8, core),
        await measure(EVA_CHAT, "chat", eva, 20, core),
        await measure(EVA_REALTIME, "realtime", eva, 20, core),
        await measure(BARE, "raw", bare, 100, core, most=BARE_MOST),
    ]


def aims(measured: Sequence[Measured]) -> list[Aim]:
    """Returns what the figures have to reach."""
    by_name = {each.name: each for each in measured}
    ours, stock = by_name[EVA_CHAT], by_name[STOCK]
    connects = ours.connects
    return [
        Aim("sessions on `/ws/chat`, × Pipecat stock", ours.times(stock), TIMES, "×", is_least=True),
        Aim("connecting while loaded, p99", connects.opens_p99 if connects else float("inf"), CONNECT_MS),
    ]


def say(line: str) -> None:
    """Says what is being measured."""
    sys.stderr.write(line + "\n")


def main() -> int:
    """Measures and writes; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    place = Path(tempfile.gettempdir()) / f"eva-pipecat-{PIPECAT}"
    parser.add_argument("--strict", action="store_true", help="exit with 1 where an aim is missed")
    parser.add_argument("--pipecat", type=Path, default=place, help="its environment; made if it is missing")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    options = parser.parse_args()
    measured = asyncio.run(measure_all(options.pipecat))
    wanted = aims(measured)
    part = report(measured, wanted, measured[0])
    write_part(options.out, "edge", part)
    print(part)
    return judge(wanted, is_strict=options.strict)


if __name__ == "__main__":
    sys.exit(main())
