"""What the person hears is never silence: real processes, and a provider that takes its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from services.gateway.chat_protocol import AudioEvent, ErrorEvent, Filler, TurnDone
from shared.audio import Samples, from_pcm16
from tests.e2e.house import RATE_HZ, House, house
from tests.e2e.talker import Talker, is_audible, talker
from tests.fakes.provider import STALL_S, FakeProvider, Reply

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SLOW = Reply(first_delay_s=1.2)
NEVER = Reply(first_delay_s=STALL_S)
LONG = Reply(tokens=tuple(f" Number {count} is a nice one." for count in range(1, 60)), delay_s=0.2)
"""Still in the making when the mind is killed."""
READY_WITHIN_S = 120.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    variables = {
        "EVA_LLM_BASE_URL": provider.base_url,
        "EVA_LLM_SERVER_FIRST_TOKEN_S": "6",
        "EVA_GATEWAY_APOLOGY_S": "15",
        "EVA_GATEWAY_TAKE_UP_S": "20",
        "EVA_GATEWAY_FILLER_MS": "450",
    }
    async with house(tmp_path_factory.mktemp("home"), **variables) as home:
        yield home


async def bridged(person: Talker) -> str:
    """Has turns until one is bridged, for fillers are made beside them; returns it."""
    began_s = time.monotonic()
    while True:
        turn = await person.type("Are you there?")
        await person.play(await person.done(turn))
        if any(isinstance(event, Filler) for event in person.of_turn(turn)):
            return turn
        assert time.monotonic() - began_s < READY_WITHIN_S, person.story()


def sound_of(audio: Sequence[tuple[AudioEvent, bytes]], *, is_filler: bool) -> Samples:
    """The samples of the fillers, or of the answer."""
    sound = b"".join(sound for event, sound in audio if (event.segment < 0) == is_filler)
    return from_pcm16(sound)


async def test_a_slow_beginning_is_bridged_audibly_and_the_answer_follows(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SLOW]
    async with talker(home.url, language="en") as person:
        turn = await bridged(person)
        audio = person.audio(turn)
        segments = [event.segment for event, _ in audio]
        assert segments[0] == -1
        assert segments == sorted(segments)
        filler, answer = (sound_of(audio, is_filler=each) for each in (True, False))
        assert is_audible(filler)
        assert is_audible(answer)
        done = next(event for event in person.of_turn(turn) if isinstance(event, TurnDone))
        timeline = done.timeline
        assert 0.1 < len(filler) / RATE_HZ / timeline.fillers < 2.0
        assert timeline.fillers == sum(isinstance(event, Filler) for event in person.of_turn(turn))
        assert 450 <= timeline.first_sound_ms < timeline.response_ms
        assert done.text == "Hello there. How are you?"
        texts = [event.text for event in person.of(Filler)]
        assert texts[-1] not in done.text


async def test_the_next_filler_is_another_one(home: House, provider: FakeProvider) -> None:
    provider.replies = [SLOW]
    async with talker(home.url, language="fr") as person:
        for _ in range(2):
            await bridged(person)
        first, second = (event.text for event in person.of(Filler)[-2:])
        assert first != second


async def test_a_provider_that_never_answers_is_bridged_until_somebody_else_does(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [NEVER]
    async with talker(home.url, language="en") as person:
        turn = await bridged(person)
        done = next(event for event in person.of_turn(turn) if isinstance(event, TurnDone))
        assert done.engines["llm"].is_degraded
        assert done.timeline.first_sound_ms < done.timeline.response_ms
        assert is_audible(sound_of(person.audio(turn), is_filler=False))


async def test_the_only_mind_is_killed_and_the_turn_ends_with_a_spoken_apology(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [Reply()]
    async with talker(home.url) as person:
        while (await person.ask("Are you there?")).engines["llm"].is_degraded:
            pass  # it may rest, because it gave no answer before
        provider.replies = [LONG, Reply()]
        turn = await person.type("Count for me.")
        await person.hears(AudioEvent, where=lambda event: (event.turn_id, event.segment) == (turn, 0))
        await home["llm"].kill()
        end = await person.end_of(turn)
        assert isinstance(end, ErrorEvent)
        assert end.code == "llm_unavailable"
        assert is_audible(person.pcm(turn)[-RATE_HZ:])
        await home["llm"].start()
        async with asyncio.timeout(READY_WITHIN_S):
            while not isinstance(await person.end_of(await person.type("Are you there?")), TurnDone):
                pass


async def test_a_mind_that_hangs_ends_in_a_ready_apology_and_an_honest_error(
    home: House, provider: FakeProvider
) -> None:
    async with talker(home.url, language="en") as person:
        provider.replies = [SLOW]
        await bridged(person)  # what is made ahead is there
        home["llm"].pause()
        home["tts"].pause()
        began_s = time.monotonic()
        turn = await person.type("Are you there?")
        end = await person.end_of(turn)
        assert isinstance(end, ErrorEvent)
        assert end.code == "llm_unavailable"
        assert "within 15 s" in end.message
        assert time.monotonic() - began_s < 90, "15 s, and room for a busy machine"
        audio = person.audio(turn)
        assert is_audible(sound_of(audio, is_filler=True))
        assert is_audible(sound_of(audio, is_filler=False)), "no voice was at work"
