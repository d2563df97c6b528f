from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.tts.production import AHEAD, Production, Stalled
from shared.errors import EngineFailed

WAIT_S = 60.0


def idle() -> float:
    """No engine is at work."""
    return 0.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def test_chunks_come_in_order_and_to_the_last(threads: ThreadPoolExecutor) -> None:
    with Production(iter(range(500)), stall_s=WAIT_S, computing_s=idle).running(threads) as made:
        assert [number async for number in made] == list(range(500))


async def test_a_chunk_does_not_wait_for_the_next_one(threads: ThreadPoolExecutor) -> None:
    may_go_on = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        may_go_on.wait(WAIT_S)
        yield 2

    with Production(slow(), stall_s=WAIT_S, computing_s=idle).running(threads) as made:
        assert await anext(made) == 1
        assert not may_go_on.is_set()
        may_go_on.set()
        assert [number async for number in made] == [2]


async def test_what_was_made_before_a_failure_comes_before_it(threads: ThreadPoolExecutor) -> None:
    def breaking() -> Iterator[int]:
        yield 1
        raise EngineFailed("fake", "broke")

    with Production(breaking(), stall_s=WAIT_S, computing_s=idle).running(threads) as made:
        assert await anext(made) == 1
        with pytest.raises(EngineFailed, match="broke"):
            await anext(made)


async def test_an_engine_that_hangs_is_told_of(threads: ThreadPoolExecutor) -> None:
    may_end = threading.Event()
    began = time.monotonic()

    def hanging() -> Iterator[int]:
        may_end.wait(WAIT_S)
        yield 1

    production = Production(hanging(), stall_s=0.05, computing_s=lambda: time.monotonic() - began)
    with production.running(threads) as made:
        with pytest.raises(Stalled, match="no sound within"):
            await anext(made)
        may_end.set()


async def test_who_waits_for_its_turn_does_not_hang_however_long_it_waits(
    threads: ThreadPoolExecutor,
) -> None:
    """Only what an engine takes counts, from when its turn began."""
    may_end = threading.Event()
    looks = iter([0.0, 0.0, 0.0, 0.004, 0.01])

    def waiting() -> Iterator[int]:
        may_end.wait(WAIT_S)
        yield 1

    with Production(waiting(), stall_s=0.01, computing_s=lambda: next(looks)).running(threads) as made:
        with pytest.raises(Stalled):
            await anext(made)
        assert list(looks) == [], "it was not given up before the engine had taken too long"
        may_end.set()


async def test_a_thread_runs_ahead_only_so_far_and_stops_when_nobody_wants_more(
    threads: ThreadPoolExecutor,
) -> None:
    made: list[int] = []
    is_far = threading.Event()

    def endless() -> Iterator[int]:
        for number in range(100_000):
            made.append(number)
            if number == AHEAD - 1:
                is_far.set()
            yield number

    with Production(endless(), stall_s=WAIT_S, computing_s=idle).running(
        threads
    ):  # nobody even asks for the first
        assert await asyncio.to_thread(is_far.wait, WAIT_S)
    await asyncio.to_thread(threads.shutdown)
    assert len(made) <= AHEAD + 2
