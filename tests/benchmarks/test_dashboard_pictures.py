"""What the pictures of the dashboards are drawn with."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.dashboard_pictures import Line, draw, lines_of, said
from deploy.grafana import panels
from deploy.grafana.panels import Query, dashboard, row


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.25, "s", "250 ms"),
        (2.0, "s", "2.00 s"),
        (0.125, "percentunit", "12.5 %"),
        (3 * 1024**3, "bytes", "3 GiB"),
        (0.0, "bytes", "0 B"),
        (2048, "Bps", "2 KiB/s"),
        (30.0, "opm", "30 /min"),
        (58.0, "celsius", "58 °C"),
        (0.0123, "currencyUSD", "$0.012"),
        (7, "short", "7"),
        (math.nan, "s", "–"),
    ],
)
def test_a_figure_is_said_in_its_unit(value: float, unit: str, text: str) -> None:
    assert said(value, unit) == text


def test_a_series_is_named_as_its_legend_says_and_its_last_figure_is_the_newest_that_is_one() -> None:
    found = [{"metric": {"stage": "tts"}, "values": [[1, "0.5"], [3, "0.75"], [5, "NaN"]]}]
    (line,) = lines_of("{{stage}} {{device}} p95", found)
    assert (line.legend, line.last) == ("tts  p95", 0.75)
    assert math.isnan(Line("", []).last)


def test_a_picture_is_drawn_of_what_there_is_and_of_what_there_is_not(tmp_path: Path) -> None:
    query = Query("up", "{{job}}")
    board = dashboard(
        "u",
        "Title",
        "About.",
        row(
            "Row",
            panels.lines("Lines", "About.", "s", [query], limits=((0.3, "red"),)),
            panels.lines("Stacked", "About.", "opm", [query], stacked=True),
            panels.figure("Figure", "About.", "bytes", [query]),
            panels.table("Table", "About.", query, ("job",)),
        ),
    )
    lines = [Line("one", [(0.0, 1.0), (2.0, math.nan)]), Line("two", [(2.0, 3.0)])]
    found = {panel["id"]: lines for panel in board["panels"]}
    draw(board, found, (0.0, 2.0), tmp_path / "some.png")
    draw(board, {}, (0.0, 2.0), tmp_path / "none.png")
    some, none = (tmp_path / "some.png").read_bytes(), (tmp_path / "none.png").read_bytes()
    assert some.startswith(b"\x89PNG")
    assert len(none) < len(some) < 150_000
