"""A store that is slow when somebody leaves: what was said is remembered all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from services.gateway.chat_protocol import Start, TurnDone, UserText
from services.gateway.hub import FINISH_S, STORE_S, Hub
from services.gateway.memory import Memory
from shared.bus.memory import MemoryBus
from shared.messages import Message, SessionRecord
from tests.fakes.virtual_time import virtual_time
from tests.gateway.rig import Client, Place, make_place


class Electing(Memory):
    """A store whose leader is elected until ``is_open`` is set."""

    is_open: asyncio.Event

    async def save(self, sid: str, record: SessionRecord, *, owner: str = "") -> None:
        await self.is_open.wait()
        await super().save(sid, record, owner=owner)


class HeldUp(MemoryBus):
    """Takes no more work once ``is_held`` is set."""

    is_held = False

    async def enqueue(self, subject: str, message: Message, *, message_id: str) -> None:
        if self.is_held:
            await asyncio.get_running_loop().create_future()
        await super().enqueue(subject, message, message_id=message_id)


async def until_all_have_gone(hub: Hub) -> None:
    while hub.sessions:  # noqa: ASYNC110 - on a clock that costs nothing
        await asyncio.sleep(0.1)


@asynccontextmanager
async def at_a_store_that_elects() -> AsyncIterator[tuple[Place, Hub, Electing, HeldUp]]:
    async with make_place() as place:
        memory, bus = Electing(place.bus, ttl_s=3600), HeldUp(place.broker, "gateway", None)
        memory.is_open = asyncio.Event()
        hub = Hub(replace(place.hub.around, memory=memory, bus=bus))
        await hub.subscribe()
        yield place, hub, memory, bus


async def stored(place: Place, sid: str) -> str | None:
    record = await place.memory.load(sid)
    return None if record is None else record.messages[-2].content


@virtual_time
async def test_a_turn_is_remembered_though_storing_takes_longer_than_who_leaves_is_waited_for() -> None:
    async with at_a_store_that_elects() as (place, hub, memory, _bus):
        client = Client()
        async with hub.session(Start(session_id="s"), client) as session:
            session.handle(UserText(text="hello"))
            await client.sees(TurnDone)
        assert await stored(place, "s") is None
        await asyncio.sleep(5)
        memory.is_open.set()
        await until_all_have_gone(hub)
        assert await stored(place, "s") == "hello"


@virtual_time
async def test_what_cannot_be_published_when_somebody_leaves_holds_up_nothing_that_is_remembered() -> None:
    async with at_a_store_that_elects() as (_place, hub, memory, bus):
        memory.is_open.set()
        client = Client()
        async with hub.session(Start(session_id="s"), client) as session:
            session.handle(UserText(text="hello"))
            await client.sees(TurnDone)
            bus.is_held = True
            session.handle(UserText(text="and now"))
            session.handle(UserText(text="and then"))
        await until_all_have_gone(hub)
        record = await memory.load("s")
        assert record is not None
        assert record.messages[0].content == "hello"
        assert record.turns == 3


@virtual_time
async def test_a_gateway_that_goes_waits_for_the_store_a_while_and_no_longer() -> None:
    async with at_a_store_that_elects() as (_place, hub, _memory, _bus):
        client = Client()
        async with hub.session(Start(session_id="s"), client) as session:
            session.handle(UserText(text="hello"))
            await client.sees(TurnDone)
        began = asyncio.get_running_loop().time()
        await hub.close()
        assert asyncio.get_running_loop().time() - began <= FINISH_S + STORE_S + 0.1
        await asyncio.sleep(0)
        assert not hub.sessions
