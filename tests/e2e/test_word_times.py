"""The times of words, from the voice's own process to the client: they are those of the sound that was sent.

The voices are espeak-ng, which tells its words, and the small Piper voice, whose sound can be read back; the
mind is a provider on loopback.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from services.gateway.chat_protocol import (
    AudioEvent,
    Interrupt,
    Interrupted,
    SegmentEvent,
    SpokenWord,
    Timings,
    TurnDone,
    VisemesEvent,
    WordsEvent,
)
from tests.e2e.house import RATE_HZ, UNPACED, House, house
from tests.e2e.talker import Talker, talker
from tests.fakes.provider import FakeProvider, Reply

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

LIST = Reply(tokens=("Boys,", " girls,", " men,", " women", " and", " 42", " others", "."))
STORY = Reply(
    tokens=tuple(f" number {count} is a very nice one, I think." for count in range(1, 41)), delay_s=0.35
)
"""Still in the making when it is interrupted."""
WISHES = Timings(words=True, visemes=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("home")
    async with house(folder, with_models=False, EVA_LLM_BASE_URL=provider.base_url, **UNPACED) as home:
        yield home


def words(person: Talker, turn_id: str) -> list[SpokenWord]:
    """All that was told of a turn's words; fails if a word was told twice."""
    events = [event for event in person.of(WordsEvent) if event.turn_id == turn_id]
    places = [(event.segment, word.begin) for event in events for word in event.words]
    assert len(places) == len(set(places))
    return [word for event in events for word in event.words]


def loudness(samples: npt.NDArray[np.float32], begin_ms: float, end_ms: float) -> float:
    part = samples[int(begin_ms * RATE_HZ / 1000) : int(end_ms * RATE_HZ / 1000)]
    return float(np.sqrt(np.mean(part**2))) if part.size else 0.0


async def test_the_times_of_words_are_those_of_the_sound_that_was_sent(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [LIST]
    async with talker(home.url, timings=WISHES) as person:
        done = await person.ask("Who is there?")
    said, samples = words(person, done.turn_id), person.pcm(done.turn_id)
    assert [word.text for word in said] == ["Boys", "girls", "men", "women", "and", "42", "others"]
    assert not any(event.is_estimated for event in person.of(WordsEvent))
    for word in said:
        assert loudness(samples, word.start_ms, word.end_ms) > 0.03, word
    for before, behind in itertools.pairwise(said[:4]):  # there are commas
        middle_ms = (before.end_ms + behind.start_ms) / 2
        assert loudness(samples, middle_ms, behind.start_ms - 20) < 0.005, behind
    assert said[-1].end_ms <= done.timeline.audio_ms


async def test_words_and_shapes_come_before_their_sound(home: House, provider: FakeProvider) -> None:
    provider.replies = [LIST]
    async with talker(home.url, timings=WISHES) as person:
        done = await person.ask("Who is there?")
    sent_ms = 0.0
    for event in person.of_turn(done.turn_id):
        if isinstance(event, AudioEvent):
            sent_ms += event.duration_ms
        elif isinstance(event, WordsEvent):
            assert all(word.start_ms >= sent_ms - 0.1 for word in event.words)
        elif isinstance(event, VisemesEvent):
            assert all(shape.start_ms >= sent_ms - 0.1 for shape in event.visemes)
    assert len({shape.viseme for event in person.of(VisemesEvent) for shape in event.visemes}) > 6


async def test_an_answer_that_is_interrupted_was_heard_to_the_word(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [STORY]
    async with talker(home.url, timings=WISHES) as person:
        turn_id = await person.type("Tell me a story.")
        await person.hears(SegmentEvent, count=3)
        await person.hears(AudioEvent, where=lambda event: event.segment == 2)
        said = [word for word in words(person, turn_id) if word.start_ms > 1000]
        until = said[3]
        await person.socket.send(Interrupt(played_ms=int(until.end_ms) + 1))
        stopped = await person.hears(Interrupted)
        heard = [word.text for word in words(person, turn_id) if word.end_ms <= int(until.end_ms) + 1]
    assert stopped.heard.replace(",", "").replace(".", "").split() == heard
    assert stopped.heard.rstrip(",.").endswith(until.text)


async def test_who_does_not_ask_for_times_is_not_told(home: House, provider: FakeProvider) -> None:
    provider.replies = [LIST]
    async with talker(home.url) as person:
        assert isinstance(await person.ask("Who is there?"), TurnDone)
        assert not person.of(WordsEvent)
        assert not person.of(VisemesEvent)
