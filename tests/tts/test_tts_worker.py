from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pytest

from services.tts.chain import Chain
from services.tts.worker import TtsWorker, WorkerOptions
from shared import subjects
from shared.audio import Samples, from_pcm16, rms
from shared.bus import Job, Reject
from shared.bus.memory import MemoryBroker, MemoryBus
from shared.errors import BusDown, EngineRefused
from shared.messages import (
    AnyMessage,
    AudioChunk,
    AudioFormat,
    Cancel,
    Failed,
    SegmentDone,
    Synthesize,
    Working,
)
from tests.fakes.voices import breaking_after, empty, engine, hanging, raising, tone

GW, SID = "gw", "sid"
WAIT_S = 60.0
M = TypeVar("M")


@dataclass
class Desk:
    """A gateway's end of the bus, with one worker at the other."""

    bus: MemoryBus
    broker: MemoryBroker
    worker: TtsWorker
    heard: list[AnyMessage] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, _subject: str, message: AnyMessage) -> None:
        self.heard.append(message)
        self.news.set()

    def all(self, kind: type[M]) -> list[M]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def ask(self, text: str, **options: Any) -> None:
        usual: dict[str, Any] = {
            "turn": 1,
            "attempt": 1,
            "segment": 0,
            "remaining_ms": 60_000,
            "language": "en",
        }
        usual["audio"] = AudioFormat(rate_hz=16000)
        item = Synthesize(gw=GW, sid=SID, text=text, **(usual | options))
        await self.bus.enqueue(subjects.work("tts", GW, SID), item, message_id=subjects.new_token())

    async def until(self, is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not is_so():
                self.news.clear()
                await self.news.wait()

    async def cancel(self, turn: int = 1) -> None:
        await self.bus.publish(subjects.cancel(GW, SID), Cancel(sid=SID, turn=turn))


async def spin_until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(
    *engines: object,
    slots: int = 2,
    stall_s: float = WAIT_S,
    lanes: int = 2,
    measure_s: float = WAIT_S,
    measured: dict[str, Any] | None = None,
) -> AsyncIterator[Desk]:
    broker = MemoryBroker()
    options = WorkerOptions(
        name="w1", slots=slots, stall_s=stall_s, lanes=lambda _: lanes, measure_s=measure_s
    )
    build = lambda: Chain(engines, time.monotonic)  # type: ignore[arg-type] # noqa: E731 - short
    worker = TtsWorker(options, build, **(measured or {}))
    desk = Desk(broker.connect("gateway"), broker, worker)
    await desk.bus.subscribe(subjects.events_of_gateway(GW), desk.take)
    await worker.warm_up()
    async with asyncio.TaskGroup() as tasks:
        serve = tasks.create_task(worker.serve(broker.connect("w1")))
        await spin_until(lambda: broker.queues)
        yield desk
        worker.drain()
        async with asyncio.timeout(60):
            await asyncio.wait({serve})


async def test_a_segment_becomes_chunks_without_gap_and_a_report() -> None:
    async with serving(engine("piper", device="cuda:0")) as desk:
        await desk.ask("one two three four five.", turn=3, attempt=2, segment=4, take=2)
        await desk.until(lambda: desk.all(SegmentDone))
        chunks, (done,) = desk.all(AudioChunk), desk.all(SegmentDone)
        assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
        position = 0
        for chunk in chunks:
            assert (chunk.turn, chunk.attempt, chunk.segment, chunk.take) == (3, 2, 4, 2)
            assert chunk.start == position
            assert len(chunk.data) == 2 * chunk.samples
            position += chunk.samples
        assert position == done.samples == 8000
        assert done.chunks == len(chunks) == 9
        assert (done.engine, done.device, done.model, done.is_degraded) == (
            "piper",
            "cuda:0",
            "en_US-piper",
            False,
        )
        assert (done.turn, done.attempt, done.segment, done.take, done.rate_hz) == (3, 2, 4, 2, 16000)
        assert 0.0 < done.first_audio_ms <= done.total_ms
        audio = from_pcm16(b"".join(chunk.data for chunk in chunks))
        assert rms(audio) == pytest.approx(0.21, abs=0.02)
        assert chunks[0].level == pytest.approx(0.21, abs=0.02)
        first = desk.heard[0]
        assert isinstance(first, Working)
        assert (first.beat, first.delivery, first.segment, first.take, first.worker) == (0, 1, 4, 2, "w1")


async def test_what_the_worker_speaks_has_no_markup() -> None:
    voice = engine("piper")
    async with serving(voice) as desk:
        await desk.ask("**Hello** 😀 it costs $5. And _more_.")
        await desk.until(lambda: desk.all(SegmentDone))
        assert voice.owned[0].said == ["Hello it costs five dollars.", "And more."]


async def test_a_segment_without_words_is_done_with_no_samples() -> None:
    async with serving(engine("piper")) as desk:
        await desk.ask("😀 ***")
        await desk.until(lambda: desk.all(SegmentDone))
        assert desk.all(SegmentDone)[0].samples == 0
        assert desk.all(AudioChunk) == []
        assert desk.all(Failed) == []
        assert desk.worker.facts().done == 1


async def test_a_failing_engine_is_followed_by_the_next_and_told() -> None:
    async with serving(engine("piper", empty), engine("espeak", is_degraded=True)) as desk:
        await desk.ask("one two")
        await desk.until(lambda: desk.all(SegmentDone))
        (done,) = desk.all(SegmentDone)
        assert (done.engine, done.is_degraded, done.samples) == ("espeak", True, 3200)


async def test_when_no_engine_speaks_the_gateway_is_told_what_happened() -> None:
    async with serving(engine("piper", raising)) as desk:
        await desk.ask("one two", segment=2, take=3)
        await desk.until(lambda: desk.all(Failed))
        (failed,) = desk.all(Failed)
        assert (failed.code, failed.segment, failed.take, failed.stage) == ("engine_failed", 2, 3, "tts")
        assert desk.all(SegmentDone) == []
        assert desk.worker.facts().failed == 1


async def test_what_was_said_before_the_last_engine_broke_is_sent_and_the_failure_told() -> None:
    async with serving(engine("piper", breaking_after(0.33))) as desk:
        await desk.ask("one two three four five six seven eight nine ten eleven twelve")
        await desk.until(lambda: desk.all(Failed))
        assert sum(chunk.samples for chunk in desk.all(AudioChunk)) == pytest.approx(0.33 * 16000, abs=160)
        assert desk.all(SegmentDone) == []


async def test_a_cancel_stops_the_segment_at_once_and_nothing_more_is_said() -> None:
    def slow(_: str) -> Iterator[Samples]:
        while True:
            yield tone(0.06)
            time.sleep(0.005)  # the pace of an engine, not a wait for something

    async with serving(engine("piper", slow)) as desk:
        await desk.ask("word " * 40)
        await desk.until(lambda: len(desk.all(AudioChunk)) >= 3)
        began = time.monotonic()
        await desk.cancel()
        await spin_until(lambda: not desk.worker.facts().busy)
        assert time.monotonic() - began < 30, "it would never end by itself"
        count = len(desk.heard)
        await desk.ask("other", turn=2)
        await desk.until(lambda: [c for c in desk.all(AudioChunk) if c.turn == 2])
        assert [message for message in desk.heard[count:] if message.turn == 1] == []  # type: ignore[union-attr]
        assert desk.all(Failed) == []


async def test_a_cancelled_segment_computes_no_window_beyond_the_one_it_is_at() -> None:
    """Its windows are too short for a chunk: it stops at its next turn, not at its next chunk."""
    in_window, may_end = threading.Event(), threading.Event()
    windows: list[str] = []

    def script(text: str) -> Iterator[Samples]:
        while True:
            windows.append(text)
            if windows.count("cancelled") == 3 and text == "cancelled":
                in_window.set()
                may_end.wait(60)
            yield tone(0.001)

    async with serving(engine("piper", script), lanes=1) as desk:
        await desk.ask("cancelled")
        assert await asyncio.to_thread(in_window.wait, 60)
        await desk.cancel()
        await spin_until(lambda: not desk.worker.facts().busy)
        may_end.set()
        await desk.ask("another", turn=2)  # on the only lane, which the first has left by then
        await desk.until(lambda: [c for c in desk.all(AudioChunk) if c.turn == 2])
        assert windows.count("cancelled") == 3
        await desk.cancel(turn=2)


async def test_a_cancelled_segment_that_waits_for_its_turn_lets_go_of_its_thread() -> None:
    release = threading.Event()
    asked: list[str] = []

    def script(text: str) -> Iterator[Samples]:
        asked.append(text)
        release.wait(60)
        yield tone(0.1)

    async with serving(engine("piper", script), lanes=1) as desk:
        await desk.ask("first", turn=1)
        await spin_until(lambda: asked)
        await desk.ask("second", turn=2)
        await spin_until(lambda: desk.worker.facts().numbers["waiting_for_turns"])
        await desk.bus.publish(subjects.cancel(GW, SID), Cancel(sid=SID, turn=2))
        await spin_until(lambda: not desk.worker.facts().busy)
        assert desk.worker.facts().numbers["waiting_for_turns"] == 0
        release.set()
        assert asked == ["first"]


async def test_a_kept_phrase_is_heard_while_every_lane_and_thread_is_taken() -> None:
    release = threading.Event()

    def script(text: str) -> Iterator[Samples]:
        if "long" in text:
            release.wait(60)
        yield tone(0.5)

    async with serving(engine("piper", script), lanes=1, slots=2) as desk:
        await desk.ask("One moment.", reuse="will")
        await desk.until(lambda: desk.all(SegmentDone))
        await desk.ask("a long one", turn=2)
        await desk.until(lambda: [told for told in desk.all(Working) if told.turn == 2])
        await desk.ask("One moment.", reuse="will", turn=3)
        await desk.until(lambda: len(desk.all(SegmentDone)) == 2)
        first, kept = desk.all(SegmentDone)
        assert (first.is_cached, kept.is_cached) == (False, True)
        assert (kept.turn, kept.samples, kept.chunks) == (3, first.samples, first.chunks)
        release.set()


async def test_the_first_window_of_a_turn_goes_before_the_later_segments_of_others() -> None:
    """With one lane and two segments of another turn before it in the queue."""
    release = threading.Event()
    said: list[str] = []

    def script(text: str) -> Iterator[Samples]:
        said.append(text)
        if len(said) == 1:
            release.wait(60)
        yield tone(1.0)

    async with serving(engine("piper", script), lanes=1, slots=8) as desk:
        await desk.ask("begins", turn=1, segment=0)
        await spin_until(lambda: said)
        await desk.ask("goes on", turn=1, segment=1)
        await spin_until(lambda: desk.worker.facts().numbers["waiting_for_turns"] == 1)
        await desk.ask("another", turn=2, segment=0)
        await spin_until(lambda: desk.worker.facts().numbers["waiting_for_turns"] == 2)
        release.set()
        await desk.until(lambda: len(desk.all(SegmentDone)) == 3)
        assert said == ["begins", "another", "goes on"]


async def test_slots_are_what_the_device_was_measured_to_make_in_real_time() -> None:
    async with serving(engine("piper"), slots=0) as desk:
        facts = desk.worker.facts()
        assert facts.slots == facts.numbers["streams"]
        assert 4 < facts.slots <= 64, "sines cost next to nothing"
        assert facts.numbers["lanes"] == 2
        await desk.ask("one two")
        await desk.until(lambda: desk.all(SegmentDone))
        assert 0.0 < desk.worker.facts().numbers["real_time_factor"] < 1.0


async def test_a_slow_device_has_few_slots() -> None:
    def slow(_: str) -> Iterator[Samples]:
        time.sleep(0.4)  # what it costs
        yield tone(1.6)

    async with serving(engine("piper", slow), slots=0, lanes=2) as desk:
        facts = desk.worker.facts()
        assert facts.slots <= 6  # 2 lanes × 0.8 / 0.25 at best


@pytest.mark.parametrize("is_hung", [True, False])
async def test_what_cannot_be_measured_serves_with_a_slot_for_each_lane(*, is_hung: bool) -> None:
    release = threading.Event()
    script = hanging(release) if is_hung else raising
    async with serving(engine("piper", script), slots=0, lanes=5, measure_s=0.05) as desk:
        facts = desk.worker.facts()
        assert facts.slots == 5
        assert "streams" not in facts.numbers
        release.set()


async def test_a_cancel_leaves_later_turns_and_other_sessions_alone() -> None:
    release = threading.Event()
    async with serving(engine("piper", hanging(release))) as desk:
        await desk.ask("one", turn=5)
        await desk.until(lambda: desk.all(Working))
        await desk.cancel(turn=4)
        await desk.bus.publish(subjects.cancel(GW, "other"), Cancel(sid="other", turn=9))
        await desk.bus.publish(subjects.cancel("other", SID), Cancel(sid=SID, turn=9))
        await desk.bus.publish(subjects.cancel(GW, SID), Working(stage="llm", worker="w", turn=9, attempt=1))
        release.set()
        await desk.until(lambda: desk.all(SegmentDone))


async def test_a_cancel_that_comes_before_its_segment_drops_it() -> None:
    voice = engine("piper")
    async with serving(voice) as desk:
        await desk.cancel(turn=1)
        await desk.ask("never said", turn=1)
        await desk.ask("said", turn=2)
        await desk.until(lambda: desk.all(SegmentDone))
        assert voice.owned[0].said == ["said"]
        assert {message.turn for message in desk.heard} == {2}  # type: ignore[union-attr]


async def test_work_that_waited_too_long_is_dropped_as_expired() -> None:
    voice = engine("piper")
    async with serving(voice) as desk:
        await desk.ask("one", remaining_ms=0)
        await desk.until(lambda: desk.all(Failed))
        assert desk.all(Failed)[0].code == "expired"
        assert voice.owned[0].said == []


async def test_work_that_outlasts_the_turn_is_ended_as_expired() -> None:
    release = threading.Event()
    async with serving(engine("piper", hanging(release))) as desk:
        await desk.ask("one", remaining_ms=50)
        await desk.until(lambda: desk.all(Failed))
        assert desk.all(Failed)[0].code == "expired"
        release.set()


async def test_an_engine_that_hangs_is_set_aside_and_the_next_take_goes_to_another() -> None:
    """On the only lane of the same device: it is another's now."""
    release = threading.Event()
    async with serving(engine("piper", hanging(release)), engine("espeak"), stall_s=0.5, lanes=1) as desk:
        await desk.ask("one")
        await desk.until(lambda: desk.all(Failed))
        assert desk.all(Failed)[0].code == "engine_failed"
        await desk.ask("one", take=2)
        await desk.until(lambda: desk.all(SegmentDone))
        assert desk.all(SegmentDone)[0].engine == "espeak"
        facts = desk.worker.facts()
        assert facts.state == "degraded"
        assert "no sound within" in facts.detail
        release.set()


async def test_the_engine_that_hangs_is_blamed_and_not_the_one_that_failed_before_it() -> None:
    release = threading.Event()
    async with serving(engine("piper", raising), engine("espeak", hanging(release)), stall_s=0.5) as desk:
        await desk.ask("one")
        await desk.until(lambda: desk.all(Failed))
        states = {fact.name: fact.state for fact in desk.worker.facts().engines}
        assert states == {"piper": "serving", "espeak": "failed"}
        release.set()


async def test_a_chain_without_engines_fails_by_a_message() -> None:
    async with serving() as desk:
        await desk.ask("one")
        await desk.until(lambda: desk.all(Failed))
        assert desk.all(Failed)[0].code == "engine_failed"


async def test_long_work_tells_that_it_is_worked_on() -> None:
    release = threading.Event()
    async with serving(engine("piper", hanging(release))) as desk:
        await desk.ask("one")
        await desk.until(lambda: len(desk.all(Working)) == 2)
        assert [working.beat for working in desk.all(Working)] == [0, 1]
        release.set()
        await desk.until(lambda: desk.all(SegmentDone))


async def test_slots_bound_what_is_made_at_the_same_time() -> None:
    release = threading.Event()
    async with serving(engine("piper", hanging(release)), slots=2) as desk:
        for segment in range(3):
            await desk.ask("one", segment=segment)
        await desk.until(lambda: len({told.segment for told in desk.all(Working)}) == 2)
        assert desk.worker.facts().busy == 2
        release.set()
        await desk.until(lambda: len(desk.all(SegmentDone)) == 3)


class FlakyBus:
    """Loses what is published, once told so."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.is_broken = False

    async def publish(self, subject: str, message: Any) -> None:
        if self.is_broken and isinstance(message, AudioChunk):
            self.is_broken = False
            raise BusDown("gone")
        await self._bus.publish(subject, message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)


async def test_a_redelivered_segment_is_made_again_alike() -> None:
    broker = MemoryBroker()
    worker = TtsWorker(WorkerOptions(name="w1"), lambda: Chain([engine("piper")], time.monotonic))
    desk = Desk(broker.connect("gateway"), broker, worker)
    await desk.bus.subscribe(subjects.events_of_gateway(GW), desk.take)
    await worker.warm_up()
    flaky = FlakyBus(broker.connect("w1"))
    flaky.is_broken = True
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.serve(flaky))  # type: ignore[arg-type]
        await spin_until(lambda: broker.queues)
        await desk.ask("one two")
        await desk.until(lambda: desk.all(SegmentDone))
        worker.drain()
    assert [working.delivery for working in desk.all(Working) if working.beat == 0] == [1, 2]
    assert sum(chunk.samples for chunk in desk.all(AudioChunk)) == 3200
    assert [chunk.start for chunk in desk.all(AudioChunk)] == [0, 960, 1920, 2880]


async def test_a_message_that_is_no_segment_is_rejected() -> None:
    async with serving(engine("piper")) as desk:
        job = Job(subject="x", message=Cancel(sid=SID, turn=1), delivery=1, waited_s=0.0)
        with pytest.raises(Reject):
            await desk.worker._on_job(desk.bus, Chain([], time.monotonic), job)


async def test_the_facts_tell_what_the_worker_is() -> None:
    options = WorkerOptions(name="w9", slots=3, device_wanted="cuda")
    worker = TtsWorker(options, lambda: Chain([engine("piper", device="cuda:0")], time.monotonic))
    assert worker.facts().state == "starting"
    assert worker.facts().last_success_s is None
    await worker.warm_up()
    facts = worker.facts()
    assert (facts.state, facts.stage, facts.worker, facts.slots, facts.device_wanted) == (
        "ready", "tts", "w9", 3, "cuda",
    )  # fmt: skip
    assert [(fact.name, fact.device, fact.state) for fact in facts.engines] == [
        ("piper", "cuda:0", "serving")
    ]
    assert facts.last_success_s is not None
    worker.drain()
    assert worker.facts().state == "draining"
    await asyncio.wait_for(worker.serve(MemoryBroker().connect("w9")), 60)  # drained before it began


async def test_a_degraded_engine_is_a_degraded_worker() -> None:
    async with serving(engine("espeak-ng", is_degraded=True)) as desk:
        facts = desk.worker.facts()
        assert (facts.state, facts.detail) == ("degraded", "espeak-ng serves")
        await desk.ask("one two")
        await desk.until(lambda: desk.all(SegmentDone))
        assert desk.worker.facts().numbers["first_audio_ms"] > 0.0


async def test_a_refusal_at_start_is_the_worker_s_own() -> None:
    def refuse() -> Chain:
        raise EngineRefused("piper", "no CUDA", hint="eva doctor")

    with pytest.raises(EngineRefused, match="no CUDA"):
        await TtsWorker(WorkerOptions(name="w1"), refuse).warm_up()


@pytest.mark.parametrize("codec", ["mp3", "opus"])
async def test_a_segment_comes_in_the_asked_format(codec: Any) -> None:
    async with serving(engine("piper")) as desk:
        await desk.ask("one two three", audio=AudioFormat(codec=codec, rate_hz=48000))
        await desk.until(lambda: desk.all(SegmentDone))
        chunks = desk.all(AudioChunk)
        assert {chunk.codec for chunk in chunks} == {codec}
        assert all(bool(chunk.packets) == (codec == "opus") for chunk in chunks)
        assert all(bool(chunk.data) == (codec == "mp3") for chunk in chunks)
        assert np.mean([chunk.level for chunk in chunks]) > 0.1
