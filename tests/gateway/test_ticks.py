"""One timer for all sessions."""

from __future__ import annotations

import asyncio
import time

from services.gateway.ticks import EVERY_S, Ticks
from tests.fakes.virtual_time import virtual_time


@virtual_time
async def test_who_wants_it_is_called_until_they_want_it_no_more() -> None:
    ticks, first, second = Ticks(), list[float](), list[float]()
    with ticks.calling(first.append):
        await asyncio.sleep(2.5 * EVERY_S)
        with ticks.calling(second.append):
            await asyncio.sleep(2 * EVERY_S)
        await asyncio.sleep(EVERY_S)
    await asyncio.sleep(5 * EVERY_S)
    assert (len(first), len(second)) == (5, 2)
    assert max(first) < 0.01 * EVERY_S
    with ticks.calling(second.append):
        await asyncio.sleep(1.5 * EVERY_S)
    assert len(second) == 3


@virtual_time
async def test_who_leaves_while_others_are_called_is_called_no_more() -> None:
    ticks, called = Ticks(), list[str]()
    other = ticks.calling(lambda _: called.append("other"))

    def leave(_: float) -> None:
        called.append("leaves")
        if len(called) == 1:
            other.__exit__(None, None, None)

    with ticks.calling(leave):
        other.__enter__()
        await asyncio.sleep(2.5 * EVERY_S)
    assert called == ["leaves", "leaves"]


async def test_it_says_how_long_the_process_stood_still() -> None:
    ticks, called = Ticks(), asyncio.Event()
    late_s: list[float] = []

    def look(by_s: float) -> None:
        late_s.append(by_s)
        called.set()

    with ticks.calling(look):
        time.sleep(4 * EVERY_S)  # noqa: ASYNC251 - it is to stand still
        async with asyncio.timeout(30):
            await called.wait()
    assert late_s[0] >= 2.9 * EVERY_S
