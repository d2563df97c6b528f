"""The parts of the voice's report: what is measured for each, and what is said about it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from benchmarks import voice_formats, voice_texts
from benchmarks.ears_texts import paragraphs
from benchmarks.figures import Figure, columns, figure, table
from benchmarks.voice_faults import Fate, fates
from benchmarks.voice_latency import EVA, PIPER, WYOMING, Latency, measure
from benchmarks.voice_load import Step, limit
from benchmarks.voice_load import measure as measure_load
from benchmarks.voice_models import TEXTS, Model
from benchmarks.voice_peers import Speaker, eva, piper_itself, wyoming
from benchmarks.voice_plot import plot_lengths, plot_load
from services.tts.chain import Chain
from services.tts.engine import Engine, Voice
from services.tts.piper import WHOLE_NAME


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    sentences: int
    """Of (a) and (b), for each length and speaker."""
    streams: tuple[int, ...]
    step_s: float
    faults: int
    formats: int
    phrases: int


STREAMS = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32)
FULL = Sizes(sentences=30, streams=STREAMS, step_s=30.0, faults=2, formats=200, phrases=50)
QUICK = Sizes(sentences=3, streams=(1, 2), step_s=4.0, faults=1, formats=20, phrases=5)


class Bench:
    """Measures part by part."""

    def __init__(self, sizes: Sizes, docs: Path, model: Model, python: Path | None) -> None:
        """Takes the interpreter that has wyoming-piper; None: there is none."""
        self.sizes, self.docs, self.model, self.python = sizes, docs, model, python
        self._chain: Chain | None = None
        self._latency: Latency | None = None

    @property
    def chain(self) -> Chain:
        """EVA's, loaded when it is first wanted; blocks."""
        if self._chain is None:
            self._chain = self.model.chain()
        return self._chain

    async def part(self, letter: str) -> str:
        """Returns one part as Markdown."""
        parts: dict[str, Callable[[], Awaitable[str]]] = {
            "a": self.first,
            "b": self.whole,
            "c": self.load,
            "d": self.faults,
            "e": self.last_steps,
        }
        return await parts[letter]()

    async def first(self) -> str:
        """(a)."""
        latency = await self._measured()
        plot_lengths(latency, self.docs / "voice-length.svg")
        return paragraphs(
            "### (a) From text to first audio",
            voice_texts.FIRST,
            aims(latency),
            "![First audio against the length of the sentence](voice-length.svg)",
            table(lines(latency, latency.first_ms), "ms"),
            "" if WYOMING in latency.names() else "wyoming-piper was not at hand (`--wyoming PYTHON`).",
        )

    async def whole(self) -> str:
        """(b)."""
        latency = await self._measured()
        rows = [
            (
                f"{name}, {words} words",
                f"{latency.real_time_factor(name, words):.3f}",
                f"{latency.cpu_factor(name, words):.3f}" if name != WYOMING else "—",
            )
            for words in TEXTS
            for name in latency.names()
        ]
        return paragraphs(
            "### (b) The whole sentence",
            voice_texts.WHOLE,
            table(lines(latency, latency.whole_ms), "ms"),
            columns(("", "real-time factor", "processor time"), rows),
        )

    async def load(self) -> str:
        """(c)."""
        chain = await asyncio.to_thread(lambda: self.chain)
        steps = []
        for streams in self.sizes.streams:
            steps.append(await measure_load(chain, streams, self.sizes.step_s))
            if 4 * steps[-1].broken > len(steps[-1].turns):
                break  # beyond its limit it is only slower
        plot_load(steps, self.docs / "voice-load.svg")
        carried = limit(steps)
        cores = len(os.sched_getaffinity(0))
        note = f"{carried} streams in real time on this machine, {carried / cores:g} a core" + (
            ", at least." if carried == steps[-1].streams else "."
        )
        return paragraphs(
            "### (c) Streams in real time",
            voice_texts.LOAD,
            note,
            "![First audio against the number of streams](voice-load.svg)",
            step_table(steps),
        )

    async def faults(self) -> str:
        """(d)."""
        found = await fates(self.model, self.sizes.faults)
        return paragraphs("### (d) Faults", voice_texts.FAULTS, fate_table(found))

    async def last_steps(self) -> str:
        """(e)."""
        chain = await asyncio.to_thread(lambda: self.chain)
        fresh, kept = await voice_formats.phrases(chain, self.sizes.phrases)
        found = [
            voice_formats.first_chunk(codec, rate_hz, self.sizes.formats)
            for codec, rate_hz in voice_formats.FORMATS.items()
        ]
        figures = [
            *(
                figure(f"first chunk of {it.codec}, {it.rate_hz} Hz", it.compute_ms, sound_note(it))
                for it in found
            ),
            figure("judging, for each second of sound", voice_formats.judging_ms(self.sizes.formats)),
            figure("order → first chunk, a phrase not said before", fresh),
        ]
        if kept:
            figures.append(figure("order → first chunk, a phrase of the cache", kept))
        edges = [
            (engine.name, *(f"{ms:.0f}" for ms in voice_formats.edges(engine, voice)))
            for engine, voice in chain_voices(chain)
            if engine.name != WHOLE_NAME  # the same voice, and it opens its graph only when it has to
        ]
        return paragraphs(
            "### (e) Formats, phrases, edges",
            voice_texts.LAST_STEPS,
            table(figures, "ms"),
            "Silence before the first sound, ms:",
            columns(("", "as the voice makes it", "as it is sent"), edges),
        )

    async def _measured(self) -> Latency:
        if self._latency is None:
            self._latency = await asyncio.to_thread(self._measure)
        return self._latency

    def _measure(self) -> Latency:
        speakers: dict[str, Speaker] = {
            EVA: eva(self.chain, voice=self.model.name),
            PIPER: piper_itself(self.model),
        }
        with contextlib.ExitStack() as stack:
            if self.python is not None:
                with contextlib.suppress(OSError):
                    speakers[WYOMING] = stack.enter_context(wyoming(self.python, self.model))
            return measure(speakers, self.sizes.sentences)


def chain_voices(chain: Chain) -> list[tuple[Engine, Voice]]:
    """Returns each engine's first voice."""
    return [(engine, engine.voices()[0]) for engine in chain.engines]


def lines(latency: Latency, of: Callable[[str, int], list[float]]) -> list[Figure]:
    """Returns a line for each length and speaker, against piper-tts."""
    found = []
    for words in TEXTS:
        usual = statistics.median(of(PIPER, words))
        for name in latency.names():
            samples = of(name, words)
            note = "" if name == PIPER else f"p50 {statistics.median(samples) / usual:.2f} × piper-tts"
            found.append(figure(f"{name}, {words} words", samples, note))
    return found


def aims(latency: Latency) -> str:
    """Returns what was aimed at and what was reached."""
    rows = [
        (name, f"{reached:.2f}", f"≤ {aim:.2f}", "yes" if reached <= aim else "**no**")
        for name, (reached, aim) in latency.aims().items()
    ]
    return columns(("p50", "reached", "aim", "as aimed"), rows)


def step_table(steps: Sequence[Step]) -> str:
    """Returns one row for each number of streams."""
    rows = []
    for step in steps:
        first = figure("", step.first_ms or [0.0])
        rows.append(
            (
                f"{step.streams}",
                f"{len(step.turns)}",
                f"{first.p50:.0f}",
                f"{first.p95:.0f}",
                f"{step.broken}",
                f"{max(step.gaps_ms, default=0.0):.0f}",
                "yes" if step.is_carried else "no",
            )
        )
    titles = (
        "streams",
        "turns",
        "first audio p50 ms",
        "p95",
        "broken turns",
        "longest silence ms",
        "carried",
    )
    return columns(titles, rows)


def fate_table(found: Sequence[Fate]) -> str:
    """Returns one row for each fault."""
    rows = []
    for fault, each in groupby(found, key=lambda fate: fate.fault):
        group = list(each)
        rows.append(
            (
                fault,
                f"{len(group)}",
                " / ".join(sorted({fate.heard_from for fate in group})),
                " / ".join(sorted({fate.words for fate in group})),
                f"{statistics.median(fate.first_ms for fate in group):.0f}",
                f"{max(fate.silence_ms for fate in group):.0f}",
            )
        )
    return columns(("fault", "N", "heard from", "words", "first audio p50 ms", "silence ms"), rows)


def sound_note(it: voice_formats.FirstChunk) -> str:
    """Returns what a format needs before its first chunk."""
    return f"of {it.needs_ms:.0f} ms of sound; delays it by {it.delay_ms:.1f} ms"
