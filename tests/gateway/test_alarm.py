"""The alarm of a session, also where its process stood still."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.alarm import LATE_S, PUT_OFF_AT_MOST_S, Alarm
from tests.fakes.virtual_time import virtual_time


class Bell:
    """An alarm, and when it rang by a clock that can jump ahead of the loop's timers."""

    def __init__(self) -> None:
        self.stood_still_s = 0.0
        self.rang: list[float] = []
        self.alarm = Alarm(self.now, lambda: self.rang.append(self.now()))

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self.stood_still_s

    async def stand_still(self, *, at_s: float, for_s: float) -> None:
        """Nothing is done for a while: what was due in it is done late."""
        await asyncio.sleep(at_s - self.now())
        self.stood_still_s += for_s


@virtual_time
async def test_it_rings_when_it_was_set_to_and_at_once_for_what_is_past() -> None:
    bell = Bell()
    bell.alarm.set(2.0)
    bell.alarm.set(1.0)
    await asyncio.sleep(5)
    assert bell.rang == [1.0]
    bell.alarm.set(3.0)
    await asyncio.sleep(0.001)
    assert bell.rang == [1.0, 5.0]


@virtual_time
async def test_it_does_not_ring_any_more_once_it_was_cancelled_or_set_to_never() -> None:
    bell = Bell()
    bell.alarm.set(1.0)
    bell.alarm.set(None)
    bell.alarm.set(2.0)
    bell.alarm.cancel()
    await asyncio.sleep(5)
    assert bell.rang == []


@pytest.mark.parametrize("for_s", [2 * LATE_S, 3.0])
@virtual_time
async def test_who_stood_still_listens_first_and_rings_then_once(for_s: float) -> None:
    bell = Bell()
    bell.alarm.set(1.0)
    await bell.stand_still(at_s=0.999, for_s=for_s)
    woke_s = 1.0 + for_s
    await asyncio.sleep(0.002)
    assert bell.now() > woke_s
    assert bell.rang == []
    bell.alarm.set(0.5)  # as whoever hears something does, while the old deadline is still the next
    await asyncio.sleep(5)
    assert bell.rang == [pytest.approx(woke_s + min(for_s, PUT_OFF_AT_MOST_S))]


@virtual_time
async def test_what_was_heard_meanwhile_may_call_the_deadline_off() -> None:
    bell = Bell()
    bell.alarm.set(1.0)
    await bell.stand_still(at_s=0.999, for_s=3.0)
    await asyncio.sleep(0.002)
    bell.alarm.set(None)
    await asyncio.sleep(5)
    assert bell.rang == []


@virtual_time
async def test_a_process_that_is_always_late_rings_all_the_same() -> None:
    bell = Bell()
    bell.alarm.set(1.0)
    await bell.stand_still(at_s=0.999, for_s=3.0)
    await bell.stand_still(at_s=4.2, for_s=3.0)
    await asyncio.sleep(5)
    assert len(bell.rang) == 1
    bell.alarm.set(20.0)
    await asyncio.sleep(20)
    assert bell.rang[1:] == [pytest.approx(20.0)]
