from __future__ import annotations

import pytest

from services.stt.tick import Tick


def after(sessions: int, *, seconds: float = 2.0) -> tuple[Tick, float]:
    """A tick behind so many sessions in real time, and what time it is."""
    tick, now = Tick(), 0.0
    for number in range(int(seconds * sessions / 0.032)):
        now = number * 0.032 / sessions
        tick.arrived(now)
    return tick, now


@pytest.mark.parametrize("sessions", [1, 4, 10])
def test_with_few_sessions_nobody_waits(sessions: int) -> None:
    tick, now = after(sessions)
    assert tick.wait_s(now, now) == 0.0


@pytest.mark.parametrize("sessions", [14, 50, 100])
def test_with_many_the_first_of_a_tick_waits_for_the_others_and_never_longer_than_that(sessions: int) -> None:
    tick, now = after(sessions)
    assert tick.wait_s(now, now) == pytest.approx(0.008)
    assert tick.wait_s(now + 0.005, now) == pytest.approx(0.003)
    assert tick.wait_s(now + 0.5, now) == 0.0


def test_the_rate_is_that_of_late() -> None:
    tick, now = after(50)
    assert tick.rate_hz(now) == pytest.approx(50 / 0.032, rel=0.05)
    assert tick.rate_hz(now + 1) < 50
    tick.arrived(now + 1)
    assert tick.wait_s(now + 1, now + 1) == 0.0


def test_a_clock_that_stands_still_or_steps_back_is_borne() -> None:
    tick = Tick()
    for now in (1.0, 1.0, 0.5):
        tick.arrived(now)
    assert tick.rate_hz(0.5) == pytest.approx(12.0)
