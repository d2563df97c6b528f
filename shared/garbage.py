"""When garbage is collected: full collections come at set times, and seldom.

CPython runs a full one after so many objects more, which under load is every two or three seconds, and it
stands still for as long as the objects of all sessions take: with 140 people who talk 17 to 57 ms,
which is what their slowest hundredth waited for (p99 41 ms; 7 ms without, `benchmarks.edge`). Nearly all
that is thrown away has no cycles and needs none. What was made before the service serves is never looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from typing import NoReturn

NEVER = 2**31 - 1
FULL_EVERY_S = 30.0


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
    """Runs a full collection every ``every_s``, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        gc.collect()
