"""The parts of the ears' report: what is measured for each, and what is said about it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import politeness, politeness_report, voice_activity
from benchmarks.aims import Aim
from benchmarks.ears_cost import EndCost, capacity, capacity_table, cost_table, end_cost, flatness
from benchmarks.ears_deaths import deaths, noticed_ms
from benchmarks.ears_engines import Engine
from benchmarks.ears_errors import error_table, understood
from benchmarks.ears_latency import (
    Latency,
    figures,
    latency,
    percent,
    ready,
    shares,
)
from benchmarks.ears_manners import manners, manners_aims, times, verdicts
from benchmarks.ears_texts import (
    CAPACITY,
    COST,
    DEATHS,
    DETECTOR,
    ERRORS,
    INTERRUPTIONS,
    LATENCY,
    POLITENESS,
    paragraphs,
)
from benchmarks.figures import columns, figure, table
from benchmarks.politeness import Politeness


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    sessions: dict[str, int]
    """People who speak at once in (a) and (b), by engine."""
    ours: dict[str, int]
    """Turns of (a)."""
    peer: dict[str, int]
    lengths: dict[int, int]
    """Utterances of (b) for each person, by their seconds."""
    steps: dict[str, tuple[int, ...]]
    """Sessions of (e), by engine."""
    spoken: int
    """Sentences of (d)."""
    readings: int
    """How often the recorded reading is heard there."""
    turns_each: int
    people: int
    """Of (f)."""
    stimuli: int
    """What each of them does."""
    deaths: int
    """Of (g); as many undisturbed utterances stand beside them."""
    is_quick: bool


@dataclass
class Bench:
    """Measures part by part; what two parts need is measured once."""

    sizes: Sizes
    engines: dict[str, Engine]
    docs: Path
    aims: list[Aim] = field(default_factory=list)
    """What the parts measured so far have reached."""
    _latencies: dict[str, Latency] = field(default_factory=dict)
    _has_costs: bool = False

    async def part(self, letter: str) -> str:
        """Returns one part as Markdown."""
        parts: dict[str, Callable[[], Awaitable[str]]] = {
            "a": self.latency,
            "b": self.cost,
            "c": self.politeness,
            "d": self.errors,
            "e": self.capacity,
            "f": self.interruptions,
            "g": self.deaths,
        }
        return await parts[letter]()

    async def latency(self) -> str:
        """(a)."""
        for name in self.sizes.ours:
            await self._latency_of(name)
        measured = [self._latencies[name] for name in self.sizes.ours]
        reached = "; ".join(
            f"{each.engine.name} {percent(ready(each.ours))}, {computing(each):.1f} ms" for each in measured
        )
        for each in measured:
            name = each.engine.name
            self.aims.append(Aim(f"(a) {name}: text ready", 100 * ready(each.ours), 90, "%", is_least=True))
            self.aims.append(Aim(f"(a) {name}: computing p50", computing(each), 20))
        return paragraphs(
            "### (a) From the end of speech to the final",
            LATENCY,
            "Aim: text ready at the decision in ≥ 90 % of the turns, computing p50 ≤ 20 ms. "
            f"Reached: {reached}.",
            table([line for each in measured for line in figures(each)], "ms"),
            shares(measured),
        )

    async def _latency_of(self, name: str) -> Latency:
        if name not in self._latencies:
            sizes = self.sizes
            self._latencies[name] = await latency(
                self.engines[name],
                sessions=sizes.sessions[name],
                ours=sizes.ours[name],
                peer=sizes.peer[name],
            )
        return self._latencies[name]

    async def cost(self) -> str:
        """(b)."""
        names = ["Whisper tiny int8"] if self.sizes.is_quick else ["pocketsphinx", "Whisper tiny int8"]
        costs = [await self._cost_of(name) for name in names]
        reached = "; ".join(
            f"{each[0].engine} {settled:.2f} × (whole audio {whole:.2f} ×)"
            for each in costs
            for settled, whole in [flatness(each)]
        )
        for each in costs:
            self.aims.append(Aim(f"(b) {each[0].engine}: longest to shortest", flatness(each)[0], 1.5, "×"))
        return paragraphs(
            "### (b) Work left at the end, by the length of the utterance",
            COST,
            f"Aim: flat within 1.5 × from the shortest to the longest, by p50. Reached: {reached}.",
            cost_table([cost for each in costs for cost in each]),
        )

    async def _cost_of(self, name: str) -> list[EndCost]:
        engine = self.engines[name]
        return await end_cost(engine, self.sizes.lengths, sessions=self.sizes.sessions[name])

    async def politeness(self) -> str:
        """(c), and beside it, since both are counted in audio time, the recording of (d)."""
        quick = self.sizes.is_quick
        measured = await asyncio.to_thread(lambda: politeness.measure(quick=quick))
        points = list(measured.points)
        if not quick:
            points.append(await asyncio.to_thread(politeness.measure_offline))
        if not quick:
            politeness_report.plot(measured, self.docs / "politeness.svg")
        eva = measured.of(politeness.EVA, politeness.DEFAULT_MS)
        soft = measured.of(politeness.SOFT, politeness.DEFAULT_MS)
        shown = [measured.of(politeness.FIXED, 550), eva]
        for where, point in (("all conditions", eva), ("quiet and 20 dB", soft)):
            self.aims.append(Aim(f"(c) {where}: delay p50", point.delay.p50, 350))
            self.aims.append(Aim(f"(c) {where}: cut-ins", 100 * point.cut_ins.share, 2, "%"))
        return paragraphs(
            "### (c) Politeness: waiting against cutting in",
            POLITENESS,
            "Aim: at a p50 delay ≤ 350 ms fewer than 2 % cut-ins into pauses up to 0.8 s inside unfinished "
            f"sentences. Reached: p50 {eva.delay.p50:.0f} ms, {eva.cut_ins} in all conditions; "
            f"p50 {soft.delay.p50:.0f} ms, {soft.cut_ins} in quiet and in noise at 20 dB.",
            "![Delay against cut-ins](politeness.svg)",
            politeness_report.summary(Politeness(tuple(points), measured.clips)),
            politeness_report.by_pause(shown),
            politeness_report.by_noise(shown),
        )

    async def errors(self) -> str:
        """(d)."""
        sizes = self.sizes
        rates = await understood(self.engines["pocketsphinx"], spoken=sizes.spoken, readings=sizes.readings)
        for each in rates:
            _, low, _ = each.worse()
            self.aims.append(Aim(f"(d) {each.name}: worse by, lower end of 95 %", 100 * low, 0, "points"))
        absent = "" if len(rates) > 1 else " The recording was not at hand, or this run was quick."
        return paragraphs("### (d) Word error rate", ERRORS + absent, error_table(rates))

    async def capacity(self) -> str:
        """(e)."""
        tiny, offline = self.engines["Whisper tiny int8"], self.engines["pocketsphinx"]
        sizes = self.sizes
        ways: list[tuple[Engine, str, dict[str, str]]] = [
            (offline, "pocketsphinx", {}),
            (tiny, "Whisper tiny, batched by 4", {"EVA_STT_BATCH": "4"}),
            (tiny, "Whisper tiny, one by one", {"EVA_STT_BATCH": "1"}),
        ]
        measured = [
            await capacity(engine, name, sizes.steps[engine.name], turns_each=sizes.turns_each, **environment)
            for engine, name, environment in (ways[1:2] if sizes.is_quick else ways)
        ]
        detector = await asyncio.to_thread(voice_activity.measure, quick=sizes.is_quick)
        rows = [
            (
                f"{cost.sessions} sessions, one call per {'tick' if cost.is_batched else 'session'}",
                f"{cost.frames}",
                f"{cost.frames_per_call:.1f}",
                f"{cost.core_percent_per_session:.2f}",
                f"{cost.wait_p50_ms:.1f}",
                f"{cost.wait_p95_ms:.1f}",
            )
            for cost in detector
        ]
        return paragraphs(
            "### (e) Sessions in real time",
            CAPACITY,
            capacity_table(measured),
            DETECTOR,
            columns(("", "N frames", "frames a call", "% of a core each", "wait p50 ms", "p95 ms"), rows),
        )

    async def interruptions(self) -> str:
        """(f)."""
        tiny, offline = self.engines["Whisper tiny int8"], self.engines["pocketsphinx"]
        sizes = self.sizes
        languages = ["en", "fr"] * (sizes.people // 2)
        measured = [await manners(tiny, languages, each=sizes.stimuli)]
        if not sizes.is_quick:
            measured.append(await manners(offline, ["en"] * 2, each=sizes.stimuli))
        self.aims += manners_aims(measured[0])
        return paragraphs(
            "### (f) Speaking while EVA speaks",
            INTERRUPTIONS,
            verdicts(measured),
            table(times(measured), "ms"),
        )

    async def deaths(self) -> str:
        """(g)."""
        found = await deaths(self.engines["Whisper tiny int8"], count=2 * self.sizes.deaths)
        lost = sum(not death.is_whole for death in found)
        later = figure("a death: later than without one", noticed_ms(found))
        usual = figure(
            "no death: last sound → final", [death.final_ms for death in found if death.killed_ms is None]
        )
        self.aims += [
            Aim("(g) a death: later than without one, worst", later.worst, 1000),
            Aim("(g) transcripts that are not whole", lost, 0, ""),
        ]
        return paragraphs(
            "### (g) The worker that listens is killed",
            DEATHS,
            f"Aim: nothing lost, at most 1000 ms later. Reached: {lost} of {len(found)} transcripts not "
            f"whole, {later.worst:.0f} ms later at worst.",
            table([usual, later], "ms"),
        )


def computing(measured: Latency) -> float:
    """Returns the p50 of EVA's computing, ms."""
    return next((line.p50 for line in figures(measured) if "EVA: computing" in line.name), math.nan)
