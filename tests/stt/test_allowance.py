from __future__ import annotations

import pytest

from services.stt.allowance import Allowance


def test_a_share_of_the_time_is_earned_as_it_goes_by() -> None:
    allowance = Allowance(per_s=0.3, most_s=1.0)
    spent, now_s = 0.0, 0.0
    while now_s < 60.0:
        if allowance.admits(0.1, now_s):
            allowance.spend(0.1)
            spent += 0.1
        now_s += 0.05
    assert spent == pytest.approx(0.3 * 60 + 1.0, abs=0.2)


def test_what_was_not_used_is_kept_for_a_moment_only() -> None:
    allowance = Allowance(per_s=0.3, most_s=1.0)
    assert allowance.admits(1.0, 0.0)
    assert allowance.admits(1.0, 3600.0)
    assert not allowance.admits(1.1, 7200.0)


def test_what_cost_more_than_was_expected_is_paid_for_later() -> None:
    allowance = Allowance(per_s=0.5, most_s=1.0)
    assert allowance.admits(0.2, 10.0)
    allowance.spend(0.2)
    allowance.spend(1.8)
    assert not allowance.admits(0.1, 11.0)
    assert allowance.admits(0.1, 13.0)
    allowance.spend(-0.5)
    assert allowance.left_s == pytest.approx(1.0)


def test_a_clock_that_goes_back_earns_nothing() -> None:
    allowance = Allowance(per_s=0.5, most_s=1.0)
    assert allowance.admits(1.0, 10.0)
    allowance.spend(1.0)
    assert not allowance.admits(0.1, 5.0)
