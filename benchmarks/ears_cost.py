"""What is left to do at the end of an utterance, by its length; and how many sessions a core carries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.ears_engines import Engine
from benchmarks.ears_latency import percent, ready
from benchmarks.figures import Figure, columns, figure
from benchmarks.known_words import Known
from benchmarks.listener import converse
from benchmarks.peer import load
from benchmarks.speech import VOICES, Utterance, long_turn, turns
from benchmarks.workplace import Workplace

GAP_S = 1.5
"""Between two turns of the load test: people who speak for more than half of the time."""
QUICK_ENOUGH_MS = 300.0
READY = 0.9
MOST_WHOLE = 3
"""Utterances of one length that the peer's call is timed with."""


@dataclass(frozen=True, slots=True)
class EndCost:
    """One engine and one length; milliseconds from letting the button go to the final."""

    engine: str
    seconds: int
    settled: Figure
    whole: Figure
    """The same engine on the whole utterance at its end."""


async def end_cost(engine: Engine, lengths: dict[int, int], *, sessions: int) -> list[EndCost]:
    """Lets people say so many utterances of each length and let go of the button behind them."""
    said = [
        (seconds, long_turn(seconds, voice=VOICES[number % len(VOICES)], seed=100 * seconds + number))
        for seconds, count in lengths.items()
        for number in range(count * sessions)
    ]
    by_us: dict[int, list[float]] = {seconds: [] for seconds in lengths}
    seconds_of = {id(utterance): seconds for seconds, utterance in said}
    everything = [utterance for _, utterance in said]
    async with engine.ours(everything) as place:
        shares = [everything[number::sessions] for number in range(sessions)]
        talk = await converse(place, shares, manual=True)
    for turn in talk.turns:
        by_us[seconds_of[id(turn.utterance)]].append(turn.total_ms)
    first = [each for seconds in lengths for each in [one for one in said if one[0] == seconds][:MOST_WHOLE]]
    whole = await asyncio.to_thread(whole_cost, engine, first)
    return [
        EndCost(
            engine.name,
            seconds,
            figure(f"{engine.name}, {seconds} s: EVA", by_us[seconds]),
            figure(f"{engine.name}, {seconds} s: whole", whole[seconds]),
        )
        for seconds in lengths
        if by_us[seconds]
    ]


def whole_cost(engine: Engine, said: Sequence[tuple[int, Utterance]]) -> dict[int, list[float]]:
    """Returns what the peer's call takes for each utterance, with nothing beside it."""
    transcribe = load(engine.model, Known.read(Path(engine.folder / "known.json")))
    took: dict[int, list[float]] = {}
    for seconds, utterance in said:
        samples = utterance.pcm[: utterance.end].astype(np.float32) / np.float32(32768)
        began = time.perf_counter()
        transcribe(samples)
        took.setdefault(seconds, []).append(1000 * (time.perf_counter() - began))
    return took


def flatness(costs: Sequence[EndCost]) -> tuple[float, float]:
    """Returns the dearest by the cheapest length, settled and whole, by their p50."""
    settled = [cost.settled.p50 for cost in costs]
    whole = [cost.whole.p50 for cost in costs]
    return max(settled) / max(1.0, min(settled)), max(whole) / max(1.0, min(whole))


def cost_table(costs: Sequence[EndCost]) -> str:
    """Returns the costs as a table."""
    rows = [
        (
            f"{cost.engine}, {cost.seconds} s",
            f"{cost.settled.n}",
            f"{cost.settled.p50:.0f}",
            f"{cost.settled.p95:.0f}",
            f"{cost.whole.n}",
            f"{cost.whole.p50:.0f}",
        )
        for cost in costs
    ]
    return columns(("ms", "N", "EVA p50", "p95", "N", "whole audio p50"), rows)


@dataclass(frozen=True, slots=True)
class Load:
    """So many people at once."""

    sessions: int
    turns: int
    core_share: float
    """Of one core, for one session."""
    ready: float
    late_ms: Figure | None
    """Computing behind the decision; None: no turn was answered."""
    lost: int

    @property
    def is_carried(self) -> bool:
        """Whether everybody was heard in real time."""
        quick = self.late_ms is not None and self.late_ms.p95 <= QUICK_ENOUGH_MS
        return quick and not self.lost and self.ready >= READY


@dataclass(frozen=True, slots=True)
class Capacity:
    """One engine in one way of running it."""

    name: str
    slots: int
    """Those that the worker gave itself."""
    loads: tuple[Load, ...]


async def capacity(
    engine: Engine, name: str, steps: Sequence[int], *, turns_each: int, **environment: str
) -> Capacity:
    """Lets more and more people speak until one step is not carried."""
    said = turns(max(steps) * turns_each, seed=2)
    slots = await engine.slots(**environment)
    loads: list[Load] = []
    async with engine.ours(said, **environment) as place:
        for sessions in steps:
            loads.append(await load_of(place, said, sessions, turns_each))
            if not loads[-1].is_carried:
                break
    return Capacity(name, slots, tuple(loads))


async def load_of(place: Workplace, said: Sequence[Utterance], sessions: int, turns_each: int) -> Load:
    """Lets so many people speak."""
    shares = [said[number * turns_each : (number + 1) * turns_each] for number in range(sessions)]
    talk = await converse(place, shares, gap_s=GAP_S, name=f"n{sessions}-")
    late = [turn.last.transcribe_ms for turn in talk.turns]
    share = talk.cpu_s / talk.wall_s / sessions
    figured = figure("late", late) if late else None
    return Load(sessions, len(talk.turns), share, ready(talk), figured, talk.lost)


def capacity_table(capacities: Sequence[Capacity]) -> str:
    """Returns the loads as a table."""
    rows = []
    for each in capacities:
        for load_ in each.loads:
            late = load_.late_ms
            rows.append(
                (
                    f"{each.name} (slots {each.slots}), {load_.sessions} sessions",
                    f"{load_.turns}",
                    f"{100 * load_.core_share:.1f}",
                    f"{1 / load_.core_share:.1f}" if load_.core_share else "—",
                    percent(load_.ready),
                    f"{late.p50:.0f} / {late.p95:.0f}" if late is not None else "—",
                    f"{load_.lost}",
                    "yes" if load_.is_carried else "no",
                )
            )
    titles = (
        "",
        "N",
        "% of a core each",
        "sessions a core",
        "ready",
        "computing p50 / p95 ms",
        "lost",
        "carried",
    )
    return columns(titles, rows)
