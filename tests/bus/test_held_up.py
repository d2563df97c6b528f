"""Work whose queue confirms nothing, or is not there, on a real server: it is done all the same, and once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from shared.bus import Job, WorkQueue
from shared.bus.nats import NatsBus
from shared.bus.nats_rush import Sender
from shared.bus.nats_store import ask
from shared.errors import BusDown
from shared.messages import Cancel
from tests.bus.conftest import WAIT_S, Heard, Working
from tests.conftest import NatsServer

pytestmark = pytest.mark.process

QUEUE = WorkQueue(name="test-jobs", subject="eva.v1.work.test.>", ack_wait_s=20.0)
SUBJECT = "eva.v1.work.test.gw.sid"
NEVER, NOW = "2999-01-01T00:00:00Z", "2000-01-01T00:00:00Z"


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until something is so in another process or task; looks again and again."""
    async with asyncio.timeout(WAIT_S):
        while not await holds():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


@dataclass
class Shop:
    """A queue, who fills it, and workers."""

    sender: NatsBus
    done: Heard = field(default_factory=Heard)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    buses: list[NatsBus] = field(default_factory=list)
    workers: list[Working] = field(default_factory=list)

    async def hire(self, server: NatsServer, *, slots: int = 1) -> None:
        """Starts one more worker; once it returns, it can be found."""
        bus = await server.connect(f"worker{len(self.buses)}")
        self.buses.append(bus)

        async def work(job: Job) -> None:
            await self.release.wait()
            self.done(job)

        self.workers.append(Working(bus.consumer(QUEUE, slots=slots, handler=work)))
        await until(self._is_found)

    async def _is_found(self) -> bool:
        return await self.listeners() == len(self.buses)

    async def listeners(self) -> int:
        """How many workers answer when somebody asks who is free."""
        heard: list[bytes] = []

        async def note(message: Any) -> None:
            if not (message.headers or {}).get("Status"):
                heard.append(message.data)

        link = self.sender._control
        inbox = link.new_inbox()
        hearing = await link.subscribe(inbox, note)
        await link.publish("eva.v1.rush.test.free", b"nothing", reply=inbox)
        await asyncio.gather(*(bus._control.round_trip() for bus in self.buses))
        await link.round_trip()
        await hearing.close()
        return len(heard)

    async def send(self, turn: int) -> None:
        await self.sender.enqueue(SUBJECT, Cancel(sid="s", turn=turn), message_id=f"id{turn}")

    async def stored(self) -> int:
        """How many items lie in the queue."""
        link = self.sender._control
        answer = await link.request("$JS.API.STREAM.INFO.test-jobs", b"", timeout_s=WAIT_S)
        return int(answer.data.partition(b'"messages":')[2].partition(b",")[0])

    async def is_empty(self) -> bool:
        return await self.stored() == 0

    async def is_given(self) -> bool:
        """Whether the item in the queue was given to a worker, or is done with."""
        told = await self.sender._control.request(
            f"$JS.API.CONSUMER.INFO.{QUEUE.name}.{QUEUE.name}", b"", timeout_s=WAIT_S
        )
        return b'"num_ack_pending":0' not in told.data or await self.is_empty()

    async def is_busy(self) -> bool:
        return not self.workers[0].consumer.is_free()

    async def never_confirms(self) -> None:
        """From now on the queue takes things in without a word."""
        config = {
            "name": QUEUE.name, "subjects": [QUEUE.subject], "retention": "workqueue", "storage": "file",
            "discard": "new", "max_msgs": QUEUE.capacity, "max_age": 30_000_000_000,
            "duplicate_window": 30_000_000_000, "num_replicas": 1, "no_ack": True,
        }  # fmt: skip
        await ask(self.sender._control, f"STREAM.UPDATE.{QUEUE.name}", config)

    async def pause(self, until: str) -> None:
        """The queue gives nothing away until then."""
        action = f"CONSUMER.PAUSE.{QUEUE.name}.{QUEUE.name}"
        await ask(self.sender._control, action, {"pause_until": until})


@pytest_asyncio.fixture
async def shop(nats_server: NatsServer) -> AsyncIterator[Shop]:
    made = Shop(await nats_server.connect("sender"))
    made.release.set()
    await made.sender.declare(QUEUE)
    try:
        yield made
    finally:
        made.release.set()
        for worker in made.workers:
            await worker.stop()
        for bus in (made.sender, *made.buses):
            await bus.close()


def turns(shop: Shop) -> list[int]:
    return sorted(job.message.turn for job in shop.done.items)


async def test_work_is_done_though_its_queue_is_gone(shop: Shop, nats_server: NatsServer) -> None:
    await shop.hire(nats_server)
    await shop.hire(nats_server)
    await ask(shop.sender._control, f"STREAM.DELETE.{QUEUE.name}")
    await shop.send(1)
    (job,) = await shop.done.until(1)
    assert (job.subject, job.delivery) == (SUBJECT, 1)
    assert shop.sender._sender.rushed == 1


async def test_work_that_is_not_confirmed_is_not_done_twice(shop: Shop, nats_server: NatsServer) -> None:
    await shop.hire(nats_server, slots=2)
    await shop.never_confirms()
    for turn in range(6):
        await shop.send(turn)
    await shop.done.until(lambda items: len(items) >= 6)
    await until(shop.is_empty)
    assert turns(shop) == list(range(6))


async def test_the_copy_that_a_queue_gives_away_late_is_done_with(
    shop: Shop, nats_server: NatsServer
) -> None:
    await shop.hire(nats_server)
    await shop.never_confirms()
    await shop.pause(NEVER)
    await shop.send(1)
    await shop.done.until(1)
    assert shop.sender._sender.rushed == 1
    assert await shop.stored() == 1
    await shop.pause(NOW)
    await until(shop.is_empty)
    assert turns(shop) == [1]


async def test_the_copy_does_not_go_to_another_worker_either(shop: Shop, nats_server: NatsServer) -> None:
    shop.release.clear()
    await shop.hire(nats_server)
    await shop.hire(nats_server)
    await shop.never_confirms()
    await shop.pause(NEVER)
    await shop.send(1)
    assert await shop.stored() == 1
    await shop.pause(NOW)
    await until(shop.is_given)  # to who has the item, or to the other, who knows that it is a copy
    assert not shop.done.items
    shop.release.set()
    await until(shop.is_empty)
    await shop.done.until(1)
    assert turns(shop) == [1]


async def test_where_everybody_is_busy_and_nothing_is_confirmed_the_sender_is_told(
    shop: Shop, nats_server: NatsServer
) -> None:
    shop.release.clear()
    await shop.hire(nats_server)
    await shop.send(1)
    await shop.never_confirms()
    await until(shop.is_busy)
    with pytest.raises(BusDown):
        await shop.send(2)


async def test_nothing_more_is_said_where_a_queue_confirms(shop: Shop, nats_server: NatsServer) -> None:
    await shop.hire(nats_server)
    shop.sender._sender = Sender(shop.sender._control, patience_s=WAIT_S)  # however slow this machine is
    spy = await nats_server.connect("spy")
    overheard = Heard()
    hearing = await spy._control.subscribe("eva.v1.rush.>", _note(overheard))
    other = await spy._control.subscribe("eva.v1.rush-taken.>", _note(overheard))
    client = shop.sender._control._client
    said, heard = client.stats["out_msgs"], client.stats["in_msgs"]
    for turn in range(20):
        await shop.send(turn)
    said, heard = client.stats["out_msgs"] - said, client.stats["in_msgs"] - heard
    await shop.done.until(20)
    await asyncio.gather(*(bus._control.round_trip() for bus in shop.buses))
    await spy._control.round_trip()
    for subscription in (hearing, other):
        await subscription.close()
    await spy.close()
    assert (said, heard) == (20, 20)
    assert overheard.items == []


def _note(heard: Heard) -> Any:
    async def note(message: Any) -> None:
        heard(message.subject)

    return note
