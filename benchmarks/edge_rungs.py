"""Climbing to what a server carries: rungs of more and more sessions, then halving between the last two."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

ADDED_MS = 50.0
HEARD = 0.99
STEP = 0.1
"""So near, as a share, the first rung that was not carried is to be."""
MOST = 2000
SETTLE_S, MEASURE_S = 1.5, 3.0
LOADED, PROBES, PROBING_S = 0.8, 125, 6.0
"""Beside this share of what is carried so many more connect, in so many seconds."""
REST_S = 0.5
BUSY, LATE_MS = 0.8, 10.0
"""From here on it is the callers' own process that is measured."""


@dataclass(frozen=True, slots=True)
class Server:
    """What is measured."""

    port: int
    pid: int


@dataclass(frozen=True, kw_only=True)
class Rung:
    """What so many sessions met; times in ms."""

    sessions: int
    base: float
    """The median of a lone session's frames, there and back."""
    trips_p50: float
    trips_p99: float
    heard: float
    """Share of the frames that came back."""
    open: int
    """Sessions that were still there at the end."""
    cpu: float
    """Of the server's process, in cores."""
    memory: float
    """Resident, KiB."""
    busy: float
    """Of the callers' process, in cores."""
    lates_p99: float
    """How much later than planned the callers sent."""
    opens_p50: float
    opens_p99: float
    readies_p50: float
    readies_p99: float

    @property
    def added_p99(self) -> float:
        """What is added to a lone session's way at p99."""
        return self.trips_p99 - self.base

    @property
    def is_carried(self) -> bool:
        """Whether it went well."""
        return self.added_p99 <= ADDED_MS and self.heard >= HEARD and self.open >= self.sessions

    @property
    def is_callers_fault(self) -> bool:
        """Whether the callers' own process was at its limit."""
        return self.busy > BUSY or self.lates_p99 > LATE_MS

    def __str__(self) -> str:
        fault = ", the callers were at their limit" if self.is_callers_fault else ""
        return (
            f"{self.sessions} sessions: {self.base:.1f} ms + p50 {self.trips_p50 - self.base:.1f},"
            f" p99 {self.added_p99:.1f}; {100 * self.heard:.1f} % came back,"
            f" {self.cpu / self.sessions:.2%} of a core each{fault}"
        )


class Measure(Protocol):
    """Has so many sessions speak."""

    async def __call__(self, sessions: int) -> Rung:
        """Returns what they met."""


async def climb(
    measure: Measure, first: int, *, tell: Callable[[Rung], None], most: int = MOST
) -> list[Rung]:
    """Returns the rungs in the order of their climbing: a lone session, doublings up to ``most``, halvings.

    One that was not carried is tried once more, and the better try counts: machines hiccup.
    """
    rungs = [await measure(1)]
    carried, broken, sessions = 1, most + 1, first
    while carried < sessions < broken:
        rung = await measure(sessions)
        if not rung.is_carried:
            again = await measure(sessions)
            rung = again if again.is_carried or again.added_p99 < rung.added_p99 else rung
        rungs.append(rung)
        tell(rung)
        if rung.is_carried:
            carried = sessions
        else:
            broken = sessions
        if broken > most:
            sessions = min(most, 2 * carried)
        elif broken - carried > max(1.0, STEP * carried):
            sessions = (carried + broken) // 2
        else:
            break
    return rungs


class Callers:
    """The callers' process."""

    def __init__(self, process: asyncio.subprocess.Process, pid: int, base: float | None) -> None:
        self._process, self._pid, self._base = process, pid, base

    @classmethod
    @contextlib.asynccontextmanager
    async def calling(
        cls, dialect: str, server: Server, *, base: float | None = None
    ) -> AsyncIterator[Callers]:
        """Runs it for as long as the context lasts.

        ``base``: the median of a lone session, where it is known; else that of the first rung.
        """
        words = [sys.executable, "-m", "benchmarks.edge_load", dialect, str(server.port)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
        try:
            yield cls(process, server.pid, base)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def rung(self, sessions: int, *, probes: int = 0, measure_s: float = MEASURE_S) -> Rung:
        """Has so many sessions speak; ``probes``: sessions that are opened meanwhile and say nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        settle_s = min(SETTLE_S, measure_s)
        order = {"sessions": sessions, "settle_s": settle_s, "measure_s": measure_s, "probes": probes}
        self._process.stdin.write(json.dumps({**order, "pid": self._pid}).encode() + b"\n")
        told = json.loads(await self._process.stdout.readline())
        await asyncio.sleep(REST_S)
        if self._base is None:
            self._base = float(told["trips_p50"])
        sent = told.pop("sent")
        told["heard"] = told["heard"] / sent if sent else 0.0
        names = Rung.__dataclass_fields__
        return Rung(
            **{
                **{name: told[name] for name in names if name in told},
                "sessions": sessions,
                "base": self._base,
            }
        )
