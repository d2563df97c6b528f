from __future__ import annotations

import asyncio

import numpy as np

from shared.bus.memory import MemoryBroker
from shared.messages import (
    EarsFailed,
    Final,
    Partial,
    SpeechStarted,
)
from tests.fakes.speech import resampled, silence, tone
from tests.fakes.transcribers import PitchTranscriber
from tests.stt.rig import HUM, person, serving, settled, until, worker_of


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
