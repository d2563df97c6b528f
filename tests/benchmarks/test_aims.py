from __future__ import annotations

import math

import pytest

from benchmarks.aims import Aim, judge, missed, verdict

QUICK = Aim("pause", 140.0, 150.0)
SLOW = Aim("decision", 640.0, 600.0)
READY = Aim("text ready", 88.0, 90.0, "%", is_least=True)


def test_an_aim_is_missed_beyond_its_bound_on_its_own_side() -> None:
    assert missed([QUICK, SLOW, READY]) == ["decision", "text ready"]
    assert "| decision | 640 ms | ≤ 600 | **missed** |" in verdict([QUICK, SLOW])
    assert "| text ready | 88 % | ≥ 90 | **missed** |" in verdict([READY])


def test_a_figure_that_could_not_be_measured_keeps_no_bound() -> None:
    assert missed([Aim("pause", math.nan, 150.0), Aim("ready", math.nan, 90.0, is_least=True)])


@pytest.mark.parametrize(
    ("aims", "is_strict", "status"),
    [([QUICK], True, 0), ([QUICK, SLOW], True, 1), ([QUICK, SLOW], False, 0), ([], True, 0)],
)
def test_only_a_strict_run_fails_by_what_was_missed(
    aims: list[Aim], is_strict: bool, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(aims, is_strict=is_strict) == status
    assert ("pause" in capsys.readouterr().out) == bool(aims)
