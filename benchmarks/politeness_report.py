"""The politeness benchmark's tables and its plot."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import figure, machine
from benchmarks.politeness import (
    DEFAULT_MS,
    EVA,
    FIXED,
    SHORT_S,
    WORDS,
    Point,
    Politeness,
    measure,
    measure_offline,
)
from benchmarks.politeness_set import CONDITIONS, PAUSES_S
from services.stt.engine import TurnModel


def summary(measured: Politeness) -> str:
    """Returns the curve as a Markdown table."""
    lines = ["| | start or threshold ms | N | delay p50 | p95 | cut-ins, pauses ≤ 0.8 s | all pauses |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for point in measured.points:
        every = point.tally.cut_ins(lambda _, pause: pause.length_s > 0)
        delay = f"{point.delay.n} | {point.delay.p50:.0f} | {point.delay.p95:.0f}"
        lines.append(f"| {point.layer} | {point.threshold_ms} | {delay} | {point.cut_ins} | {every} |")
    return "\n".join(lines)


def by_pause(points: Sequence[Point]) -> str:
    """Returns cut-ins by the length of the pause, one column for each setting."""
    lines = [f"| pause s | {' | '.join(_title(point) for point in points)} |", "|---|" + "--:|" * len(points)]
    for length_s in PAUSES_S:
        rates = [
            point.tally.cut_ins(lambda _, pause, wanted=length_s: pause.length_s == wanted)  # type: ignore[misc]
            for point in points
        ]
        lines.append(f"| {length_s} | {' | '.join(map(str, rates))} |")
    return "\n".join(lines)


def by_noise(points: Sequence[Point]) -> str:
    """Returns cut-ins into pauses up to 0.8 s, and the median delay, by the noise."""
    lines = [f"| noise | {' | '.join(_title(point) for point in points)} |", "|---|" + "--:|" * len(points)]
    for noise, snr_db in CONDITIONS:
        cells = []
        for point in points:
            rate = point.tally.cut_ins(
                lambda clip, pause, wanted=(noise, snr_db): (  # type: ignore[misc]
                    (clip.noise, clip.snr_db) == wanted and pause.length_s <= SHORT_S
                )
            )
            delays = [ms for clip, ms in point.tally.delays if (clip.noise, clip.snr_db) == (noise, snr_db)]
            cells.append(f"{rate}, p50 {figure('', delays).p50:.0f} ms" if delays else str(rate))
        name = "quiet" if noise == "quiet" else f"{noise} {snr_db} dB"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _title(point: Point) -> str:
    return f"{point.layer}, {point.threshold_ms}"


def plot(measured: Politeness, path: Path) -> None:
    """Draws the curves; the same figures give the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415 - a second, only for the plot

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    with mpl.rc_context({"svg.hashsalt": "eva", "font.size": 9}):
        drawing, axes = plt.subplots(figsize=(7, 4))
        for layer in dict.fromkeys(point.layer for point in measured.points):
            points = [point for point in measured.points if point.layer == layer]
            delays = [point.delay.p50 for point in points]
            axes.plot(delays, [100 * point.cut_ins.share for point in points], "o-", label=layer)
        axes.axhline(2, color="grey", linewidth=0.6)
        axes.axvline(350, color="grey", linewidth=0.6)
        axes.set_xlabel("median delay from the last sound to the decision, ms")
        axes.set_ylabel("cut-ins into pauses up to 0.8 s, %")
        axes.set_ylim(bottom=-1)
        axes.set_title(f"Waiting against cutting in, {measured.clips} clips")
        axes.legend()
        drawing.tight_layout()
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(drawing)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--offline", action="store_true", help="with the words of pocketsphinx, too")
    parser.add_argument("--turn-model", type=Path, help="a Smart Turn v3 file")
    parser.add_argument("--plot", type=Path)
    wanted = parser.parse_args()
    turn_model: TurnModel | None = None
    if wanted.turn_model is not None:
        from services.stt.smart_turn import load_smart_turn  # noqa: PLC0415 - only if used

        turn_model = load_smart_turn(wanted.turn_model)
    measured = measure(quick=wanted.quick, turn_model=turn_model)
    shown = [measured.of(FIXED, 550), measured.of(WORDS, DEFAULT_MS), measured.of(EVA, DEFAULT_MS)]
    print(machine(), summary(measured), by_pause(shown), by_noise(shown), sep="\n\n")
    if wanted.offline:
        print("", summary(Politeness((measure_offline(quick=wanted.quick),), 0)), sep="\n")
    if wanted.plot is not None:
        plot(measured, wanted.plot)


if __name__ == "__main__":
    main()
