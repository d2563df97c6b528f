from __future__ import annotations

import asyncio

import numpy as np
import pytest

from services.stt.lease import MAX_WAITING_FRAMES
from shared import subjects
from shared.bus.memory import MemoryBroker
from shared.errors import NoResponders
from shared.messages import (
    EarsAlive,
    EarsClaimed,
    EarsFailed,
    EarsRefused,
    Final,
    MicFrame,
    OpenEars,
    SpeechStarted,
)
from tests.fakes.speech import silence, tone
from tests.fakes.transcribers import PitchTranscriber
from tests.stt.rig import HUM, person, serving, settled, until, worker_of


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

        newer = worker._claims.claim(OpenEars(gw="gw1", sid=ann.sid, lease=3, turn_detection="silence"))
        assert isinstance(newer, EarsClaimed)
        older = worker._claims.claim(OpenEars(gw="gw1", sid=ann.sid, lease=2))
        assert isinstance(older, EarsRefused)
        assert older.code == "stale_lease"
        await settled()
        assert worker.facts().busy == 1
        await ann.say(HUM)
        assert (await ann.hears(Final)).lease == 3
        assert {event.lease for event in ann.of(Final)} == {3}


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
    engine = PitchTranscriber(parallel=1)
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        engine.may_answer.clear()
        await ann.say(np.concatenate([HUM, silence(1)]))
        await until(lambda: len(engine.calls) == 2)
        await until(lambda: ann.of(EarsAlive)[-1].next_seq == ann.seq)
        assert ann.of(EarsAlive)[-1].needed_seq <= 25
        engine.may_answer.set()
        assert (await ann.hears(Final)).needed_seq > 100


async def test_a_session_that_sends_nothing_for_long_loses_its_ears(broker: MemoryBroker) -> None:
    worker = worker_of(PitchTranscriber(), idle_s=0.1)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        failed = await ann.hears(EarsFailed)
        assert (failed.code, failed.utterance) == ("idle", 0)
        await until(lambda: worker.facts().busy == 0)


async def test_a_worker_that_drains_tells_the_finals_in_hand_and_then_lets_go(broker: MemoryBroker) -> None:
    engine = PitchTranscriber(parallel=1)
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
    await asyncio.wait_for(task, 60)
    assert ann.said() == ["SpeechStarted", "Final", "EarsFailed"]
    assert (ann.of(EarsFailed)[0].code, ann.of(EarsFailed)[0].utterance) == ("draining", 0)
    assert bob.said() == ["SpeechStarted", "EarsFailed"]
    assert bob.of(EarsAlive)[-1].needed_seq <= 25


async def test_frames_too_many_are_dropped_and_counted(broker: MemoryBroker) -> None:
    worker = worker_of(PitchTranscriber())
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        assert worker._claims is not None

        for seq in range(MAX_WAITING_FRAMES + 20):
            worker._claims._take("", MicFrame(sid=ann.sid, seq=seq, pcm=b""))
        assert worker.facts().numbers["frames_dropped"] == 20


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
