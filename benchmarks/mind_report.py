"""The parts of the mind's report: what is measured for each, and what is said about it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import mind_texts
from benchmarks.aims import Aim
from benchmarks.ears_texts import paragraphs
from benchmarks.figures import columns, figure, table
from benchmarks.mind_cost import added_cost, cut_to_published
from benchmarks.mind_faults import NAMES, Fate, fates
from benchmarks.mind_live import live
from benchmarks.mind_trace import ABLATIONS, EVA, PLAIN, Run, Way, measure

LATE_MS, TOO_LATE_MS = 500.0, 800.0
PROCESSES = 2
LONG_EXCHANGES = 20
STEPS = 400
"""Of a curve in the plot."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    turns: int
    """Of (a), for each way and seed."""
    seeds: tuple[int, ...]
    live_turns: int
    cost_turns: int
    cut_turns: int
    faults: tuple[str, ...]


FULL = Sizes(
    turns=600, seeds=tuple(range(1, 11)), live_turns=90, cost_turns=1000, cut_turns=500, faults=tuple(NAMES)
)
QUICK = Sizes(
    turns=150,
    seeds=(1,),
    live_turns=12,
    cost_turns=100,
    cut_turns=50,
    faults=("500", "200, then silence", "stall in mid-answer"),
)
LIVE_SEED = 17
"""With a sick spell of the first provider within the first turns."""


@dataclass
class Bench:
    """Measures part by part."""

    sizes: Sizes
    docs: Path
    aims: list[Aim] = field(default_factory=list)
    """What the parts measured so far have reached."""

    async def part(self, letter: str) -> str:
        """Returns one part as Markdown."""
        parts: dict[str, Callable[[], Awaitable[str]]] = {
            "a": self.trace,
            "b": self.live,
            "c": self.cost,
            "d": self.faults,
        }
        return await parts[letter]()

    async def trace(self) -> str:
        """(a)."""
        ways = (PLAIN, *ABLATIONS)
        measured = await asyncio.to_thread(runs, ways, self.sizes)
        plain, eva = measured[ways.index(PLAIN)], measured[ways.index(EVA)]
        plot(plain, eva, self.docs / "mind.svg")
        self.aims += [
            Aim("(a) first token over 800 ms", 100 * share(eva.tokens_ms, TOO_LATE_MS), 3, "%"),
            Aim("(a) first sound p99", figure("", eva.sounds_ms).p99, 700),
            Aim("(a) extra requests", 100 * eva.extra, 10, "%"),
        ]
        seeds = f"{self.sizes.seeds[0]} to {self.sizes.seeds[-1]}"
        return paragraphs(
            "### (a) A provider that swings from 190 to 2100 ms",
            mind_texts.TRACE + f" {self.sizes.turns} turns for each of the seeds {seeds}.",
            reached(plain, eva),
            "![Time to the first token and to the first sound](mind.svg)",
            "To the first token:",
            times_table([(run.way.name, run.tokens_ms) for run in measured]),
            "To the first audible sound, whatever it is, and to that of the answer:",
            times_table(
                [
                    *((f"{run.way.name}: first sound", run.sounds_ms) for run in measured),
                    (f"{EVA.name}: the answer's own", eva.answers_ms),
                ]
            ),
            "What it takes:",
            effort_table(measured),
        )

    async def live(self) -> str:
        """(b)."""
        found = await live(self.sizes.live_turns, people=3, seed=LIVE_SEED)
        note = (
            f"{found.hedges} hedged, {found.wins} won by the hedge; {found.fillers} fillers; "
            f"{found.requests} requests; {found.failed} turns ended with an error."
        )
        samples = [
            ("the first provider alone: first token", found.alone_ms),
            ("EVA: first token at the gateway", found.token_ms),
            ("EVA: first sound at the client", found.sound_ms),
        ]
        return paragraphs("### (b) In real time", mind_texts.LIVE, times_table(samples), note)

    async def cost(self) -> str:
        """(c)."""
        cost = await added_cost(self.sizes.cost_turns)
        long = await added_cost(self.sizes.cost_turns // 4, exchanges=LONG_EXCHANGES)
        published = figure(
            "token that completes a segment → segment at the broker's subscriber",
            await cut_to_published(self.sizes.cut_turns),
        )
        self.aims += [
            Aim("(c) added to the first token", cost.added_ms, 1),
            Aim("(c) token → its segment published, p50", published.p50, 5),
        ]
        return paragraphs(
            "### (c) What the machinery costs",
            mind_texts.COST,
            f"Aim: at most 1 ms a turn, a segment within 5 ms. Reached: {cost.added_ms:.2f} ms to the first "
            f"token (difference of the medians), {cost.added_cpu_ms:.2f} ms of processor time for the whole "
            f"answer (difference of the means); {published.p50:.1f} ms to the segment (p50), "
            f"{published.p99:.1f} ms (p99).",
            table(
                [
                    figure("bare SDK: to the first token", cost.bare_ms),
                    figure("EVA's chain and adapter: to the first token", cost.eva_ms),
                    figure(f"bare SDK, {LONG_EXCHANGES} exchanges before: to the first token", long.bare_ms),
                    figure(f"EVA, {LONG_EXCHANGES} exchanges before: to the first token", long.eva_ms),
                    figure("bare SDK: processor time", cost.bare_cpu_ms),
                    figure("EVA's chain and adapter: processor time", cost.eva_cpu_ms),
                    published,
                ],
                "ms",
            ),
        )

    async def faults(self) -> str:
        """(d)."""
        one, both = await asyncio.gather(
            fates(self.sizes.faults, are_all=False), fates(self.sizes.faults, are_all=True)
        )
        good = sum(fate.is_good for fate in [*one, *both])
        self.aims.append(Aim("(d) faults as aimed", good, len(one) + len(both), "", is_least=True))
        return paragraphs(
            "### (d) Faults",
            mind_texts.FAULTS,
            f"Aim: all end in speech or an honest error within their deadline, with nothing leaked. Reached: "
            f"{good} of {len(one) + len(both)} with sound within 3.5 s, an end within 30 s and nothing left.",
            fate_table([*one, *both]),
        )


def runs(ways: Sequence[Way], sizes: Sizes) -> list[Run]:
    """Returns one run a way, its seeds put together; each seed of each way has a process of its own."""
    jobs = [(way, seed) for way in ways for seed in sizes.seeds]
    with ProcessPoolExecutor(PROCESSES) as pool:
        parts = list(
            pool.map(
                measure,
                [way for way, _ in jobs],
                [sizes.turns] * len(jobs),
                [[seed] for _, seed in jobs],
            )
        )
    whole = [Run(way) for way in ways]
    for (way, _), part in zip(jobs, parts, strict=True):
        whole[ways.index(way)].add(part)
    return whole


def share(samples: Sequence[float], above_ms: float) -> float:
    """Returns the share of samples above a bound."""
    return sum(sample > above_ms for sample in samples) / len(samples)


def reached(plain: Run, eva: Run) -> str:
    """Returns what was to be reached, and what was."""
    sound = figure("", eva.sounds_ms)
    return (
        "Aim: over 800 ms at most 3 %, first audible sound p99 ≤ 700 ms, extra requests ≤ 10 %. Reached: "
        f"{_percent(share(eva.tokens_ms, TOO_LATE_MS))} over 800 ms (plain "
        f"{_percent(share(plain.tokens_ms, TOO_LATE_MS))}), first sound p99 {sound.p99:.0f} ms (plain "
        f"{figure('', plain.sounds_ms).p99:.0f} ms), extra requests {_percent(eva.extra)}."
    )


def times_table(named: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Returns percentiles and late shares, one row a name."""
    rows = []
    for name, samples in named:
        item = figure(name, samples)
        p99 = _ms(item.p99) if item.n >= 100 else "—"
        late = [_percent(share(samples, bound)) for bound in (LATE_MS, TOO_LATE_MS)]
        rows.append((name, str(item.n), _ms(item.p50), _ms(item.p95), p99, _ms(item.worst), *late))
    return columns(("ms", "N", "p50", "p95", "p99", "max", "over 500", "over 800"), rows)


def effort_table(measured: Sequence[Run]) -> str:
    """Returns what each way asked for."""
    rows = []
    for run in measured:
        count = len(run.turns)
        rows.append(
            (
                run.way.name,
                _percent(run.extra),
                str(run.hedges),
                str(run.wins),
                str(run.openings),
                f"{run.probes / count:.2f}",
                _percent(sum(turn.fillers > 0 for turn in run.turns) / count),
                _percent(sum(not turn.is_answered for turn in run.turns) / count),
                f"{1000 * run.cost_usd / count:.3f}",
            )
        )
    titles = (
        "", "extra requests", "hedges", "won", "breaker openings", "probes a turn", "turns with a filler",
        "no model's answer", "US$ for 1000 turns",
    )  # fmt: skip
    return columns(titles, rows)


def fate_table(found: Sequence[Fate]) -> str:
    """Returns one row a fault."""
    rows = [
        (
            fate.fault,
            "both" if fate.are_all else "first",
            fate.got,
            "yes" if fate.is_audible else "no",
            "—" if fate.sound_s is None else f"{fate.sound_s:.2f}",
            f"{fate.end_s:.2f}",
            f"{fate.left_open} + {fate.left_busy}",
            "yes" if fate.is_good else "**no**",
        )
        for fate in found
    ]
    titles = ("fault", "at", "the person gets", "audible", "first sound s", "end s", "left", "as aimed")
    return columns(titles, rows)


def plot(plain: Run, eva: Run, path: Path) -> None:
    """Draws the shares of turns that had begun by a time, as SVG."""
    import matplotlib as mpl  # noqa: PLC0415 - a tool of the bench, not of EVA

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    with mpl.rc_context({"svg.hashsalt": "eva", "font.size": 9}):
        drawing, axes = plt.subplots(figsize=(7, 4))
        for run, colour in ((plain, "tab:red"), (eva, "tab:blue")):
            name = "plain SDK" if run is plain else "EVA"
            for kind, samples, style in (
                ("first token", run.tokens_ms, "--"),
                ("first sound", run.sounds_ms, "-"),
            ):
                ordered = sorted(samples)
                shares = [number / STEPS for number in range(STEPS + 1)]
                times = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in shares]
                axes.plot(
                    times,
                    [100 * share for share in shares],
                    style,
                    color=colour,
                    linewidth=1.2,
                    label=f"{name}: {kind}",
                )
        axes.axvline(TOO_LATE_MS, color="grey", linewidth=0.6)
        axes.set_xscale("log")
        ticks = [100, 200, 300, 500, 800, 1500, 2500]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("ms after the person's words")
        axes.set_ylabel("turns, %")
        axes.set_title(f"A provider that swings from 190 to 2100 ms, {len(eva.turns)} turns")
        axes.legend(loc="lower right")
        drawing.tight_layout()
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(drawing)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _ms(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}"
