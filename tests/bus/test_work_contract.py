"""What work queues promise, on both buses."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import Any

import pytest

from shared.bus import Job, Reject, WorkQueue
from shared.bus.jobs import RETRY_DELAY_S
from shared.errors import BusDown, NoResponders, QueueFull
from shared.messages import Cancel
from tests.bus.conftest import WAIT_S, Heard, Place, Working

QUEUE = WorkQueue(
    name="test-jobs",
    subject="eva.v1.work.test.>",
    capacity=20,
    max_age_s=60.0,
    ack_wait_s=5.0,
    max_deliveries=3,
)
"""So patient that nothing comes again because the machine made a worker wait."""
PATIENT = dataclasses.replace(QUEUE, ack_wait_s=2 * WAIT_S)
"""Nothing comes again but what is given back."""
HASTY = dataclasses.replace(QUEUE, ack_wait_s=1.5)
"""For what only the end of a lease shows."""
SUBJECT = "eva.v1.work.test.gw.sid"


def item(turn: int) -> Cancel:
    return Cancel(sid="s", turn=turn)


def turn_of(job: Job) -> int:
    assert isinstance(job.message, Cancel)
    return job.message.turn


async def test_work_is_done_in_order_and_each_item_once(place: Place) -> None:
    bus, worker = await place.connect("a"), await place.connect("w")
    await bus.declare(QUEUE)
    done = Heard()

    async def work(job: Job) -> None:
        done(job)

    for turn in range(10):
        await bus.enqueue(SUBJECT, item(turn), message_id=f"{turn}")
    working = Working(worker.consumer(QUEUE, slots=1, handler=work))
    jobs = await done.until(10)
    await working.stop()
    assert [turn_of(job) for job in jobs] == list(range(10))
    assert {job.delivery for job in jobs} == {1}
    assert {job.subject for job in jobs} == {SUBJECT}
    assert all(0 <= job.waited_s < WAIT_S for job in jobs)


async def test_a_worker_never_has_more_jobs_than_slots(place: Place) -> None:
    bus = await place.connect("a")
    await bus.declare(QUEUE)
    busy, most = 0, 0
    done, all_slots = Heard(), asyncio.Event()

    async def work(job: Job) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        if busy == 3:
            all_slots.set()
        await all_slots.wait()
        await asyncio.sleep(0.01)
        busy -= 1
        done(job)

    working = Working(bus.consumer(QUEUE, slots=3, handler=work))
    for turn in range(20):
        await bus.enqueue(SUBJECT, item(turn), message_id=f"{turn}")
    await done.until(20)
    await working.stop()
    assert most == 3


async def test_a_slow_worker_holds_up_only_what_it_has_in_hand(place: Place) -> None:
    bus, other = await place.connect("a"), await place.connect("b")
    await bus.declare(QUEUE)
    release, stuck, done = asyncio.Event(), Heard(), Heard()

    async def slow(job: Job) -> None:
        stuck(job)
        await release.wait()

    async def fast(job: Job) -> None:
        done(job)

    one = Working(bus.consumer(QUEUE, slots=1, handler=slow))
    await bus.enqueue(SUBJECT, item(0), message_id="0")
    await stuck.until(1)
    two = Working(other.consumer(QUEUE, slots=1, handler=fast))
    for turn in range(1, 10):
        await bus.enqueue(SUBJECT, item(turn), message_id=f"{turn}")
    assert [turn_of(job) for job in await done.until(9)] == list(range(1, 10))
    release.set()
    await one.stop()
    await two.stop()


async def test_the_work_of_a_lost_worker_goes_to_another(place: Place) -> None:
    bus, doomed, other = await place.connect("a"), await place.connect("doomed"), await place.connect("b")
    await bus.declare(HASTY)
    taken, done = Heard(), Heard()

    async def hang(job: Job) -> None:
        taken(job)
        await asyncio.sleep(60)

    async def work(job: Job) -> None:
        done(job)

    dying = Working(doomed.consumer(HASTY, slots=1, handler=hang))
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    await taken.until(1)
    await place.lose(doomed)
    await dying.cancel()
    saving = Working(other.consumer(HASTY, slots=1, handler=work))
    (job,) = await done.until(1)
    await saving.stop()
    assert (turn_of(job), job.delivery) == (1, 2)


async def test_a_long_job_stays_with_its_worker(place: Place) -> None:
    bus, other = await place.connect("a"), await place.connect("b")
    await bus.declare(QUEUE)
    deliveries, done = Heard(), Heard()

    async def work(job: Job) -> None:
        deliveries(job)
        await asyncio.sleep(QUEUE.ack_wait_s * 1.5)
        done(job)

    one = Working(bus.consumer(QUEUE, slots=1, handler=work))
    two = Working(other.consumer(QUEUE, slots=1, handler=work))
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    await done.until(1)
    await one.stop()
    await two.stop()
    assert [job.delivery for job in deliveries.items] == [1]


async def test_a_full_queue_refuses_and_takes_again_when_work_is_done(place: Place) -> None:
    bus = await place.connect("a")
    small = dataclasses.replace(QUEUE, capacity=3)
    await bus.declare(small)
    for turn in range(3):
        await bus.enqueue(SUBJECT, item(turn), message_id=f"{turn}")
    with pytest.raises(QueueFull):
        await bus.enqueue(SUBJECT, item(3), message_id="3")
    done = Heard()

    async def work(job: Job) -> None:
        done(job)

    working = Working(bus.consumer(small, slots=1, handler=work))
    await done.until(3)
    await working.stop()
    async with asyncio.timeout(WAIT_S):
        while not await is_taken(bus, 3):  # the broker counts what was acknowledged in its own time
            pass


async def is_taken(bus: Any, turn: int) -> bool:
    """Tries to enqueue an item."""
    with contextlib.suppress(QueueFull):
        await bus.enqueue(SUBJECT, item(turn), message_id=f"{turn}")
        return True
    return False


async def test_a_repeated_message_id_is_no_new_item_even_after_the_first_is_done(place: Place) -> None:
    bus = await place.connect("a")
    await bus.declare(QUEUE)
    done = Heard()

    async def work(job: Job) -> None:
        done(job)

    working = Working(bus.consumer(QUEUE, slots=1, handler=work))
    await bus.enqueue(SUBJECT, item(1), message_id="same")
    await done.until(1)
    await bus.enqueue(SUBJECT, item(1), message_id="same")
    await bus.enqueue(SUBJECT, item(2), message_id="other")
    jobs = await done.until(2)
    await working.stop()
    assert [turn_of(job) for job in jobs] == [1, 2]


async def test_a_rejected_job_is_not_delivered_again(place: Place) -> None:
    bus = await place.connect("a")
    await bus.declare(HASTY)
    seen = Heard()

    async def work(job: Job) -> None:
        seen(turn_of(job))
        if turn_of(job) == 1:
            raise Reject

    working = Working(bus.consumer(HASTY, slots=1, handler=work))
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    await seen.until(1)
    await asyncio.sleep(HASTY.ack_wait_s * 1.5)  # longer than a lease: now it would come again
    await bus.enqueue(SUBJECT, item(2), message_id="2")
    assert await seen.until(2) == [1, 2]
    await working.stop()


async def test_a_job_whose_handler_fails_is_tried_again_up_to_the_bound(place: Place) -> None:
    bus = await place.connect("a")
    await bus.declare(PATIENT)
    seen = Heard()

    async def work(job: Job) -> None:
        seen(job.delivery)
        raise ValueError("a defect")

    working = Working(bus.consumer(PATIENT, slots=1, handler=work))
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    await seen.until(3)
    await asyncio.sleep(20 * RETRY_DELAY_S)
    await working.stop()
    assert seen.items == [1, 2, 3]
    assert bus.counts.handler_errors == 3


async def test_a_job_that_the_brokers_absence_stopped_is_tried_again_and_is_no_defect(place: Place) -> None:
    bus = await place.connect("a")
    await bus.declare(PATIENT)
    seen = Heard()

    async def say() -> None:
        raise BusDown("on purpose")

    async def work(job: Job) -> None:
        seen(job.delivery)
        if job.delivery == 1:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(say())
        elif job.delivery == 2:
            await say()

    working = Working(bus.consumer(PATIENT, slots=1, handler=work))
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    assert await seen.until(3) == [1, 2, 3]
    await working.stop()
    assert bus.counts.handler_errors == 0


async def test_a_job_that_awaits_something_cancelled_counts_as_failed_and_the_worker_lives(
    place: Place,
) -> None:
    bus = await place.connect("a")
    await bus.declare(PATIENT)
    seen = Heard()

    async def work(job: Job) -> None:
        seen(job.delivery)
        if job.delivery == 1:
            gone = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone

    working = Working(bus.consumer(PATIENT, slots=1, handler=work))
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    assert await seen.until(2) == [1, 2]
    await working.stop()


async def test_a_malformed_item_is_counted_and_dropped(place: Place) -> None:
    bus = await place.connect("a")
    await bus.declare(HASTY)
    done = Heard()

    async def work(job: Job) -> None:
        done(job)

    await place.send_raw(bus, SUBJECT, b"\xc1")
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    working = Working(bus.consumer(HASTY, slots=1, handler=work))
    await done.until(1)
    await asyncio.sleep(HASTY.ack_wait_s * 1.5)  # longer than a lease: now it would come again
    await working.stop()
    assert bus.malformed == 1
    assert [turn_of(job) for job in done.items] == [1]


async def test_a_draining_worker_finishes_what_it_has_and_leaves_the_rest(place: Place) -> None:
    bus, other = await place.connect("a"), await place.connect("b")
    await bus.declare(QUEUE)
    release, taken, finished, rest = asyncio.Event(), Heard(), Heard(), Heard()

    async def slow(job: Job) -> None:
        taken(job)
        await release.wait()
        finished(turn_of(job))

    async def fast(job: Job) -> None:
        rest(turn_of(job))

    draining = Working(bus.consumer(QUEUE, slots=2, handler=slow))
    await bus.enqueue(SUBJECT, item(0), message_id="0")
    await taken.until(1)
    draining.consumer.drain()
    for turn in (1, 2, 3):
        await bus.enqueue(SUBJECT, item(turn), message_id=f"{turn}")
    taking_over = Working(other.consumer(QUEUE, slots=1, handler=fast))
    assert sorted(await rest.until(3)) == [1, 2, 3]
    assert finished.items == []
    release.set()
    async with asyncio.timeout(WAIT_S):
        await draining.task
    assert finished.items == [0]
    await taking_over.stop()


async def test_a_cancelled_worker_gives_its_jobs_back_at_once(place: Place) -> None:
    bus, other = await place.connect("a"), await place.connect("b")
    await bus.declare(PATIENT)
    taken, done = Heard(), Heard()

    async def hang(job: Job) -> None:
        taken(job)
        await asyncio.sleep(60)

    async def work(job: Job) -> None:
        done(job.delivery)

    first = Working(bus.consumer(PATIENT, slots=2, handler=hang))
    for turn in range(2):
        await bus.enqueue(SUBJECT, item(turn), message_id=f"{turn}")
    await taken.until(2)
    await first.cancel()
    second = Working(other.consumer(PATIENT, slots=1, handler=work))
    assert await done.until(2) == [2, 2]
    await second.stop()


async def test_work_that_no_queue_stores_is_refused(place: Place) -> None:
    bus = await place.connect("a")
    with pytest.raises(NoResponders):
        await bus.enqueue("eva.v1.work.unknown.gw.sid", item(1), message_id="1")


async def test_a_plain_subscriber_reads_the_work_along(place: Place) -> None:
    bus, gateway = await place.connect("a"), await place.connect("gw")
    await bus.declare(QUEUE)
    seen = Heard()
    await gateway.subscribe("eva.v1.work.test.gw.*", seen)
    await bus.enqueue(SUBJECT, item(7), message_id="7")
    assert await seen.until(1) == [item(7)]


async def test_declaring_again_adapts_the_bounds_and_keeps_the_work(place: Place) -> None:
    bus = await place.connect("a")
    await bus.declare(dataclasses.replace(QUEUE, capacity=1))
    await bus.enqueue(SUBJECT, item(1), message_id="1")
    with pytest.raises(QueueFull):
        await bus.enqueue(SUBJECT, item(2), message_id="2")
    await bus.declare(dataclasses.replace(QUEUE, capacity=2))
    await bus.enqueue(SUBJECT, item(2), message_id="2")
    done = Heard()

    async def work(job: Job) -> None:
        done(turn_of(job))

    working = Working(bus.consumer(QUEUE, slots=1, handler=work))
    assert await done.until(2) == [1, 2]
    await working.stop()
