from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest

from services.stt.chain import MAX_FAILURES
from services.stt.utterance import Session
from shared.bus.memory import MemoryBroker
from shared.errors import EngineFailed, EngineRefused
from shared.messages import (
    EarsFailed,
    Final,
)
from tests.fakes.transcribers import PitchTranscriber
from tests.stt.rig import HUM, person, serving, settled, until, worker_of


async def test_an_engine_that_fails_is_a_typed_error_and_the_next_utterance_is_heard(
    broker: MemoryBroker,
) -> None:
    engine = PitchTranscriber(parallel=1)
    worker = worker_of(engine)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        engine.failures = 1
        await ann.say(HUM)
        failed = await ann.hears(EarsFailed)
        assert (failed.code, failed.utterance) == ("engine_failed", 1)
        await ann.say(HUM)
        assert (await ann.hears(Final)).utterance == 2
        facts = worker.facts()
        assert (facts.done, facts.failed) == (1, 1)


async def test_the_next_engine_takes_the_same_utterance_and_the_worker_says_that_it_is_degraded(
    broker: MemoryBroker,
) -> None:
    first = PitchTranscriber("first")
    worker = worker_of(first, PitchTranscriber("second"))
    async with serving(worker, broker.connect("stt")):
        assert worker.facts().state == "ready"
        ann = person(broker)
        await ann.claim()
        first.failures = MAX_FAILURES
        for count in range(1, MAX_FAILURES + 1):
            await ann.say(HUM)
            assert (await ann.hears(Final, count=count)).engine == "second"
        assert worker.facts().state == "degraded"
        assert [fact.state for fact in worker.facts().engines] == ["failed", "serving"]


async def test_when_no_engine_is_left_the_process_gives_up_to_be_started_anew(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    worker = worker_of(engine)
    await worker.warm_up()
    task = asyncio.create_task(worker.serve(broker.connect("stt")))
    await settled()
    ann = person(broker)
    await ann.claim()
    engine.failures = MAX_FAILURES
    for _ in range(MAX_FAILURES):
        await ann.say(HUM)
    with pytest.RaisesGroup(EngineFailed):
        await asyncio.wait_for(task, 60)
    assert worker.facts().state == "failed"


async def test_an_engine_that_hangs_is_given_up_in_time(broker: MemoryBroker) -> None:
    engine = PitchTranscriber(parallel=1)
    worker = worker_of(engine, engine_timeout_s=0.2)
    await worker.warm_up()
    task = asyncio.create_task(worker.serve(broker.connect("stt")))
    await settled()
    ann = person(broker)
    await ann.claim()
    engine.may_answer.clear()
    await ann.say(HUM)
    with pytest.RaisesGroup(EngineFailed):
        await asyncio.wait_for(task, 60)
    engine.may_answer.set()


async def test_a_final_outlives_a_short_absence_of_the_broker(broker: MemoryBroker) -> None:
    engine = PitchTranscriber(parallel=1)
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        engine.may_answer.clear()
        await ann.say(HUM)
        await until(lambda: len(engine.calls) == 2)
        broker.is_up = False
        engine.may_answer.set()
        await asyncio.sleep(0.15)
        assert ann.of(Final) == []
        broker.is_up = True
        assert (await ann.hears(Final)).text == "440 Hz 1.0 s"


async def test_a_defect_ends_the_session_that_has_it_and_no_other(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    worker = worker_of(engine)
    async with serving(worker, broker.connect("stt")):
        ann, bob = person(broker, "ann"), person(broker, "bob")
        await ann.claim()
        await bob.claim()

        def break_down() -> None:
            raise ZeroDivisionError

        # Until it is told: the first call may be a partial, which is of no use any more once she is done.
        engine.on_call = break_down
        await ann.say(HUM)
        failed = await ann.hears(EarsFailed)
        engine.on_call = lambda: None
        assert (failed.code, failed.utterance) == ("internal", 0)
        await bob.say(HUM)
        assert (await bob.hears(Final)).text == "440 Hz 1.0 s"
        assert worker.facts().busy == 1


async def test_what_is_begun_while_a_defect_ends_the_session_is_let_go() -> None:
    nothing: Any = None
    session = Session(lease=1, ears=nothing, desk=nothing, teller=nothing, counts=nothing)

    async def break_down() -> None:
        raise ZeroDivisionError

    late = asyncio.sleep(0)
    with pytest.RaisesGroup(ZeroDivisionError):
        async with asyncio.TaskGroup() as session.tasks:
            try:
                await asyncio.wait({session.spawn(break_down())})
            finally:
                with pytest.raises(RuntimeError, match="shutting down"):
                    session.spawn(late)
    assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED


async def test_an_engine_that_is_not_warm_in_time_gives_way_to_the_next(broker: MemoryBroker) -> None:
    slow = PitchTranscriber("slow")
    slow.may_answer.clear()
    worker = worker_of(slow, PitchTranscriber("quick"), warmup_s=2.0)
    assert worker.facts().state == "starting"
    async with serving(worker, broker.connect("stt")):
        facts = worker.facts()
        slow.may_answer.set()
        assert facts.state == "degraded"
        assert facts.engines[0].detail == "not warm within 2 s"
        assert facts.engines[1].state == "serving"
        assert facts.last_success_s is not None
        assert facts.slots == 8
        assert facts.numbers["warmup_ms"] > 0


async def test_when_no_engine_proves_itself_the_worker_refuses_by_the_first_reason() -> None:
    class Broken(PitchTranscriber):
        def transcribe(self, *args: object, **options: object) -> None:  # type: ignore[override]
            raise EngineFailed("broken", "cannot multiply")

    worker = worker_of(Broken(), Broken())
    before = set(threading.enumerate())
    with pytest.raises(EngineRefused, match="cannot multiply"):
        await worker.warm_up()
    for begun in set(threading.enumerate()) - before:
        if begun.name.startswith("stt-proof"):
            begun.join(60)
            assert not begun.is_alive(), "it ends behind its proof, soon"
