from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from services.stt import lease as lease_module
from services.stt.chain import MAX_FAILURES
from shared import subjects
from shared.bus.memory import MemoryBroker
from shared.errors import EngineFailed, EngineRefused, NoResponders
from shared.messages import (
    EarsAlive,
    EarsClaimed,
    EarsFailed,
    EarsRefused,
    Final,
    Partial,
    SpeechStarted,
)
from tests.fakes.speech import resampled, silence, tone
from tests.fakes.transcribers import PitchTranscriber
from tests.stt.rig import person, serving, settled, until, worker_of

HUM = np.concatenate([silence(0.5), tone(440, 1.0), silence(0.7)])


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


async def test_a_spoken_utterance_gives_its_start_at_once_and_then_its_final(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("stt")):
        ann = person(broker)
        claimed = await ann.claim()
        assert (claimed.engine, claimed.device, claimed.model) == ("pitch", "cpu", "ideal")
        await ann.say(HUM)
        final = await ann.hears(Final)
        assert ann.said() == ["SpeechStarted", "Final"]
        started = ann.of(SpeechStarted)[0]
        assert (started.lease, started.utterance) == (1, 1)
        assert 460 <= started.at_ms <= 530
        assert final.text == "440 Hz 1.0 s"
        assert (final.lease, final.utterance, final.language) == (1, 1, "en")
        assert 460 <= final.start_ms <= 530
        assert 1480 <= final.end_ms <= 1540
        assert 500 <= final.endpoint_ms < 540
        assert final.transcribe_ms >= 0
        assert (final.engine, final.device, final.model) == ("pitch", "cpu", "ideal")
        assert final.needed_seq > 70


async def test_the_transcript_is_begun_in_the_pause_and_made_only_once(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(HUM[: 16000 * 18 // 10])  # 300 ms into the silence
        await until(lambda: len(engine.calls) == 2)  # the first call is the warm-up
        await ann.say(HUM[16000 * 18 // 10 :])
        await ann.hears(Final)
        assert len(engine.calls) == 2


async def test_a_draft_of_a_sentence_that_goes_on_serves_as_a_partial(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(np.concatenate([tone(440, 1.0), silence(0.35)]))
        await ann.say(tone(440, 0.5))
        assert (await ann.hears(Partial)).text == "440 Hz 1.0 s"
        await ann.say(silence(0.7))
        assert (await ann.hears(Final)).text == "440 Hz 1.5 s"
        assert [event.utterance for event in ann.of(Partial)] == [1]


async def test_partials_come_while_somebody_speaks_and_never_after_the_final(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        for _ in range(20):  # in real time: partials are a matter of wall time
            await ann.say(tone(440, 0.1))
            await asyncio.sleep(0.05)
        await ann.hears(Partial)
        await ann.say(silence(0.7))
        await ann.hears(Final)
        await settled()
        assert ann.said()[-1] == "Final"
        assert len(ann.of(Partial)) <= 2


async def test_partials_are_shed_before_a_final_has_to_wait(broker: MemoryBroker) -> None:
    engine = PitchTranscriber(parallel=1)
    worker = worker_of(engine)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(tone(440, 0.5))
        await asyncio.sleep(0.8)
        await ann.say(tone(440, 0.5))
        await until(lambda: worker.facts().numbers["partials_shed"] >= 1)
        await ann.say(silence(0.7))
        await ann.hears(Final)
        assert ann.of(Partial) == []


async def test_two_sessions_at_once_do_not_mix(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("stt")):
        ann, bob = person(broker, "ann"), person(broker, "bob")
        await ann.claim()
        await bob.claim(rate_hz=48000)
        low, high = (np.concatenate([silence(0.3), tone(hz, 1.0), silence(0.7)]) for hz in (440, 880))
        high = resampled(high, 16000, 48000)
        for step in range(100):
            await ann.say(low[step * 320 : (step + 1) * 320])
            await bob.say(high[step * 960 : (step + 1) * 960], samples=960)
        assert (await ann.hears(Final)).text == "440 Hz 1.0 s"
        assert (await bob.hears(Final)).text == "880 Hz 1.0 s"
        assert len(ann.of(Final)) == len(bob.of(Final)) == 1


async def test_a_worker_that_is_full_is_not_there_and_a_slot_that_is_freed_is(broker: MemoryBroker) -> None:
    worker = worker_of(PitchTranscriber(), slots=1)
    async with serving(worker, broker.connect("stt")):
        ann, bob = person(broker, "ann"), person(broker, "bob")
        await ann.claim()
        await settled()
        assert worker.facts().busy == 1
        with pytest.raises(NoResponders):
            await bob.ask()
        await ann.close()
        await until(lambda: worker.facts().busy == 0)
        await settled()
        assert isinstance(await bob.ask(), EarsClaimed)


async def test_whoever_comes_a_moment_too_late_is_refused_and_not_lost(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber(), slots=1), broker.connect("stt")):
        replies = await asyncio.gather(person(broker, "ann").ask(), person(broker, "bob").ask())
        kinds = sorted(type(reply).__name__ for reply in replies)
        assert kinds == ["EarsClaimed", "EarsRefused"]
        refused = next(reply for reply in replies if isinstance(reply, EarsRefused))
        assert refused.code == "busy"


@pytest.mark.parametrize("rate_hz", [0, -16000, 7999, 96000])
async def test_a_rate_that_cannot_be_heard_is_refused(broker: MemoryBroker, rate_hz: int) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("stt")):
        reply = await person(broker).ask(rate_hz=rate_hz)
        assert isinstance(reply, EarsRefused)
        assert reply.code == "invalid_request"


async def test_a_newer_lease_of_a_session_replaces_the_old_one_and_an_older_is_refused(
    broker: MemoryBroker,
) -> None:
    worker = worker_of(PitchTranscriber(), slots=1)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(HUM[:16000])
        await ann.hears(SpeechStarted)
        # The slot is taken, so this claim comes by the worker's own door.
        assert worker._claims is not None
        from shared.messages import OpenEars  # noqa: PLC0415 - only here is a claim made by hand

        newer = worker._claims.claim(OpenEars(gw="gw1", sid=ann.sid, lease=3))
        assert isinstance(newer, EarsClaimed)
        older = worker._claims.claim(OpenEars(gw="gw1", sid=ann.sid, lease=2))
        assert isinstance(older, EarsRefused)
        assert older.code == "stale_lease"
        await settled()
        assert worker.facts().busy == 1
        await ann.say(HUM)
        assert (await ann.hears(Final)).lease == 3
        assert {event.lease for event in ann.of(Final)} == {3}


async def test_the_end_that_the_client_asks_for_is_taken_at_its_word(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(tone(440, 1.0))
        await ann.end_utterance()
        final = await ann.hears(Final)
        assert final.text == "440 Hz 1.0 s"
        assert final.endpoint_ms == 0
        await ann.say(HUM)
        assert (await ann.hears(Final, count=2)).utterance == 2


async def test_an_end_without_speech_says_that_nothing_was_said(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(silence(1))
        await ann.end_utterance()
        final = await ann.hears(Final)
        assert (final.text, final.utterance) == ("", 1)
        assert len(engine.calls) == 1  # the warm-up: silence is never transcribed


async def test_another_worker_that_gets_the_needed_frames_hears_the_whole_utterance(
    broker: MemoryBroker,
) -> None:
    ann = person(broker)
    lost = broker.connect("stt1")
    first = worker_of(PitchTranscriber(), name="first")
    await first.warm_up()
    dying = asyncio.create_task(first.serve(lost))
    await settled()
    await ann.claim()
    await ann.say(np.concatenate([silence(1), tone(440, 0.8)]))
    await ann.hears(SpeechStarted)
    await until(lambda: ann.of(EarsAlive)[-1].needed_seq > 20)
    needed_seq = ann.of(EarsAlive)[-1].needed_seq
    lost.abort()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    async with serving(worker_of(PitchTranscriber(), name="second"), broker.connect("stt2")):
        await ann.claim()
        for seq in range(needed_seq, ann.seq):  # as fast as it goes
            await ann.send(seq)
        await ann.say(np.concatenate([tone(440, 0.2), silence(0.7)]))
        final = await ann.hears(Final)
        assert (final.lease, final.utterance, final.text) == (2, 1, "440 Hz 1.0 s")


async def test_what_is_needed_stays_needed_until_the_final_is_told(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        engine.may_answer.clear()
        await ann.say(np.concatenate([HUM, silence(1)]))
        await until(lambda: len(engine.calls) == 2)
        beats = len(ann.of(EarsAlive))
        alive = await ann.hears(EarsAlive, count=beats + 1)
        assert alive.next_seq == ann.seq
        assert alive.needed_seq <= 25
        engine.may_answer.set()
        assert (await ann.hears(Final)).needed_seq > 100


async def test_a_language_that_is_not_served_is_a_typed_error_that_names_the_command(
    broker: MemoryBroker,
) -> None:
    engine = PitchTranscriber("sphinx", languages=("en",), is_degraded=True)
    worker = worker_of(engine)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        claimed = await ann.claim(language="fr-FR")
        assert claimed.is_degraded
        assert claimed.languages == ["en"]
        await ann.say(HUM)
        failed = await ann.hears(EarsFailed)
        assert (failed.code, failed.utterance) == ("unsupported_language", 1)
        assert "eva models pull" in failed.message
        assert ann.of(Final) == []
        assert worker.facts().state == "degraded"
        assert worker.facts().failed == 1


async def test_the_detected_language_is_remembered_as_the_likely_one(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    engine.detects = ("fr", 0.95)
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(HUM)
        assert (await ann.hears(Final)).language == "fr"
        await ann.say(HUM)
        await ann.hears(Final, count=2)
        assert [likely for _, _, likely in engine.calls[1:]] == ["", "fr"]


async def test_a_worker_may_have_a_language_for_those_who_name_none(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine, language="de"), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(HUM)
        assert (await ann.hears(Final)).language == "de"


async def test_an_engine_that_fails_is_a_typed_error_and_the_next_utterance_is_heard(
    broker: MemoryBroker,
) -> None:
    engine = PitchTranscriber()
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
        await asyncio.wait_for(task, 10)
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
        await asyncio.wait_for(task, 10)
    engine.may_answer.set()


async def test_a_session_that_sends_nothing_for_long_loses_its_ears(broker: MemoryBroker) -> None:
    worker = worker_of(PitchTranscriber(), idle_s=0.1)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        failed = await ann.hears(EarsFailed)
        assert (failed.code, failed.utterance) == ("idle", 0)
        await until(lambda: worker.facts().busy == 0)


async def test_a_worker_that_drains_tells_the_finals_in_hand_and_then_lets_go(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    worker = worker_of(engine)
    await worker.warm_up()
    task = asyncio.create_task(worker.serve(broker.connect("stt")))
    await settled()
    ann, bob = person(broker, "ann"), person(broker, "bob")
    await ann.claim()
    await bob.claim()
    engine.may_answer.clear()
    await ann.say(HUM)
    await bob.say(HUM[:16000])
    await until(lambda: len(engine.calls) == 2)
    await bob.hears(SpeechStarted)
    worker.drain()
    await settled()
    with pytest.raises(NoResponders):
        await person(broker, "eve").ask()
    assert worker.facts().state == "draining"
    engine.may_answer.set()
    await asyncio.wait_for(task, 10)
    assert ann.said() == ["SpeechStarted", "Final", "EarsFailed"]
    assert (ann.of(EarsFailed)[0].code, ann.of(EarsFailed)[0].utterance) == ("draining", 0)
    assert bob.said() == ["SpeechStarted", "EarsFailed"]
    assert bob.of(EarsAlive)[-1].needed_seq <= 25


async def test_a_final_outlives_a_short_absence_of_the_broker(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
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


async def test_frames_too_many_are_dropped_and_counted(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "MAX_WAITING_FRAMES", 10)
    worker = worker_of(PitchTranscriber())
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        assert worker._claims is not None
        from shared.messages import MicFrame  # noqa: PLC0415 - only here are frames put by hand

        for seq in range(30):
            worker._claims._take("", MicFrame(sid=ann.sid, seq=seq, pcm=b""))
        assert worker.facts().numbers["frames_dropped"] == 20


async def test_a_defect_ends_the_session_that_has_it_and_no_other(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    worker = worker_of(engine)
    async with serving(worker, broker.connect("stt")):
        ann, bob = person(broker, "ann"), person(broker, "bob")
        await ann.claim()
        await bob.claim()

        def break_down() -> None:
            engine.on_call = lambda: None
            raise ZeroDivisionError

        engine.on_call = break_down
        await ann.say(HUM)
        failed = await ann.hears(EarsFailed)
        assert (failed.code, failed.utterance) == ("internal", 0)
        await bob.say(HUM)
        assert (await bob.hears(Final)).text == "440 Hz 1.0 s"
        assert worker.facts().busy == 1


async def test_messages_for_a_session_that_is_not_held_are_ignored(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("stt")):
        ann, eve = person(broker, "ann"), person(broker, "eve")
        await ann.claim()
        eve.worker = ann.worker
        await eve.say(HUM)
        await eve.bus.publish(
            subjects.mic(ann.worker, "ann"), EarsAlive(lease=1, worker="x", next_seq=0, needed_seq=0)
        )
        await ann.say(HUM)
        assert (await ann.hears(Final)).text == "440 Hz 1.0 s"


async def test_an_engine_that_is_not_warm_in_time_gives_way_to_the_next(broker: MemoryBroker) -> None:
    slow = PitchTranscriber("slow")
    slow.may_answer.clear()
    worker = worker_of(slow, PitchTranscriber("quick"), warmup_s=0.1)
    assert worker.facts().state == "starting"
    async with serving(worker, broker.connect("stt")):
        facts = worker.facts()
        slow.may_answer.set()
        assert facts.state == "degraded"
        assert facts.engines[0].detail == "not warm within 0.1 s"
        assert facts.engines[1].state == "serving"
        assert facts.last_success_s is not None
        assert facts.slots == 8
        assert facts.numbers["warmup_ms"] > 0


async def test_when_no_engine_proves_itself_the_worker_refuses_by_the_first_reason() -> None:
    class Broken(PitchTranscriber):
        def transcribe(self, *args: object, **options: object) -> None:  # type: ignore[override]
            raise EngineFailed("broken", "cannot multiply")

    worker = worker_of(Broken(), Broken())
    with pytest.raises(EngineRefused, match="cannot multiply"):
        await worker.warm_up()
    assert threading.active_count() < 50
