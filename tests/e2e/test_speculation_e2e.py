"""An answer is begun while the end of the turn is still being confirmed: quick for the person, never stale.

The mind is a provider on loopback that takes its time to its first word; the ears are a small Whisper model
that knows one sentence. Ears count the time of the sound that they get: where a test stops sending, the end
of the turn stays open until the answer is made, however long the machine takes for that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import pytest_asyncio

from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    FinalEvent,
    PartialEvent,
    SegmentEvent,
    Token,
    TurnStarted,
    TurnTaking,
)
from shared.messages import Final, SegmentDone, TurnLikely
from tests.e2e.house import House, house
from tests.e2e.spy import Spy, spying
from tests.e2e.talker import Talker, is_audible, talker
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import silence, speech, tone
from tests.models.tiny_whisper import PHRASES, tone_hz

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
Record = Callable[[str, object], None]

SLOW_S = 5.0
SAID = speech(PHRASES[0])
OTHER = SAID // 2 + tone(tone_hz(1), 2.0, amplitude=6000.0)[: len(SAID)]
"""Speech, from which on the ears hear another phrase."""
LONG = speech("my name is john and i live in london with my sister")
RIGHT = Reply(tokens=("That", " is", " right", "."))
SLOW = Reply(tokens=RIGHT.tokens, first_delay_s=SLOW_S)
STALE = Reply(tokens=("This", " is", " stale", "."))
PATIENT = TurnTaking(min_silence_ms=3000, max_silence_ms=4000)
"""So much silence that the turn is not over while an answer is made ahead."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("home"), EVA_LLM_BASE_URL=provider.base_url) as home:
        yield home


async def speculations(home: House) -> dict[str, float]:
    """How often an answer was begun ahead, by what became of it."""
    lines = (await home.http.get(f"{home.url}/metrics")).text.splitlines()
    prefix = 'eva_speculations_total{outcome="'
    counts = (line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix))
    return {outcome: float(count) for outcome, count in counts}


def answer_of(person: Talker, final: FinalEvent) -> float:
    """Seconds from the final to the answer's first sound, at the socket."""
    first = next(header for header, _ in person.audio(str(final.turn_id)))
    return person.at_s(first) - person.at_s(final)


def asked(provider: FakeProvider) -> list[str]:
    """What the mind was asked, turn by turn."""
    return [request.body["messages"][-1]["content"] for request in provider.questions]


async def is_made_ahead(spy: Spy) -> None:
    """Waits until the sound of an answer is made to what was only likely to be the whole turn."""
    session = await spy.session_that(TurnLikely, lambda _: True)  # what lies ready is made in other ones
    await spy.hears(SegmentDone, session=session)


async def test_a_slow_mind_has_its_answer_ready_when_the_turn_is_over(
    home: House, provider: FakeProvider, record_property: Record
) -> None:
    provider.questions.clear()
    provider.replies = [SLOW]
    before = await speculations(home)
    async with spying(home) as spy, talker(home.url, audio_in=AudioIn(), turn_taking=PATIENT) as person:
        await person.say(SAID, silence_s=1.0)
        await is_made_ahead(spy)
        await person.say(silence(3.5), silence_s=0.0)
        final = await person.hears(FinalEvent)
        assert final.turn_id is not None
        done = await person.done(final.turn_id)
        assert is_audible(person.pcm(final.turn_id))
        record_property("response_behind_final_ms", 1000 * answer_of(person, final))
        assert answer_of(person, final) < SLOW_S, "the mind alone takes as long"
        assert done.timeline.is_speculative
        line = done.timeline
        parts = [line.endpoint_ms, line.stt_ms, line.llm_ms, line.tts_ms, line.send_ms]
        assert all(part >= 0 for part in parts), line
        assert sum(parts) == pytest.approx(line.response_ms, abs=0.01)
        assert nothing_before(person, final)
        heard = await spy.hears(Final, lambda told: told.text == final.text)
        assert heard.was_ready
        assert spy.of(TurnLikely)[-1].text == heard.text
        record_property("transcribe_behind_the_decision_ms", heard.transcribe_ms)
    assert asked(provider) == [final.text]
    assert (await speculations(home))["used"] == before.get("used", 0) + 1


def nothing_before(person: Talker, final: FinalEvent) -> bool:
    """Whether nothing of an answer reached the client ahead of the final."""
    of_answers = (TurnStarted, Token, SegmentEvent, AudioEvent)
    return all(person.at_s(event) >= person.at_s(final) for kind in of_answers for event in person.of(kind))


async def test_who_goes_on_after_a_pause_hears_no_stale_answer_and_it_is_not_remembered(
    home: House, provider: FakeProvider
) -> None:
    provider.questions.clear()
    provider.replies = [STALE]
    before = await speculations(home)
    async with spying(home) as spy, talker(home.url, audio_in=AudioIn(), turn_taking=PATIENT) as person:
        await person.say(SAID, silence_s=2.4)
        await is_made_ahead(spy)
        provider.replies = [RIGHT]
        await person.say(OTHER, silence_s=4.5)
        final = await person.hears(FinalEvent)
        assert final.turn_id is not None
        done = await person.done(final.turn_id)
        assert done.text == "That is right."
        assert (len(person.of(TurnStarted)), len(person.of(FinalEvent))) == (1, 1)
        assert not [token for token in person.of(Token) if "stale" in token.text]
        assert nothing_before(person, final)
        assert final.text != PHRASES[0], "what was only likely to be all was all"
        await person.play(done)
        await person.ask("Thank you.")
    assert len(asked(provider)) == 3, "an answer was begun in the pause, one for the turn, one for the thanks"
    assert not [each for each in provider.questions[-1].body["messages"] if "stale" in each["content"]]
    assert (await speculations(home))["dropped"] >= before.get("dropped", 0) + 1


async def test_captions_settle_while_a_long_utterance_goes_on(home: House, provider: FakeProvider) -> None:
    provider.replies = [RIGHT]
    async with talker(home.url, audio_in=AudioIn(), turn_taking=PATIENT) as person:
        await person.say(np.concatenate([LONG, silence(1.6), LONG]), silence_s=4.5)
        final = await person.hears(FinalEvent)
        partials = person.of(PartialEvent)
        assert partials
        assert all(0 <= partial.stable <= len(partial.text) for partial in partials)
        settled = [partial.text[: partial.stable] for partial in partials if partial.stable]
        assert settled, "nothing settled in a pause of 1.6 s"
        assert all(final.text.startswith(text.strip()) for text in settled)
        assert final.text.count(PHRASES[0]) >= 2
