"""First audio against length and against load, as SVG."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import figure
from benchmarks.voice_latency import Latency
from benchmarks.voice_load import Step, limit
from benchmarks.voice_models import TEXTS

COLOURS = ("tab:blue", "tab:red", "tab:orange")


def plot_lengths(latency: Latency, path: Path) -> None:
    """Draws p50 and p95 of each speaker by the words of the sentence."""
    with _drawing(path) as axes:
        for name, colour in zip(latency.names(), COLOURS, strict=False):
            figures = [figure(name, latency.first_ms(name, words)) for words in TEXTS]
            axes.plot(list(TEXTS), [it.p50 for it in figures], "o-", color=colour, label=f"{name}: p50")
            axes.plot(list(TEXTS), [it.p95 for it in figures], "--", color=colour, label=f"{name}: p95")
        axes.set_yscale("log")
        ticks = [20, 50, 100, 200, 500, 1000, 2000]
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xticks(list(TEXTS))
        axes.set_xlabel("words of the sentence")
        axes.set_ylabel("text → first audio, ms")
        axes.legend()


def plot_load(steps: Sequence[Step], path: Path) -> None:
    """Draws p50 and p95 of the first audio by the number of streams, and the limit."""
    with _drawing(path) as axes:
        streams = [step.streams for step in steps]
        figures = [figure("", step.first_ms or [0.0]) for step in steps]
        axes.plot(streams, [it.p50 for it in figures], "o-", color=COLOURS[0], label="p50")
        axes.plot(streams, [it.p95 for it in figures], "--", color=COLOURS[0], label="p95")
        if carried := limit(steps):
            axes.axvline(carried, color="grey", linewidth=0.8, label="no sound breaks off up to here")
        axes.set_xticks(streams)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("streams at the same time")
        axes.set_ylabel("order → first audio, ms")
        axes.legend()


@contextlib.contextmanager
def _drawing(path: Path) -> Iterator[Any]:
    import matplotlib as mpl  # noqa: PLC0415 - a tool of the bench, not of EVA

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    with mpl.rc_context({"svg.hashsalt": "eva", "font.size": 9}):
        drawing, axes = plt.subplots(figsize=(7, 4))
        yield axes
        drawing.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(drawing)
