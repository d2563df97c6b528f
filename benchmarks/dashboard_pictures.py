"""Draws what a dashboard shows, from the figures that a Prometheus gave: the panels in their places.

Not Grafana's own look: the same queries, units, legends and limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INCHES_A_COLUMN, INCHES_A_ROW = 0.62, 0.27
DPI = 72
COLOURS_KEPT = 96
"""Of the picture's palette: it keeps a file small."""
MARGIN = 0.012
MOST_LEGENDS = 6
_SMALL, _LARGE = 6.5, 19


@dataclass(frozen=True)
class Line:
    """A series over time; ``values``: pairs of seconds and figure."""

    legend: str
    values: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """The newest figure that is one."""
        return next((value for _, value in reversed(self.values) if math.isfinite(value)), math.nan)


def lines_of(legend: str, found: Sequence[dict[str, Any]]) -> list[Line]:
    """Returns the series of an answer to ``query_range``, named as Grafana would."""
    return [
        Line(
            _named(legend, series["metric"]),
            [(float(at), float(value)) for at, value in series["values"]],
        )
        for series in found
    ]


def said(value: float, unit: str) -> str:
    """Returns a figure in its unit, as short as it can be read."""
    if not math.isfinite(value):
        return "–"
    if unit in _SAID:
        return _SAID[unit](value)
    return f"{value:.3g}" + {"opm": " /min", "mps": " /s"}.get(unit, "")


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def _bytes(value: float) -> str:
    power = min(3, int(math.log(value, 1024))) if value >= 1 else 0
    return f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}"


_SAID: dict[str, Callable[[float], str]] = {
    "s": _seconds,
    "bytes": _bytes,
    "Bps": lambda value: f"{_bytes(value)}/s",
    "percentunit": lambda value: f"{100 * value:.1f} %",
    "currencyUSD": lambda value: f"${value:.2g}",
    "celsius": lambda value: f"{value:.0f} °C",
}


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda name: labels.get(name[1], ""), legend)


def draw(
    board: dict[str, Any], found: dict[int, list[Line]], span_s: tuple[float, float], file: Path
) -> None:
    """Writes a dashboard's picture.

    Args:
        board: As it was generated.
        found: The series of each panel, by its number.
        span_s: When the first and the last figure are from, seconds.
        file: What is written, a PNG.
    """
    import matplotlib as mpl  # noqa: PLC0415 - a tool of the bench, not of EVA

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    places = [panel["gridPos"] for panel in board["panels"]]
    rows = max(place["y"] + place["h"] for place in places) + 1
    size = (24 * INCHES_A_COLUMN, rows * INCHES_A_ROW)
    with mpl.rc_context({"font.size": _SMALL, "axes.linewidth": 0.4, "lines.linewidth": 1.0}):
        page = plt.figure(figsize=size, facecolor="white")
        page.text(MARGIN, 1 - 0.55 / rows, board["title"], fontsize=13, weight="bold", va="center")
        for panel in board["panels"]:
            place = panel["gridPos"]
            top = 1 - (place["y"] + 1) / rows
            if panel["type"] == "row":
                page.text(
                    MARGIN, top - 0.5 / rows, panel["title"], fontsize=10, color="tab:blue", va="center"
                )
                continue
            width, height = place["w"] / 24, place["h"] / rows
            left = place["x"] / 24 + 0.035
            box = (left, top - height + 1.6 / rows, width - 0.047, height - 3.0 / rows)
            axes = page.add_axes(box)
            axes.set_title(panel["title"], fontsize=7.5, loc="left", pad=3)
            _panel(axes, panel, found.get(panel["id"], []), span_s)
        page.savefig(file, dpi=DPI)
        plt.close(page)
    _shrink(file)


def _panel(axes: Any, panel: dict[str, Any], lines: list[Line], span_s: tuple[float, float]) -> None:
    field, began = panel["fieldConfig"]["defaults"], span_s[0]
    if panel["type"] != "timeseries":
        axes.axis("off")
        _words(axes, panel["type"], lines, field["unit"])
        return
    if field["custom"]["stacking"]["mode"] == "normal" and lines:
        _stack(axes, lines, began)
    else:
        for line in lines[:12]:
            axes.plot([at - began for at, _ in line.values], [value for _, value in line.values])
    for step in field["thresholds"]["steps"][1:]:
        if field["custom"]["thresholdsStyle"]["mode"] == "line":
            axes.axhline(step["value"], color=step["color"], linestyle="--", linewidth=0.7)
    axes.set_xlim(0, span_s[1] - began)
    axes.set_ylim(bottom=0, top=field.get("max"))
    axes.yaxis.set_major_formatter(lambda value, _: said(value, field["unit"]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")
    axes.grid(linewidth=0.3)
    names = [f"{line.legend} ({said(line.last, field['unit'])})" for line in lines]
    handles = axes.collections if field["custom"]["stacking"]["mode"] == "normal" else axes.lines
    shown = list(zip(handles, names, strict=False))[:MOST_LEGENDS]
    if shown:
        axes.legend(*zip(*shown, strict=True), fontsize=5, framealpha=0.6, loc="upper left", borderpad=0.2)


def _stack(axes: Any, lines: list[Line], began: float) -> None:
    times = sorted({at for line in lines for at, _ in line.values})
    told = [dict(line.values) for line in lines]
    heights = [[_finite(each.get(at, 0.0)) for at in times] for each in told]
    axes.stackplot([at - began for at in times], heights, alpha=0.6)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _words(axes: Any, kind: str, lines: list[Line], unit: str) -> None:
    if kind == "table":
        for number, line in enumerate(lines[:8]):
            axes.text(0, 0.92 - 0.13 * number, line.legend, fontsize=_SMALL, va="top")
        return
    for number, line in enumerate(lines[:6]):
        size = _LARGE if len(lines) == 1 else _LARGE / 2
        x, y = (number % 2) * 0.5, 0.6 - 0.33 * (number // 2)
        axes.text(x, y, said(line.last, unit), fontsize=size, weight="bold")
        axes.text(x, y - 0.1, line.legend, fontsize=_SMALL, color="grey")


def _shrink(file: Path) -> None:
    from PIL import Image  # noqa: PLC0415 - comes with matplotlib

    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(COLOURS_KEPT)
    small.save(file, optimize=True)
