"""Garbage is collected at set times; looked at in a process of its own, since it concerns all of one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shared.garbage import next_in_s

PROGRAM = """
import asyncio, contextlib, gc, weakref
from shared.garbage import collect, seldom

class Knot:
    def __init__(self):
        self.itself = self

def grown_old():
    knot = Knot()
    gc.collect(0), gc.collect(1)
    return weakref.ref(knot)

async def main():
    usual = gc.get_threshold()
    before = Knot()
    with seldom():
        assert gc.get_threshold()[:2] == usual[:2]
        assert gc.get_freeze_count() > 1000
        knot = grown_old()
        fulls = gc.get_stats()[2]["collections"]
        kept = [[number] for number in range(500_000)]
        assert gc.get_stats()[2]["collections"] == fulls, "it came by itself"
        assert knot() is not None
        collecting = asyncio.create_task(collect(every_s=0.01))
        async with asyncio.timeout(20):
            while knot() is not None:
                await asyncio.sleep(0.01)
        collecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await collecting
    assert gc.get_threshold() == usual
    kept.clear()

asyncio.run(main())
"""


def test_full_collections_come_at_set_times_and_not_by_themselves() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("took_s", "due_s"), [(0.0, 30), (0.001, 30), (0.015, 30), (0.1, 200), (10.0, 300)])
def test_the_longer_one_takes_the_later_the_next_one_comes(took_s: float, due_s: float) -> None:
    assert next_in_s(took_s) == pytest.approx(due_s)
