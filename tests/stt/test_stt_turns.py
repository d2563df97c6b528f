"""When a turn may be over: what is told early, what decides, and how ready the text is then."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from services.stt import turn_sense
from services.stt.engine import Clip, EngineInfo, Pcm, Transcript
from services.stt.turn_sense import MAX_FAILURES
from shared.bus.memory import MemoryBroker
from shared.errors import EngineFailed, EngineRefused
from shared.messages import Final, Partial, SpeechProgress, SpeechResumed, SpeechStarted, TurnLikely
from tests.fakes.speech import silence, tone
from tests.fakes.tones import Listener, ToneReader, spoken, text_of
from tests.stt.rig import WAIT_S, person, serving, settled, until, worker_of


class Saying(ToneReader):
    """Hears the same sentence in whatever is said."""

    def __init__(self, text: str) -> None:
        super().__init__(parallel=1)
        self.text = text

    def transcribe(self, clip: Clip) -> Transcript:
        super().transcribe(clip)
        return Transcript(text=self.text, language="en", language_probability=0.9)


class Sense:
    """A turn model with one opinion."""

    info = EngineInfo(name="sense", model="s", device="cpu")

    def __init__(self, opinion: float | None) -> None:
        self.opinion = opinion
        self.calls = 0

    def probability(self, pcm: Pcm) -> float:
        self.calls += 1
        if self.opinion is None:
            raise EngineFailed("sense", "it has none")
        return self.opinion


SAID = np.concatenate([silence(0.4), tone(440, 1.0)])


async def test_what_may_be_over_is_told_with_its_text_and_is_the_final_then(broker: MemoryBroker) -> None:
    worker = worker_of(Saying("what time is it?"))
    async with serving(worker, broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="auto")
        await ann.say(np.concatenate([SAID, silence(0.2)]))
        likely = await ann.hears(TurnLikely)
        assert (likely.text, likely.utterance, likely.language) == ("what time is it?", 1, "en")
        assert 1380 <= likely.end_ms <= 1440
        assert 120 <= likely.silence_ms <= 200
        assert ann.of(Final) == []
        await ann.say(silence(0.5))
        final = await ann.hears(Final)
        assert (final.text, final.ended_by, final.was_ready) == ("what time is it?", "text", True)
        assert final.endpoint_ms < 350
        assert final.transcribe_ms < 1000 * WAIT_S
        assert 900 <= final.speech_ms <= 1050
        assert ann.said() == ["SpeechStarted", "TurnLikely", "Final"]
        numbers = worker.facts().numbers
        assert (numbers["drafts"], numbers["drafts_used"]) == (1, 1)


async def test_words_that_ask_for_more_are_no_turn_and_are_waited_for(broker: MemoryBroker) -> None:
    async with serving(worker_of(Saying("I would like a coffee and")), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="auto")
        await ann.say(np.concatenate([SAID, silence(0.6)]))
        assert (await ann.hears(Partial)).text == "I would like a coffee and"
        await ann.say(silence(0.4))
        assert ann.said() == ["SpeechStarted"]
        await ann.say(silence(0.4))
        final = await ann.hears(Final)
        assert final.endpoint_ms >= 1150
        assert TurnLikely.__name__ not in ann.said()


async def test_who_goes_on_takes_back_what_seemed_to_be_over(broker: MemoryBroker) -> None:
    async with serving(worker_of(Saying("maybe")), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="auto")
        await ann.say(np.concatenate([SAID, silence(0.2)]))
        await ann.hears(TurnLikely)
        await ann.say(tone(440, 0.5))
        resumed = await ann.hears(SpeechResumed)
        assert (resumed.lease, resumed.utterance) == (1, 1)
        await ann.say(silence(0.2))
        await ann.hears(TurnLikely, count=2)
        await ann.say(silence(1.2))
        await ann.hears(Final)
        assert ann.said() == ["SpeechStarted", "TurnLikely", "SpeechResumed", "TurnLikely", "Final"]


async def test_nothing_is_taken_back_that_was_not_told(broker: MemoryBroker) -> None:
    engine = Saying("maybe")
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="auto")
        engine.may_answer.clear()
        await ann.say(np.concatenate([SAID, silence(0.2)]))
        await until(lambda: len(engine.clips) == 2)
        await ann.say(tone(440, 0.3))
        await settled()
        engine.may_answer.set()
        await ann.say(silence(1.3))
        await ann.hears(Final)
        assert SpeechResumed.__name__ not in ann.said()


async def test_a_late_draft_decides_at_once_by_the_silence_there_was(broker: MemoryBroker) -> None:
    engine = Saying("stop")
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="auto")
        engine.may_answer.clear()
        await ann.say(np.concatenate([SAID, silence(0.7)]))
        await until(lambda: len(engine.clips) == 2)
        await settled()
        assert ann.of(Final) == []
        engine.may_answer.set()
        final = await ann.hears(Final)
        assert (final.text, final.was_ready) == ("stop", True)
        assert 600 <= final.endpoint_ms <= 750
        assert ann.said() == ["SpeechStarted", "Final"], "no turn is likely that is over"


async def test_a_draft_that_comes_after_the_longest_silence_was_not_ready(broker: MemoryBroker) -> None:
    engine = Saying("well")
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="auto")
        engine.may_answer.clear()
        await ann.say(np.concatenate([SAID, silence(1.5)]))
        await until(lambda: len(engine.clips) == 2)
        await asyncio.sleep(0.3)
        engine.may_answer.set()
        final = await ann.hears(Final)
        assert (final.was_ready, final.ended_by) == (False, "limit")
        assert final.transcribe_ms >= 40


async def test_a_draft_of_a_pause_that_is_over_is_not_even_begun(broker: MemoryBroker) -> None:
    engine = ToneReader(parallel=1)
    async with serving(worker_of(engine), broker.connect("stt")):
        ann, bob = person(broker, "ann"), person(broker, "bob")
        await ann.claim()
        await bob.claim()
        engine.may_answer.clear()
        await bob.say(np.concatenate([silence(0.4), spoken(2), silence(0.2)]))
        await until(lambda: len(engine.clips) == 2)  # bob's draft has the only thread
        await ann.say(np.concatenate([silence(0.4), spoken(2), silence(0.2), spoken(1, first=2)]))
        await settled()
        engine.may_answer.set()
        await ann.say(silence(0.7))
        await bob.say(silence(0.5))
        assert (await ann.hears(Final)).text == text_of(3)
        assert (await bob.hears(Final)).text == text_of(2)
        assert len(engine.clips) == 3, "the warm-up, bob's, and ann's second"


async def test_while_the_client_decides_nothing_else_does(broker: MemoryBroker) -> None:
    async with serving(worker_of(Saying("that is all.")), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="manual")
        await ann.say(np.concatenate([SAID, silence(2.5)]))
        await settled()
        assert ann.said() == ["SpeechStarted"]
        await ann.end_utterance()
        final = await ann.hears(Final)
        assert (final.ended_by, final.was_ready, final.text) == ("manual", True, "that is all.")


async def test_what_is_thrown_away_ends_there_and_what_follows_begins_anew(broker: MemoryBroker) -> None:
    async with serving(worker_of(Saying("that is all.")), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="manual")
        await ann.end_utterance(is_discarded=True)
        await ann.say(SAID)
        await ann.hears(SpeechStarted)
        await ann.end_utterance(is_discarded=True)
        await ann.say(SAID)
        await ann.end_utterance()
        first, second = await ann.hears(Final), await ann.hears(Final, count=2)
        began = ann.of(SpeechStarted)
        await ann.end_utterance()
        nothing = await ann.hears(Final, count=3)
    assert [final.utterance for final in (first, second, nothing)] == [1, 2, 3]
    assert first.end_ms <= began[1].at_ms + 40
    assert second.start_ms >= first.end_ms
    assert nothing.text == "", "only an end that is no discarding is answered where nothing was said"


async def test_how_much_was_spoken_is_told_every_100_ms_at_first(broker: MemoryBroker) -> None:
    async with serving(worker_of(Saying("so")), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        for _ in range(25):
            await ann.say(tone(440, 0.1))
            await settled()
        await ann.hears(SpeechStarted)
        spoken_ms = [told.speech_ms for told in ann.of(SpeechProgress)]
        assert 12 <= len(spoken_ms) <= 15
        assert 90 <= spoken_ms[0] <= 200
        assert 1350 <= spoken_ms[-1] <= 1550
        assert all(told.silence_ms == 0 for told in ann.of(SpeechProgress))


@pytest.mark.parametrize(
    ("opinion", "by", "least_ms", "most_ms"),
    [(0.95, {"model"}, 250, 500), (0.05, {"silence", "limit"}, 900, 1300)],
)
async def test_the_turn_model_is_heard_where_the_words_do_not_tell(
    broker: MemoryBroker,
    opinion: float,
    by: set[str],
    least_ms: int,
    most_ms: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn_sense, "TIMEOUT_S", 60.0)  # however long the machine takes for it
    sense = Sense(opinion)
    async with serving(worker_of(ToneReader(parallel=1), turn_model=sense), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="auto")
        await ann.say(np.concatenate([silence(0.4), spoken(3), silence(0.2)]))
        await ann.hears(TurnLikely)
        await ann.say(silence(1.3))
        final = await ann.hears(Final)
        assert final.ended_by in by
        assert sense.calls == 1
        assert least_ms <= final.endpoint_ms <= most_ms


async def test_a_turn_model_that_fails_is_asked_no_more_and_nobody_waits_for_it(broker: MemoryBroker) -> None:
    sense = Sense(None)
    async with serving(worker_of(Saying("yes please"), turn_model=sense), broker.connect("stt")):
        ann = person(broker)
        await ann.claim(turn_detection="auto")
        for count in range(1, MAX_FAILURES + 3):
            await ann.say(np.concatenate([SAID, silence(0.2)]))
            await ann.hears(TurnLikely, count=count)
            await ann.say(silence(1.5))
            await ann.hears(Final, count=count)
        assert sense.calls == MAX_FAILURES


async def test_a_turn_model_that_cannot_be_used_leaves_it_to_the_words() -> None:
    worker = worker_of(Saying("yes"))

    def refuse() -> None:
        raise EngineRefused("smart-turn", "another model", hint="eva models pull")

    object.__setattr__(worker._parts, "load_turn_model", refuse)
    await worker.warm_up()
    assert worker._sense is None


async def test_an_engine_that_reads_along_has_the_text_in_the_pause(broker: MemoryBroker) -> None:
    engine = Listener()
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(np.concatenate([silence(0.4), spoken(4), silence(0.7)]))
        assert (await ann.hears(Final)).text == text_of(4)
        assert len(engine.clips) == 1, "the warm-up: nothing was read at once"
        await until(lambda: engine.begun[0].is_closed)
        assert all(samples <= 16000 // 2 for samples in engine.begun[0].fed)
        assert len(engine.begun[0].fed) >= 5


async def test_who_finds_no_place_to_be_read_along_is_read_at_once(broker: MemoryBroker) -> None:
    engine = Listener(places=1)
    async with serving(worker_of(engine), broker.connect("stt")):
        ann, bob = person(broker, "ann"), person(broker, "bob")
        await ann.claim()
        await bob.claim()
        await ann.say(np.concatenate([silence(0.4), spoken(2)]))
        await until(lambda: len(engine.begun) == 1)
        await bob.say(np.concatenate([silence(0.4), spoken(3), silence(0.7)]))
        assert (await bob.hears(Final)).text == text_of(3)
        await ann.say(np.concatenate([spoken(1, first=2), silence(0.7)]))
        assert (await ann.hears(Final)).text == text_of(3)
        assert len(engine.begun) == 1


async def test_a_reading_that_dies_is_made_good_from_the_audio(broker: MemoryBroker) -> None:
    engine = Listener()
    engine.draft_failures = 1
    async with serving(worker_of(engine), broker.connect("stt")):
        ann = person(broker)
        await ann.claim()
        await ann.say(np.concatenate([silence(0.4), spoken(2), silence(0.7)]))
        assert (await ann.hears(Final)).text == text_of(2)
        await ann.close()
        await until(lambda: all(decoding.is_closed for decoding in engine.begun))
