from __future__ import annotations

from itertools import pairwise

import numpy as np

from shared.bus.memory import MemoryBroker
from shared.messages import (
    EarsAlive,
    EarsFailed,
    Final,
    Partial,
    SpeechStarted,
    TurnLikely,
)
from tests.fakes.speech import resampled, silence, tone
from tests.fakes.transcribers import PitchTranscriber
from tests.stt.rig import HUM, answered, person, serving, settled, until, worker_of


async def test_a_spoken_utterance_gives_its_start_at_once_and_then_its_final(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("stt")):
        ann = person(broker)
        claimed = await ann.claim()
        assert (claimed.engine, claimed.device, claimed.model) == ("pitch", "cpu", "ideal")
        await ann.say(HUM[: 16000 * 18 // 10])
        await ann.hears(TurnLikely)
        await ann.say(HUM[16000 * 18 // 10 :])
        final = await ann.hears(Final)
        assert ann.said() == ["SpeechStarted", "TurnLikely", "Final"]
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
    engine = PitchTranscriber(parallel=1)
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(HUM[: 16000 * 18 // 10])  # 300 ms into the silence
        await until(lambda: len(engine.calls) == 2)  # the first call is the warm-up
        await ann.say(HUM[16000 * 18 // 10 :])
        await ann.hears(Final)
        assert len(engine.calls) == 2


async def test_a_draft_of_a_sentence_that_goes_on_serves_as_a_partial(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber(parallel=1)), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(np.concatenate([tone(440, 1.0), silence(0.35)]))
        await ann.say(tone(440, 0.5))
        assert (await ann.hears(Partial)).text == "440 Hz 1.0 s"
        await ann.say(silence(0.7))
        assert (await ann.hears(Final)).text == "440 Hz 1.5 s"
        assert [event.utterance for event in ann.of(Partial)] == [1]


async def test_partials_come_every_400_ms_of_speech_the_second_sooner_and_never_after_the_final(
    broker: MemoryBroker,
) -> None:
    worker = worker_of(PitchTranscriber())
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        for _ in range(20):
            await ann.say(tone(440, 0.1))
            await answered(worker)
        await ann.say(silence(0.7))
        await ann.hears(Final)
        await settled()
        assert isinstance([event for event in ann.events if not isinstance(event, EarsAlive)][-1], Final)
        spoken = [event.speech_ms for event in ann.of(Partial)]
        assert 4 <= len(spoken) <= 6
        assert 300 <= spoken[0] <= 500, "the first one is there before an interruption has to be judged"
        assert 150 <= spoken[1] - spoken[0] <= 350, "by then a word more is known, if it was one"
        assert all(350 <= later - earlier <= 600 for earlier, later in pairwise(spoken[1:]))
        assert ann.of(Partial)[-1].language == "en"


async def test_a_sound_in_which_no_word_was_understood_is_told_as_such_while_it_lasts(
    broker: MemoryBroker,
) -> None:
    worker = worker_of(PitchTranscriber(is_deaf=True))
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        for _ in range(8):
            await ann.say(tone(440, 0.1))
            await answered(worker)
        await ann.say(silence(0.7))
        assert (await ann.hears(Final)).text == ""
        assert {(event.text, event.stable) for event in ann.of(Partial)} == {("", 0)}
        assert all(event.speech_ms >= 300 for event in ann.of(Partial))


async def test_partials_are_shed_before_a_final_has_to_wait(broker: MemoryBroker) -> None:
    engine = PitchTranscriber(parallel=1)
    worker = worker_of(engine)
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(tone(440, 1.0))
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
    engine = PitchTranscriber(parallel=1)
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


async def test_a_session_keeps_its_language_until_there_is_evidence_for_another(broker: MemoryBroker) -> None:
    engine = PitchTranscriber(parallel=1)
    said = np.concatenate([silence(0.4), tone(440, 2.0), silence(0.7)])
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        heard = []
        for count, detected in enumerate(
            [("fr", 0.9), ("en", 0.7), ("en", 0.85), ("fr", 0.9), ("en", 0.85), ("en", 0.9), ("fr", 0.97)]
        ):
            engine.detects = detected
            await ann.say(said)
            heard.append((await ann.hears(Final, count=count + 1)).language)
        assert heard == ["fr", "fr", "fr", "fr", "fr", "en", "fr"]
        read_again = [language for _, language, _ in engine.calls[1:] if language]
        assert read_again == ["fr", "fr", "fr"], "in the language that is believed"


async def test_a_language_that_only_one_engine_can_say_is_no_evidence(broker: MemoryBroker) -> None:
    first, second = PitchTranscriber("first", parallel=1), PitchTranscriber("sphinx", languages=("en",))
    first.detects = ("fr", 0.95)
    async with serving(worker_of(first, second), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(HUM)
        assert (await ann.hears(Final)).language == "fr"
        second.detects, first.failures = ("en", 1.0), 1
        await ann.say(HUM)
        assert (await ann.hears(Final, count=2)).engine == "sphinx"
        await ann.say(HUM)
        await ann.hears(Final, count=3)
        assert first.calls[-1][2] == "fr"
