"""A conversation's memory is stored beside its turns."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.keeper import TRIES, Keeper
from shared.errors import BusDown
from shared.messages import SessionRecord
from tests.fakes.virtual_time import virtual_time


class Store:
    """Takes records while ``open`` is set; refuses the first ``down`` of them."""

    def __init__(self, *, down: int = 0) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.turns: list[int] = []
        self.down = down
        self.refused = 0

    async def save(self, record: SessionRecord) -> None:
        self.asked.set()
        await self.open.wait()
        if self.refused < self.down:
            self.refused += 1
            raise BusDown("away")
        self.turns.append(record.turns)


async def test_noting_never_waits_and_the_newest_is_stored() -> None:
    store = Store()
    store.open.clear()
    keeper = Keeper("s1", store.save)
    running = asyncio.create_task(keeper.run())
    keeper.keep(SessionRecord(turns=1))
    await asyncio.wait_for(store.asked.wait(), 60)
    keeper.keep(SessionRecord(turns=2))
    keeper.keep(SessionRecord(turns=3))
    store.open.set()
    running.cancel()
    await asyncio.wait({running})
    await keeper.finish()
    assert store.turns[-1] == 3
    assert 2 not in store.turns


async def test_what_changes_while_it_is_stored_is_stored_too() -> None:
    store = Store()
    store.open.clear()
    keeper = Keeper("s1", store.save)
    keeper.keep(SessionRecord(turns=1))
    finishing = asyncio.create_task(keeper.finish())
    await asyncio.wait_for(store.asked.wait(), 60)
    keeper.keep(SessionRecord(turns=2))
    store.open.set()
    await finishing
    assert store.turns == [1, 2]
    await keeper.finish()
    assert store.turns == [1, 2]


@virtual_time
async def test_a_store_that_is_away_for_a_moment_is_asked_again() -> None:
    store = Store(down=TRIES - 1)
    keeper = Keeper("s1", store.save)
    keeper.keep(SessionRecord(turns=1))
    await keeper.finish()
    assert store.turns == [1]


@virtual_time
async def test_a_store_that_stays_away_is_given_up_until_the_next_change() -> None:
    store = Store(down=TRIES)
    keeper = Keeper("s1", store.save)
    keeper.keep(SessionRecord(turns=1))
    running = asyncio.create_task(keeper.run())
    await asyncio.sleep(60)
    assert (store.refused, store.turns) == (TRIES, [])
    keeper.keep(SessionRecord(turns=2))
    await asyncio.sleep(1)
    assert store.turns == [2]
    running.cancel()


async def test_a_session_that_is_not_remembered_stores_nothing(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper("s1", None)
    keeper.keep(SessionRecord(turns=1))
    await keeper.finish()
    assert caplog.records == []
