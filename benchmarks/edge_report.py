"""The page of ``benchmarks.edge``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.aims import Aim, verdict
from benchmarks.edge_rungs import ADDED_MS, LOADED, MEASURE_S, MOST, PROBES, PROBING_S, Rung
from benchmarks.edge_talk import FRAME_S
from benchmarks.figures import columns, machine

INTRODUCTION = f"""Each session sends 20 ms frames of 24 kHz PCM and gets them back. EVA's go through the
gateway, the broker and a worker that echoes, and back; Pipecat's through the echo pipeline of one process.
The measured process has a core of its own; callers, broker and worker share what is left. *Carried*: p99 of a
frame's way there and back at most {ADDED_MS:g} ms above the median of a lone session, and 99 % came back
({MEASURE_S:g} s a level, so N = {MEASURE_S / FRAME_S:g} frames a session; the better of two where the first
was not; who was given too many is started anew). Connecting: N = {PROBES} in {PROBING_S:g} s,
beside {100 * LOADED:g} % of what is carried.
Stock Pipecat: its FastAPI transport and protobuf serializer, uvicorn on asyncio, frames let through at 20 ms
(by default it gathers 40). Tuned: bare sound, uvloop, httptools, `websockets-sansio`, no compression, a
frozen collector, no observers. EVA as `eva up` starts it. Bare sockets: a process on uvloop that gives each
frame back and does nothing else."""


@dataclass(frozen=True)
class Measured:
    """What one server carried."""

    name: str
    rungs: Sequence[Rung]
    """In the order of climbing; the first is a lone session."""
    connects: Rung | None
    """While others connected; None: it was not asked."""
    most: int = MOST
    """Sessions that were tried at most."""

    @property
    def best(self) -> Rung:
        """The most sessions that were carried, with all fewer on the way up."""
        return max((rung for rung in self.rungs if rung.is_carried), key=lambda rung: rung.sessions)

    @property
    def carried(self) -> int:
        """How many; 0: not one."""
        return self.best.sessions if any(rung.is_carried for rung in self.rungs) else 0

    @property
    def memory_kib(self) -> float:
        """Of one session: what the process grew by while the first climb made it larger than ever."""
        grown = self.rungs[0]
        for rung in self.rungs[1:]:
            if not rung.is_carried:
                break
            grown = rung
        more = grown.sessions - self.rungs[0].sessions
        return (grown.memory - self.rungs[0].memory) / more if more else float("nan")

    def times(self, other: Measured) -> float:
        """How many times as many as another carried."""
        return self.carried / other.carried if other.carried else float("nan")


def report(measured: Sequence[Measured], aims: Sequence[Aim], stock: Measured) -> str:
    """Returns the page's part."""
    when = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return "\n".join(
        [
            "## Sessions per gateway process",
            "",
            f"`python -m benchmarks.edge`, {when}, on {machine()}.",
            INTRODUCTION,
            "",
            columns(
                (
                    *("", "sessions carried", "× Pipecat stock", "% of a core per session"),
                    *("KiB per session", "lone session, ms"),
                ),
                [_row(each, stock) for each in measured],
            ),
            "",
            *_connecting(measured),
            verdict(aims),
            "",
            "What each number of sessions met (ms above the lone session's median):",
            "",
            columns(
                ("", "sessions", "p50", "p99", "came back, %", "core, %", "carried"),
                [_level(each, rung) for each in measured for rung in each.rungs[1:]],
            ),
            *_faults(measured),
        ]
    )


def _row(each: Measured, stock: Measured) -> tuple[str, ...]:
    if not each.carried:
        return (each.name, "0", "—", "—", "—", f"{each.rungs[0].base:.1f}")
    return (
        each.name,
        f"{each.carried}, at least" if each.carried == each.most else str(each.carried),
        f"{each.times(stock):.1f}",
        f"{100 * each.best.cpu / each.best.sessions:.2f}",
        f"{each.memory_kib:.0f}",
        f"{each.rungs[0].base:.1f}",
    )


def _connecting(measured: Sequence[Measured]) -> list[str]:
    rows = [
        (
            each.name,
            str(rung.sessions),
            f"{rung.opens_p50:.1f} / {rung.opens_p99:.1f}",
            f"{rung.readies_p50:.1f} / {rung.readies_p99:.1f}",
        )
        for each in measured
        if (rung := each.connects) is not None
    ]
    titles = ("connecting while so many speak, ms", "sessions", "open p50 / p99", "ready p50 / p99")
    return [columns(titles, rows), ""] if rows else []


def _level(each: Measured, rung: Rung) -> tuple[str, ...]:
    return (
        each.name,
        str(rung.sessions),
        f"{rung.trips_p50 - rung.base:.1f}",
        f"{rung.added_p99:.1f}",
        f"{100 * rung.heard:.1f}",
        f"{100 * rung.cpu:.0f}",
        "yes" if rung.is_carried else "**no**",
    )


def _faults(measured: Sequence[Measured]) -> list[str]:
    found = [
        f"{each.name} with {rung.sessions}"
        for each in measured
        for rung in each.rungs
        if rung.is_callers_fault
    ]
    return ["", f"The callers' own process was at its limit: {', '.join(found)}."] if found else []
