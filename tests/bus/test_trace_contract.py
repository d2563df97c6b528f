"""Work carries the trace that it stands in, on both buses, and a worker works within it."""

from __future__ import annotations

import dataclasses

import pytest
from nats.aio.msg import Msg

from shared import trace
from shared.bus import Job, WorkQueue
from shared.bus.nats_door import ITEM_ID, SUBJECT, RushedDelivery
from shared.messages import Cancel
from shared.observe import logged_with
from shared.trace import HEADER, TraceContext, within
from tests.bus.conftest import Heard, Place, Working

QUEUE = WorkQueue(name="test-traces", subject="eva.v1.work.test.>", max_age_s=60.0, ack_wait_s=5.0)
WORK = "eva.v1.work.test.gw.sid"
HERE = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", is_sampled=True)


@dataclasses.dataclass(frozen=True)
class Seen:
    turn: int
    context: TraceContext | None


async def test_a_worker_works_in_the_trace_of_its_item_and_in_none_where_there_is_none(place: Place) -> None:
    bus, worker = await place.connect("a"), await place.connect("w")
    await bus.declare(QUEUE)
    seen = Heard()

    async def work(job: Job) -> None:
        assert isinstance(job.message, Cancel)
        with logged_with(turn=job.message.turn):
            seen(Seen(job.message.turn, trace.current()))

    with within(HERE):
        await bus.enqueue(WORK, Cancel(sid="s", turn=1), message_id="1")
    await bus.enqueue(WORK, Cancel(sid="s", turn=2), message_id="2")
    working = Working(worker.consumer(QUEUE, slots=2, handler=work))
    found = await seen.until(2)
    await working.stop()
    assert set(found) == {Seen(1, HERE), Seen(2, None)}


async def test_what_a_worker_enqueues_is_a_part_of_the_same_trace(place: Place) -> None:
    bus, worker = await place.connect("a"), await place.connect("w")
    await bus.declare(QUEUE)
    seen = Heard()

    async def work(job: Job) -> None:
        assert isinstance(job.message, Cancel)
        turn, context = job.message.turn, trace.current()
        seen(Seen(turn, context))
        if turn == 1:
            assert context is not None
            with within(context.child("a" * 16)):
                await worker.enqueue(WORK, Cancel(sid="s", turn=2), message_id="2")

    with within(HERE):
        await bus.enqueue(WORK, Cancel(sid="s", turn=1), message_id="1")
    working = Working(worker.consumer(QUEUE, slots=2, handler=work))
    found = await seen.until(2)
    await working.stop()
    assert set(found) == {Seen(1, HERE), Seen(2, HERE.child("a" * 16))}


@pytest.mark.parametrize("header", [HEADER, "Traceparent"])
def test_work_that_comes_past_its_queue_keeps_its_trace_by_the_header_in_lower_case(header: str) -> None:
    told = {ITEM_ID: "1", SUBJECT: WORK, header: HERE.traceparent}
    message = Msg(_client=None, subject="eva.v1.rush.test.to.x", data=b"", headers=told)  # type: ignore[arg-type]
    expected = HERE if header == "traceparent" else None
    assert trace.parse(RushedDelivery(message).traceparent) == expected
