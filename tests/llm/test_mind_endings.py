"""The worker on a bus: how turns end that do not go as they should, and how the worker itself does."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from services.llm.chain import Chain
from services.llm.companion_mind import CompanionMind
from services.llm.engine import MindFailed
from services.llm.worker import CANARY, LlmWorker, Options
from shared import subjects
from shared.bus import Job
from shared.bus.memory import MemoryBroker
from shared.messages import EndUtterance, Failed, MindDone, TextDelta
from shared.queues import LLM_WORK, TTS_WORK
from tests.fakes.mind_stage import GW, SID, generate, stage
from tests.fakes.minds import ScriptedMind
from tests.fakes.virtual_time import virtual_time

NOW = datetime(2026, 11, 21, 9, 5)  # noqa: DTZ001 - local time


@virtual_time
async def test_a_cancel_ends_the_turn_at_once_and_nothing_more_is_said_of_it() -> None:
    mind = ScriptedMind("Hello there. ", 30.0, "Never.")
    async with stage(mind) as at:
        await at.ask(generate())
        await at.until(TextDelta)
        count = len(at.seen)
        await at.cancel(turn=1)
        await asyncio.sleep(0.2)
        assert mind.abandoned == 1
        assert at.worker.facts().busy == 0
        await asyncio.sleep(5)
        assert len(at.seen) == count
        await at.ask(generate(turn=2))
        await at.until(TextDelta, 2)
        await at.cancel(turn=2)


@virtual_time
async def test_a_cancelled_turn_in_the_queue_is_dropped_when_it_comes() -> None:
    mind = ScriptedMind("Hello.")
    async with stage(mind) as at:
        await at.cancel(turn=2)
        await asyncio.sleep(0.1)
        await at.ask(generate(turn=2))
        await asyncio.sleep(1)
        assert at.seen == []
        assert mind.asked == []
        await at.ask(generate(turn=3))
        await at.until(MindDone)


@virtual_time
async def test_another_sessions_cancel_is_none_of_ours() -> None:
    async with stage(ScriptedMind("Hello.", 1.0, " Yes.")) as at:
        await at.ask(generate())
        await at.until(TextDelta)
        await at.cancel(turn=9, sid="S2")
        await at.until(MindDone)


@virtual_time
async def test_the_first_mind_failing_before_a_word_lets_the_companion_answer() -> None:
    groq = ScriptedMind(MindFailed("groq", "answered 401", fault="refused"), name="groq")
    async with stage(groq, CompanionMind(lambda: NOW)) as at:
        await at.ask(generate("hello"))
        await at.until(MindDone)
        facts = at.worker.facts()
    assert (at.done.engine, at.done.is_degraded) == ("companion", True)
    assert at.segments[0] == "Hello!"
    assert facts.state == "degraded"
    assert [(engine.name, engine.state) for engine in facts.engines] == [
        ("groq", "failed"),
        ("companion", "serving"),
    ]


@virtual_time
async def test_a_canary_needs_no_provider() -> None:
    mind = ScriptedMind("No.")
    async with stage(mind) as at:
        await at.ask(generate(is_canary=True, language="fr"))
        await at.until(MindDone)
    assert mind.asked == []
    assert at.text == CANARY["fr"]
    assert " ".join(at.segments) == CANARY["fr"]
    assert {item.reuse for item in at.spoken} == {"never"}, "it proves the voice"
    assert at.done.engine == "canary"


@virtual_time
async def test_work_that_has_expired_is_dropped_with_a_word() -> None:
    mind = ScriptedMind("No.")
    async with stage(mind) as at:
        await at.ask(generate(remaining_ms=0))
        await at.until(Failed)
    assert at.failed.code == "expired"
    assert mind.asked == []


@virtual_time
async def test_an_answer_that_takes_longer_than_the_turn_has_is_given_up() -> None:
    async with stage(ScriptedMind("Well, then. ", 60.0, "Late.")) as at:
        await at.ask(generate(remaining_ms=2000))
        await at.until(Failed)
    assert at.failed.code == "expired"
    assert at.when(Failed) == pytest.approx(2.0, abs=0.1)


@virtual_time
async def test_a_redelivered_turn_is_reported_and_not_answered_again() -> None:
    mind = ScriptedMind("No.")
    async with stage(mind) as at:
        job = Job(subject=subjects.work("llm", GW, SID), message=generate(), delivery=2, waited_s=0.1)
        await at.worker._on_job(at.bus, job)
        await at.until(Failed)
    assert at.failed.code == "redelivered"
    assert mind.asked == []


@virtual_time
async def test_a_lost_workers_turn_comes_back_as_redelivered() -> None:
    async with stage(ScriptedMind("Yes.")) as at:
        at.worker.drain()
        lost = at.broker.connect("lost")
        taken = asyncio.Event()

        async def hold(_job: Job) -> None:
            taken.set()
            await asyncio.sleep(3600)

        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(lost.consumer(LLM_WORK, slots=1, handler=hold).run())
            await at.ask(generate())
            await taken.wait()
            lost.abort()
            clock = asyncio.get_running_loop().time
            other = LlmWorker("W2", Chain([ScriptedMind("Yes.")], clock=clock), Options(), clock=clock)
            await other.warm_up()
            serving = tasks.create_task(other.serve(at.broker.connect("other")))
            await at.until(Failed)
            other.drain()
            await serving
            holding.cancel()
    assert (at.failed.code, at.failed.worker) == ("redelivered", "W2")


@virtual_time
async def test_a_full_voice_queue_is_told() -> None:
    async with stage(ScriptedMind("Hello. ", "You. ")) as at:
        await at.bus.declare(type(TTS_WORK)(name=TTS_WORK.name, subject=TTS_WORK.subject, capacity=1))
        await at.ask(generate())
        await at.until(Failed)
    assert at.failed.code == "busy"
    assert at.of(MindDone) == []


@virtual_time
async def test_a_defect_in_one_turn_is_reported_and_the_next_one_works() -> None:
    mind = ScriptedMind("Yes. ", RuntimeError("a defect"))
    async with stage(mind) as at:
        await at.ask(generate())
        await at.until(Failed)
        assert at.failed.code == "internal"
        assert "defect" not in at.failed.message or "log" in at.failed.message
        mind.steps = ("Good.",)
        await at.ask(generate(turn=2))
        await at.until(MindDone)


@virtual_time
async def test_an_endless_answer_is_ended() -> None:
    mind = ScriptedMind(*[f"Number {count} is here. " for count in range(1000)])
    async with stage(mind, max_tokens=20) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert len(at.segments) < 20
    assert mind.abandoned == 1


@virtual_time
async def test_a_mind_that_repeats_itself_is_ended() -> None:
    mind = ScriptedMind(*["Ha ha. "] * 1000)
    async with stage(mind) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["Ha ha."] * 3


@virtual_time
async def test_turns_are_answered_side_by_side_up_to_the_slots() -> None:
    async with stage(ScriptedMind(1.0, "Yes."), slots=2) as at:
        for number in range(3):
            await at.ask(generate(sid=f"S{number}"))
        await asyncio.sleep(0.5)
        assert at.worker.facts().busy == 2
        await at.until(MindDone, 3)
        assert at.when(MindDone, 1) < 1.2
        assert at.when(MindDone, 2) > 1.9


@virtual_time
async def test_a_draining_worker_ends_the_turn_in_hand() -> None:
    async with stage(ScriptedMind("Well, ", 1.0, "yes.")) as at:
        await at.ask(generate())
        await at.until(TextDelta)
        at.worker.drain()
        assert at.worker.facts().state == "draining"
        await at.until(MindDone)


@virtual_time
async def test_other_messages_in_the_queue_are_rejected() -> None:
    mind = ScriptedMind("No.")
    async with stage(mind) as at:
        work = EndUtterance(sid=SID)
        await at.bus.enqueue(subjects.work("llm", GW, SID), work, message_id="odd")
        await at.bus.publish(subjects.cancel(GW, SID), work)
        await asyncio.sleep(1)
        assert mind.asked == []
        await at.ask(generate())
        await at.until(MindDone)


@virtual_time
async def test_facts_tell_how_fast_first_tokens_are() -> None:
    async with stage(ScriptedMind(0.25, "Yes.")) as at:
        assert at.worker.facts().numbers == {}
        assert at.worker.facts().state == "ready"
        await at.ask(generate())
        await at.until(MindDone)
        await asyncio.sleep(1)
        facts = at.worker.facts()
    assert facts.numbers["first_token_ms_p50"] == pytest.approx(250, abs=20)
    assert facts.numbers["first_token_ms_p95"] == pytest.approx(250, abs=20)
    assert facts.last_success_s == pytest.approx(1.0, abs=0.1)


async def test_a_worker_that_is_not_warm_says_so() -> None:
    facts = LlmWorker("W1", Chain([ScriptedMind("Yes.")]), Options()).facts()
    assert (facts.state, facts.last_success_s) == ("starting", None)


@virtual_time
async def test_a_worker_drained_before_it_serves_does_not_serve() -> None:
    chain = Chain([ScriptedMind("Yes.")])
    worker = LlmWorker("W1", chain, Options())
    worker.drain()
    async with asyncio.timeout(60):
        await worker.serve(MemoryBroker().connect("worker"))


@virtual_time
async def test_a_lost_broker_costs_the_captions_and_not_the_worker() -> None:
    mind = ScriptedMind("Hello. ", 1.0, "Yes.")
    async with stage(mind) as at:
        await at.ask(generate(audio=None))
        await at.until(TextDelta)
        at.broker.go_down()
        await asyncio.sleep(3)
        at.broker.come_up()
        await asyncio.sleep(3)
        await at.ask(generate(turn=2, audio=None))
        await at.until(MindDone)
