"""The page about a card: what was measured on it, and the CPU beside it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import columns, figure, table
from benchmarks.gpu.measure import PHONES_A_SECOND, TEXTS, Load, Said

NO_GPU = "**No GPU was measured**"


@dataclass
class Results:
    """All of a run, by device; what was not measured is absent."""

    where: str
    """Machine, card, date, versions, voice."""
    why_no_gpu: str = ""
    cold_ms: dict[str, float] = field(default_factory=dict)
    """Loading and proving the voice."""
    said: Mapping[tuple[str, int], list[Said]] = field(default_factory=dict)
    batches: dict[tuple[str, int], dict[int, float]] = field(default_factory=dict)
    """By device and frames: ms for one window by how many go together."""
    bindings: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Bound and unbound, ms."""
    loads: dict[str, list[Load]] = field(default_factory=dict)
    factor: float = 1.0
    """Of the voice's length, so that it speaks at a usual rate."""


def page(results: Results) -> str:
    """Returns the page, Markdown."""
    parts = ["# The voice on a GPU, and the CPU beside it", results.where]
    if results.why_no_gpu:
        parts.append(f"{NO_GPU}: {results.why_no_gpu}. What follows is the CPU's alone.")
    if results.factor != 1.0:
        parts.append(
            f"The voice's length_scale was multiplied by {results.factor:.2f}, to {PHONES_A_SECOND:.0f} "
            "sounds a second: cost does not depend on the values of weights, but on how long the sound is."
        )
    if results.cold_ms:
        shown = ", ".join(f"{device} {took / 1000:.1f} s" for device, took in results.cold_ms.items())
        parts += ["## Ready", f"Loading, and saying each sentence for the first time: {shown}."]
    parts += ["## From text to first audio, and to the last", _latency(results.said)]
    parts += ["## Windows together", _batches(results.batches)]
    if results.bindings:
        parts += ["## Inputs and outputs bound", _bindings(results.bindings)]
    parts += ["## Streams", _streams(results.loads)]
    return "\n\n".join(parts) + "\n"


def limit(loads: Sequence[Load]) -> int:
    """Returns the most streams that were carried, with all fewer; 0: not even one."""
    carried = 0
    for load in loads:
        if not load.is_carried:
            break
        carried = load.streams
    return carried


def _latency(said: Mapping[tuple[str, int], list[Said]]) -> str:
    devices = list(dict.fromkeys(device for device, _ in said))
    figures = [
        figure(f"{device}, {words} words, {what}", [getattr(one, name) for one in said[device, words]])
        for what, name in (("first audio", "first_ms"), ("whole", "whole_ms"))
        for words in TEXTS
        for device in devices
    ]
    factors = []
    for device in devices:
        ones = [one for words in TEXTS for one in said[device, words]]
        took_s, audio_s = sum(one.whole_ms for one in ones) / 1000, sum(one.audio_s for one in ones)
        factors.append(f"{device} {took_s / audio_s:.4f}")
    return f"{table(figures, 'ms')}\n\nReal-time factor over all: {', '.join(factors)}."


def _batches(batches: Mapping[tuple[str, int], Mapping[int, float]]) -> str:
    if not batches:
        return "The voice does not split, so it has no windows."
    sizes = sorted({size for took in batches.values() for size in took})
    rows = [
        [f"{device}, {frames} frames", *(f"{took[size]:.2f}" if size in took else "—" for size in sizes)]
        for (device, frames), took in batches.items()
    ]
    head = columns(["ms for one window, of so many together", *map(str, sizes)], rows)
    return f"Medians; margins are among the frames.\n\n{head}"


def _bindings(bindings: Mapping[str, tuple[float, float]]) -> str:
    rows = [[device, f"{bound:.2f}", f"{plain:.2f}"] for device, (bound, plain) in bindings.items()]
    return columns(["ms for a first window, median", "bound", "not bound"], rows)


def _streams(loads: Mapping[str, Sequence[Load]]) -> str:
    rows = []
    for device, steps in loads.items():
        for step in steps:
            firsts = sorted(1000 * one.first_s for one in step.heard if one.first_s is not None)
            gpu = step.gpu
            rows.append(
                [
                    f"{device}, {step.streams}",
                    str(len(step.heard)),
                    str(step.broken),
                    f"{statistics.median(firsts):.1f}" if firsts else "—",
                    f"{firsts[int(0.95 * len(firsts))]:.1f}" if firsts else "—",
                    "—" if gpu.utilisation is None else f"{100 * gpu.utilisation:.0f} %",
                    "—" if gpu.memory_bytes is None else f"{gpu.memory_bytes / 2**20:.0f}",
                    "—" if gpu.celsius is None else f"{gpu.celsius:.0f}",
                ]
            )
    titles = [
        "device, streams", "sentences", "broke off", "first audio p50 ms", "p95 ms", "card busy",
        "card MiB", "°C",
    ]  # fmt: skip
    carried = ", ".join(f"{device} {limit(steps)}" for device, steps in loads.items())
    return f"{columns(titles, rows)}\n\nCarried in real time (each step twice the last): {carried}."
