"""The latency that providers are tested and measured with is the one that was measured, and repeats."""

from __future__ import annotations

import itertools
import statistics

import pytest

from tests.fakes.provider_latency import MOST_S, Trace

TURNS = 4000


def test_turns_are_slow_as_often_as_those_that_were_measured() -> None:
    taken_s = [Trace(seed=seed).first_token_s(turn) for seed in range(20) for turn in range(0, TURNS, 4)]
    assert statistics.median(taken_s) == pytest.approx(0.19, abs=0.01)
    assert sum(took > 0.5 for took in taken_s) / len(taken_s) == pytest.approx(0.15, abs=0.015)
    assert sum(took > 0.8 for took in taken_s) / len(taken_s) == pytest.approx(0.12, abs=0.015)
    assert max(taken_s) == MOST_S


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_slow_turns_come_in_spells(seed: int) -> None:
    trace = Trace(seed=seed)
    slow = [trace.first_token_s(turn) > 0.5 for turn in range(TURNS)]
    behind_slow = [after for before, after in itertools.pairwise(slow) if before]
    assert sum(behind_slow) / len(behind_slow) > 0.85


def test_the_order_of_asking_changes_nothing() -> None:
    onward, backward = Trace(seed=7), Trace(seed=7)
    assert [onward.first_token_s(turn) for turn in range(500)] == [
        backward.first_token_s(turn) for turn in reversed(range(500))
    ][::-1]


def test_two_seeds_are_sick_at_different_times() -> None:
    one, other = Trace(seed=1), Trace(seed=2)
    both = sum(one.is_sick(turn) and other.is_sick(turn) for turn in range(TURNS))
    assert both < sum(one.is_sick(turn) for turn in range(TURNS)) / 2


def test_spells_may_be_a_square_wave_or_none_or_a_recording() -> None:
    square = Trace(seed=1, spells="square")
    sick = [square.is_sick(turn) for turn in range(258)]
    assert sick == ([False] * 109 + [True] * 20) * 2
    assert not Trace(seed=1, spells="never").is_sick(3)
    assert Trace(seed=1, spells="always").is_sick(3)
    assert [Trace(seed=1, recorded_s=(0.1, 2.0)).first_token_s(turn) for turn in range(3)] == [0.1, 2.0, 0.1]
