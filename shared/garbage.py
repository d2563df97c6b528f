"""When garbage is collected: full collections come at set times, and seldom.

CPython runs a full one after so many objects more, which under load is every two or three seconds, and it
stands still for as long as the objects of all sessions take: with 140 people who talk 17 to 57 ms,
which is what their slowest hundredth waited for (p99 41 ms; 7 ms without, `benchmarks.edge`); with 440 it was
114 ms. Nearly all that is thrown away has no cycles and needs none, so the next full one comes the later, the
longer the last one took. What was made before the service serves is never looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator
from typing import NoReturn

NEVER = 2**31 - 1
FULL_EVERY_S, FULL_AT_LEAST_S = 30.0, 300.0
STANDS_STILL = 0.0005
"""Share of the time that full collections may take."""


@contextlib.contextmanager
def seldom() -> Iterator[None]:
    """Leaves what there is alone for good; no full collection comes by itself for as long as this lasts."""
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*usual[:2], NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


async def collect(*, every_s: float = FULL_EVERY_S) -> NoReturn:
    """Runs a full collection every ``every_s``, or as seldom as ``next_in_s`` says, until cancelled."""
    wait_s = every_s
    while True:
        await asyncio.sleep(wait_s)
        began_at = time.monotonic()
        gc.collect()
        wait_s = next_in_s(time.monotonic() - began_at, every_s=every_s)


def next_in_s(took_s: float, *, every_s: float = FULL_EVERY_S) -> float:
    """Returns how long after a full collection, which took so long, the next one is due. Pure."""
    return max(every_s, min(took_s / STANDS_STILL, FULL_AT_LEAST_S))
