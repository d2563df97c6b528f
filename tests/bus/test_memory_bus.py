"""What only the memory bus has: the broker's death at will, virtual time, long leases."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus import Job, WorkQueue
from shared.bus.memory import MemoryBroker
from shared.errors import BusDown
from shared.messages import AnyMessage, Cancel
from tests.fakes.virtual_time import virtual_time

QUEUE = WorkQueue(name="jobs", subject="eva.v1.work.test.>", capacity=3, max_age_s=30.0)
SUBJECT = "eva.v1.work.test.gw.sid"


def item(turn: int) -> Cancel:
    return Cancel(sid="s", turn=turn)


@virtual_time
async def test_a_job_of_an_hour_is_not_given_to_another_while_its_worker_lives() -> None:
    broker = MemoryBroker()
    bus, other = broker.connect("a"), broker.connect("b")
    queue = WorkQueue(name="jobs", subject="eva.v1.work.test.>", max_age_s=7200)
    await bus.declare(queue)
    seen: list[tuple[str, int]] = []

    async def long(job: Job) -> None:
        seen.append(("long", job.delivery))
        await asyncio.sleep(3600)

    async def short(job: Job) -> None:
        seen.append(("short", job.delivery))

    worker = bus.consumer(queue, slots=1, handler=long)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await bus.enqueue(SUBJECT, item(1), message_id="1")
        await asyncio.sleep(1)
        spare = other.consumer(queue, slots=1, handler=short)
        tasks.create_task(spare.run())
        await asyncio.sleep(5000)
        spare.drain()
        worker.drain()
    assert seen == [("long", 1)]
    assert asyncio.get_running_loop().time() >= 5000


@virtual_time
async def test_items_older_than_the_queue_allows_vanish() -> None:
    bus = MemoryBroker().connect()
    await bus.declare(QUEUE)
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    await asyncio.sleep(31)
    await bus.enqueue(SUBJECT, item(2), message_id="2")
    seen: list[AnyMessage] = []

    async def take(job: Job) -> None:
        seen.append(job.message)
        worker.drain()

    worker = bus.consumer(QUEUE, slots=1, handler=take)
    await worker.run()
    assert seen == [item(2)]


@virtual_time
async def test_a_broker_that_is_down_refuses_and_one_that_is_back_serves_on() -> None:
    broker = MemoryBroker()
    changes: list[bool] = []
    bus = broker.connect(on_change=changes.append)
    await bus.declare(QUEUE)
    heard = asyncio.Event()
    await bus.subscribe("eva.v1.a", lambda _subject, _message: heard.set())
    bucket = await bus.bucket("b", ttl_s=5)
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    broker.go_down()
    assert not bus.is_up
    with pytest.raises(BusDown):
        await bus.publish("eva.v1.a", item(1))
    with pytest.raises(BusDown):
        await bucket.get("k")
    done = asyncio.Event()

    async def take(_job: Job) -> None:
        done.set()

    worker = bus.consumer(QUEUE, slots=1, handler=take)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await asyncio.sleep(1)
        assert not done.is_set()
        broker.come_up()
        await bus.publish("eva.v1.a", item(2))
        async with asyncio.timeout(1):
            await done.wait()
            await heard.wait()
        worker.drain()
    assert changes == [True, False, True]
