"""A cluster loses the broker that leads a queue, then a whole machine: people go on talking, and are known.

``python -m benchmarks.cluster`` does this to every process and measures it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
import pytest_asyncio

from shared.bus import Job, WorkQueue
from shared.bus.nats_bucket import NatsBucket
from shared.bus.nats_store import ask
from shared.errors import EvaError
from shared.messages import Cancel, SessionRecord
from shared.queues import LLM_WORK
from shared.subjects import SESSIONS_BUCKET
from tests.bus.conftest import Heard, Working
from tests.cluster.nodes import until_done
from tests.cluster.people import Person
from tests.cluster.town import Town, town
from tests.e2e.house import PATIENT
from tests.fakes.provider import FakeProvider, Reply

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

WAIT_S = 120.0
LYING = WorkQueue(name="test-lying", subject="eva.v1.work.lying.>", ack_wait_s=20.0)
LOOK_S = 0.02
REPLY = Reply(tokens=("I", " have", " looked", " it", " up", "."), delay_s=0.1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with FakeProvider(REPLY) as provider:
        variables = {"EVA_LLM_BASE_URL": provider.base_url, "EVA_GATEWAY_TAKE_UP_S": "60", **PATIENT}
        async with town(tmp_path_factory.mktemp("town"), ("gateway", "llm", "tts"), **variables) as place:
            yield place


@contextlib.asynccontextmanager
async def talking(place: Town, *doors: int) -> AsyncIterator[list[Person]]:
    """People at these gateways; at the end each has left when what they were in was over."""
    people = [Person(door - 1, lambda: [place.url("gateway1"), place.url("gateway2")]) for door in doors]
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
        for person in people:
            tasks.create_task(person.live())
        yield people
        for person in people:
            person.is_leaving = True


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something is so, among other tasks' doings."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - many things change it
            await asyncio.sleep(LOOK_S)


def has_been_answered(person: Person, more_than: int) -> bool:
    return [turn.outcome for turn in person.turns[more_than:]].count("done") > 0


async def test_work_is_kept_in_three_memories_and_conversations_on_three_disks(place: Town) -> None:
    for name, storage in ((LLM_WORK.name, "memory"), (f"KV_{SESSIONS_BUCKET}", "file")):
        config = (await place.cluster.asked(f"STREAM.INFO.{name}"))["config"]
        assert (config["num_replicas"], config["storage"]) == (3, storage), name


async def test_work_that_lies_in_its_queue_is_given_to_a_worker_all_the_same(place: Town) -> None:
    done = Heard()
    bus, doing = [await until_done(lambda: place.cluster.connect("test")) for _ in range(2)]
    await until_done(lambda: bus.declare(LYING))

    async def work(job: Job) -> None:
        done(job.subject)

    worker = Working(doing.consumer(LYING, slots=1, handler=work))
    subject, asked = "eva.v1.work.lying.gw.sid", f"CONSUMER.PAUSE.{LYING.name}.{LYING.name}"
    try:
        await until(worker.consumer.is_free)
        await until_done(lambda: ask(bus._control, asked, {"pause_until": "2999-01-01T00:00:00Z"}))
        await until_done(lambda: bus.enqueue(subject, Cancel(sid="s", turn=1), message_id="1"))
        assert await done.until(1) == [subject]
        await until_done(lambda: ask(bus._control, asked, {"pause_until": "2000-01-01T00:00:00Z"}))
        async with asyncio.timeout(WAIT_S):
            while await stored(place, LYING):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(LOOK_S)
    finally:
        await worker.stop()
        for each in (bus, doing):
            await each.close()
    assert done.items == [subject], "the copy in the queue was for nobody"


async def test_nobody_is_failed_when_the_broker_dies_that_leads_the_minds_queue(place: Town) -> None:
    async with talking(place, 1, 2) as people:
        await until(lambda: all(has_been_answered(person, 0) for person in people))
        leader, _ = await place.cluster.leaders(LLM_WORK.name)
        asked = [len(person.turns) for person in people]
        await leader.kill()
        await until(lambda: all(map(has_been_answered, people, asked)))
    assert {turn.outcome for person in people for turn in person.turns} == {"done"}
    await leader.start()
    await place.cluster.until_formed()


async def test_every_turn_ends_and_those_before_it_are_known_when_a_whole_machine_is_lost(
    place: Town,
) -> None:
    async with talking(place, 1, 2) as people:
        at_the_lost_one = people[0]
        await until(lambda: all(has_been_answered(person, 0) for person in people))
        await stored_midway(place, at_the_lost_one)
        asked = [len(person.turns) for person in people]
        node, services = place.machine(1)
        await asyncio.gather(node.kill(), *(service.kill() for service in services))
        await until(lambda: all(map(has_been_answered, people, asked)))
    assert at_the_lost_one.returns > 0
    outcomes = [turn.outcome for person in people for turn in person.turns]
    assert "open" not in outcomes
    assert not [person.forgotten for person in people if person.forgotten]


async def stored(place: Town, queue: WorkQueue) -> int:
    """How many items lie in a queue."""
    state = (await place.cluster.asked(f"STREAM.INFO.{queue.name}"))["state"]
    return int(state["messages"])


async def stored_midway(place: Town, person: Person) -> None:
    """Waits until the store knows of a turn that is in flight, and of those before it."""
    bus = await until_done(lambda: place.cluster.connect("reader"))
    try:
        bucket = NatsBucket(bus._control, SESSIONS_BUCKET)  # it is there, with a time that is not ours to set
        async with asyncio.timeout(WAIT_S):
            while True:
                value = None
                with contextlib.suppress(EvaError):
                    value = await bucket.get(person.session_id or "")
                record = msgspec.msgpack.decode(value, type=SessionRecord) if value else SessionRecord()
                pending, turn = record.pending, person.turn
                if pending and turn and turn.turn_id.endswith(f"-{pending.turn}"):
                    return
                await asyncio.sleep(LOOK_S)
    finally:
        await bus.close()
