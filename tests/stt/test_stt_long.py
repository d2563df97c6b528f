"""Long utterances: nothing is lost or heard twice, the work left at the end and the memory do not grow."""

from __future__ import annotations

import numpy as np
import pytest

from services.stt.activity import Activity
from services.stt.ears import Ears
from services.stt.engine import RATE_HZ
from services.stt.lease import MAX_UNSETTLED
from services.stt.vad import SileroModel, silero_path
from services.stt.worker import SttWorker
from shared.bus.memory import MemoryBroker
from shared.messages import EarsAlive, EarsFailed, Final, Partial, TurnLikely
from tests.fakes.speech import silence, speech
from tests.fakes.tones import Listener, ToneReader, spoken, text_of
from tests.fakes.transcribers import PitchTranscriber
from tests.stt.rig import Person, person, serving, settled, until, worker_of

FRAME = 1600
"""100 ms."""


def ears_of(worker: SttWorker) -> Ears:
    """The ears of the only session."""
    assert worker._claims is not None
    [(lease, _)] = worker._claims._leases.values()
    return lease._ears


def kept(worker: SttWorker) -> int:
    """Samples that the worker keeps."""
    return len(ears_of(worker)._pcm) // 2


async def say(ann: Person, worker: SttWorker, pcm: np.ndarray, *, at_once: int = 5) -> int:
    """Speaks as fast as the worker hears, ``at_once`` frames ahead; returns the most samples it kept."""
    most = 0
    for start in range(0, len(pcm), at_once * FRAME):
        await ann.say(pcm[start : start + at_once * FRAME], samples=FRAME)
        await until(lambda: ears_of(worker).next_seq == ann.seq)
        most = max(most, kept(worker))
    return most


@pytest.mark.parametrize("engine", ["growing", "words", "windowed", "windowed words", "fed"])
async def test_half_a_minute_without_a_pause_is_heard_completely_and_exactly_once(
    broker: MemoryBroker, engine: str
) -> None:
    reader = (
        Listener()
        if engine == "fed"
        else ToneReader(has_words="words" in engine, is_windowed="windowed" in engine)
    )
    worker = worker_of(reader)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await say(ann, worker, np.concatenate([silence(0.4), spoken(60)]))
        await ann.say(silence(0.8))
        final = await ann.hears(Final)
        assert final.text == text_of(60)
        assert worker.facts().numbers["settled"] >= 1
        longest_s = 26 if "windowed" in engine else 22 if engine == "fed" else 6
        assert max(len(clip.pcm) for clip in reader.clips) / RATE_HZ < longest_s


async def test_pauses_within_an_utterance_are_where_it_is_settled(broker: MemoryBroker) -> None:
    reader = ToneReader(parallel=1)
    async with serving(worker_of(reader), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(np.concatenate([silence(0.4), spoken(5, pauses={4: 0.25})]))
        await until(lambda: len(reader.clips) == 2)
        await ann.say(spoken(5, first=5, pauses={9: 0.25}))
        partial = await ann.hears(Partial)
        assert (partial.text, partial.stable) == (text_of(5), len(text_of(5)))
        await until(lambda: len(reader.clips) == 3)
        await ann.say(np.concatenate([spoken(1, first=10), silence(0.7)]))
        assert (await ann.hears(Final)).text == text_of(11)
    assert [clip.prompt for clip in reader.clips[1:]] == ["", text_of(5), text_of(10)]
    assert len(reader.clips[-1].pcm) < 1.2 * RATE_HZ, "only what was not settled is read at the end"


async def drafted(ann: Person, utterance: int, text: str) -> None:
    """Waits for what a pause's draft said, as opposed to the partials before it."""
    told = (utterance, text)
    await until(lambda: told in [(likely.utterance, likely.text) for likely in ann.of(TurnLikely)])


async def test_a_piece_begins_with_what_was_learnt_from_what_was_said_before_in_the_session(
    broker: MemoryBroker,
) -> None:
    reader = Listener()
    worker = worker_of(reader)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        for count in range(1, 3):
            await ann.say(np.concatenate([silence(0.4), spoken(10, pauses={9: 0.25})]))
            await drafted(ann, count, text_of(10))
            await ann.say(np.concatenate([spoken(2, first=10), silence(0.7)]))
            assert (await ann.hears(Final, count=count)).text == text_of(12)
        await ann.close()
        bob = person(broker, "bob")
        await bob.claim()
        await bob.say(np.concatenate([silence(0.4), spoken(10, pauses={9: 0.25})]))
        await drafted(bob, 1, text_of(10))
    assert reader.learnt == ["", "10 words", "2 words", "10 words", ""]


async def test_the_work_left_at_the_end_does_not_grow_with_the_length(broker: MemoryBroker) -> None:
    left = []
    for count in (4, 20, 60):
        reader = ToneReader(parallel=1)
        worker = worker_of(reader)
        async with serving(worker, broker.connect("stt")):
            ann = person(broker, f"ann{count}")
            await ann.claim()
            pauses = dict.fromkeys(range(3, count - 1, 4), 0.2)
            await say(ann, worker, np.concatenate([silence(0.4), spoken(count, pauses=pauses)]))
            await ann.say(silence(0.7))
            assert (await ann.hears(Final)).text == text_of(count)
        left.append(len(reader.clips[-1].pcm) / RATE_HZ)
    assert max(left) <= 1.5 * left[0]


async def test_a_piece_that_a_final_stands_behind_goes_before_other_peoples_drafts(
    broker: MemoryBroker,
) -> None:
    reader = ToneReader(parallel=1)
    worker = worker_of(reader)
    async with serving(worker, broker.connect("stt")):
        ann, bob, cid = (person(broker, name) for name in ("ann", "bob", "cid"))
        for someone in (ann, bob, cid):
            await someone.claim()
        warm_up = len(reader.clips)
        reader.may_answer.clear()
        await bob.say(np.concatenate([silence(0.4), spoken(1), silence(0.25)]))
        await until(lambda: len(reader.clips) == warm_up + 1)
        await ann.say(np.concatenate([silence(0.4), spoken(11)]))
        await cid.say(np.concatenate([silence(0.4), spoken(1), silence(0.25)]))
        await until(lambda: worker.facts().numbers["drafts"] == 2)
        await ann.end_utterance()
        await settled()
        reader.may_answer.set()
        assert (await ann.hears(Final)).text == text_of(11)
    lengths_s = [len(clip.pcm) / RATE_HZ for clip in reader.clips[warm_up:]]
    assert len(lengths_s) == 4
    assert lengths_s[1] > 3


async def test_ten_minutes_are_heard_completely_in_bounded_memory(broker: MemoryBroker) -> None:
    reader = ToneReader()
    worker = worker_of(reader)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        pauses = dict.fromkeys(range(20, 1100, 37), 0.3)
        pcm = np.concatenate([silence(0.4), spoken(1180, pauses=pauses)])
        assert len(pcm) / RATE_HZ > 590
        most = await say(ann, worker, pcm, at_once=10)
        await ann.say(silence(0.8))
        final = await ann.hears(Final)
        assert final.text == text_of(1180)
        assert final.end_ms - final.start_ms > 590_000
        assert most < 20 * RATE_HZ
        assert most < MAX_UNSETTLED
        assert max(alive.next_seq - alive.needed_seq for alive in ann.of(EarsAlive)) < 20 * RATE_HZ / FRAME


async def test_real_speech_of_minutes_is_bounded_too(broker: MemoryBroker) -> None:
    said = speech(
        "my name is john and i live in london but my brother lives in paris with his wife and they have"
    )
    worker = worker_of(PitchTranscriber(), voice_activity=lambda: Activity(SileroModel(silero_path())))
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        most = await say(ann, worker, np.tile(said, int(120 * RATE_HZ / len(said))), at_once=20)
        await ann.say(silence(0.8))
        final = await ann.hears(Final)
        assert final.end_ms - final.start_ms > 110_000
        assert most < 20 * RATE_HZ
        heard_s = sum(float(seconds) for seconds in final.text.split()[2::4])
        assert heard_s == pytest.approx(final.speech_ms / 1000, rel=0.35)


async def test_hearing_stands_still_before_memory_runs_over(broker: MemoryBroker) -> None:
    reader = ToneReader()
    worker = worker_of(reader)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        reader.may_answer.clear()
        pcm = np.concatenate([silence(0.4), spoken(300)])
        await ann.say(pcm, samples=FRAME)
        await until(lambda: kept(worker) > MAX_UNSETTLED)
        for _ in range(5):
            await settled()
        assert kept(worker) < MAX_UNSETTLED + 10 * RATE_HZ
        assert ears_of(worker).next_seq < ann.seq
        reader.may_answer.set()
        await ann.say(silence(0.8))
        assert (await ann.hears(Final)).text == text_of(300)


async def test_a_piece_that_failed_is_read_again(broker: MemoryBroker) -> None:
    reader = ToneReader(parallel=1)
    async with serving(worker_of(reader), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        reader.failures = 1
        await ann.say(np.concatenate([silence(0.4), spoken(5, pauses={4: 0.25}), spoken(2, first=5)]))
        await ann.hears(Partial)
        await ann.say(silence(0.7))
        assert (await ann.hears(Final)).text == text_of(7)


async def test_an_utterance_with_a_piece_that_nobody_could_read_is_no_final(broker: MemoryBroker) -> None:
    reader = ToneReader(parallel=1)
    async with serving(worker_of(reader), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        reader.failures = 2
        await ann.say(np.concatenate([silence(0.4), spoken(5, pauses={4: 0.25}), spoken(2, first=5)]))
        await ann.say(silence(0.7))
        failed = await ann.hears(EarsFailed)
        assert (failed.code, failed.utterance) == ("engine_failed", 1)
        await ann.say(np.concatenate([spoken(2), silence(0.7)]))
        assert (await ann.hears(Final)).text == text_of(2)
