"""The only voice or ears, or the broker itself, are killed in mid-turn and come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    ErrorEvent,
    FinalEvent,
    SpeechStartedEvent,
    TurnDone,
    TurnStarted,
    UserText,
)
from tests.e2e.house import RATE_HZ, House, house
from tests.e2e.talker import Talker, Terminal, is_audible, talker
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import speech
from tests.models import tiny_voice
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
ANSWER = tuple(f" Number {count} is a nice one." for count in range(1, 12))
SLOW = Reply(tokens=ANSWER, delay_s=0.2)
BACK_WITHIN_S = 240.0
"""A net: it takes about 2 s where the machine does nothing else, and 60 s more where work is lost."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    # A lone worker that is started anew has to be there in time, on a slow machine too.
    variables = {"EVA_LLM_BASE_URL": provider.base_url, "EVA_GATEWAY_TAKE_UP_S": "60"}
    async with house(tmp_path_factory.mktemp("home"), **variables) as home:
        yield home


async def done_within(person: Talker, limit_s: float) -> TurnDone:
    """Asks until an answer comes to its good end; fails if that takes too long."""
    began_s = time.monotonic()
    while True:
        end = await person.end_of(await person.type("Are you there?"))
        assert time.monotonic() - began_s < limit_s, person.story()
        if isinstance(end, TurnDone):
            return end


async def test_the_only_voice_is_killed_started_anew_and_ends_the_turn(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SLOW, Reply()]
    async with talker(home.url) as person:
        turn = await person.type("Count for me.")
        await person.hears(AudioEvent)
        await home["tts"].kill()
        await home["tts"].start()
        done = await person.done(turn)
        assert done.text.strip() == "".join(ANSWER).strip()
        heard = "".join(tiny_voice.decode(person.pcm(turn), RATE_HZ))
        assert heard.count("nʌmb") == len(ANSWER)  # each sentence once
        await person.ask("Are you there?")


async def test_the_only_ears_are_killed_started_anew_and_have_heard_everything(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [Reply()]
    async with talker(home.url, audio_in=AudioIn()) as person:
        speaking = asyncio.create_task(person.say(speech(PHRASES[0])))
        await person.hears(SpeechStartedEvent)
        await home["stt"].kill()
        assert (await person.hears(ErrorEvent)).code == "no_ears"
        await home["stt"].start()
        final = await person.hears(FinalEvent)
        await speaking
        assert final.text == PHRASES[0]
        assert final.turn_id is not None
        await person.done(final.turn_id)


async def test_the_broker_is_killed_and_the_conversation_goes_on_over_the_same_socket(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SLOW, Reply()]
    async with talker(home.url) as person:
        turn = await person.type("Count for me.")
        await person.hears(AudioEvent)
        await home.server.kill()
        await home.health_when(lambda health: not health["broker"])
        await person.socket.send(UserText(text="Nobody hears this."))
        unheard = (await person.hears(TurnStarted, count=2)).turn_id
        lost = await person.end_of(unheard)
        assert isinstance(lost, ErrorEvent)
        assert lost.code == "broker_lost"
        await home.server.restart()
        done = await done_within(person, BACK_WITHIN_S)
        assert is_audible(person.pcm(done.turn_id))
        assert len([event for event in person.of_turn(turn) if isinstance(event, Terminal)]) == 1
        assert not person.is_closed
        await home.health_when(lambda health: health["broker"] and health["database"])
