"""A worker is killed or hangs in mid-turn while another one is there: the person hears nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.gateway.chat_protocol import AudioEvent, AudioIn, ErrorEvent, FinalEvent, SpeechStartedEvent
from shared.messages import AudioChunk, EarsAlive, Final, SpeechStarted, Synthesize, Working
from tests.e2e.house import RATE_HZ, STAGES, House, Service, house
from tests.e2e.spy import Spy, spying
from tests.e2e.talker import talker
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import RATE_HZ as MIC_HZ
from tests.fakes.speech import speech
from tests.models import tiny_voice
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = speech(PHRASES[0])
LONG = "Hello there, this is a long text. " * 60
"""Half a second of work for the voice, in one piece."""
ANSWER = ("One is here.", " Two is there.", " Three are gone.", " Four come back.")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Two workers of each stage."""
    names = (*STAGES, "stt2", "llm2", "tts2")
    async with house(tmp_path_factory.mktemp("home"), *names, EVA_LLM_BASE_URL=provider.base_url) as home:
        for stage in ("stt", "llm", "tts"):
            await home.health_when(lambda health, stage=stage: health["stages"][stage]["workers"] == 2)
        yield home


def service_of(home: House, worker: str) -> Service:
    """The process that goes by a name on the bus."""
    return next(service for service in home.services.values() if service.worker == worker)


async def bring_back(spy: Spy, service: Service) -> None:
    """Starts a killed worker again, for the next test."""
    await service.start()
    await spy.sees_ready(service.worker)


async def mind_that_is_heard(spy: Spy) -> str:
    """The worker whose words are spoken: the machine may have kept one waiting, and another was asked."""
    session = await spy.session_that(Synthesize, lambda work: work.text.startswith(ANSWER[0]))
    heard = await spy.hears(AudioChunk, session=session)
    its = await spy.hears(
        Working, lambda told: told.stage == "llm" and told.attempt == heard.attempt, session=session
    )
    return its.worker


async def spoken(home: House, text: str) -> bytes:
    """A text's sound by ``POST /tts``."""
    answer = await home.http.post(
        f"{home.url}/tts", json={"text": text, "format": "pcm", "sample_rate_hz": RATE_HZ}
    )
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_a_mind_that_is_killed_in_mid_answer_is_replaced_and_nothing_is_said_twice(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [Reply(tokens=ANSWER, stall_after=2), Reply(tokens=ANSWER)]
    async with spying(home) as spy, talker(home.url) as person:
        turn = await person.type("Count for me.")
        await person.hears(AudioEvent)
        killed = service_of(home, await mind_that_is_heard(spy))
        await killed.kill()
        done = await person.done(turn)
        assert done.text == "".join(ANSWER)
        assert done.timeline.attempts >= 2  # one more for each worker that was kept waiting by the machine
        heard = tiny_voice.decode(person.pcm(turn), RATE_HZ)
        assert "".join(heard).count("wʌn") == 1
        assert person.of(ErrorEvent) == []
        await person.ask("And again?")
        await bring_back(spy, killed)


@pytest.mark.parametrize("way", ["killed", "stopped"])
async def test_a_voice_that_is_lost_in_mid_sentence_is_replaced_without_a_gap(home: House, way: str) -> None:
    undisturbed = await spoken(home, LONG)
    async with spying(home) as spy:
        while not await is_lost_in_mid_sentence(home, spy, way, undisturbed):
            spy.forget()
    assert await spoken(home, LONG) == undisturbed


async def is_lost_in_mid_sentence(home: House, spy: Spy, way: str, undisturbed: bytes) -> bool:
    """Loses the voice that speaks; False: it had ended before, quicker than this process was woken."""
    speaking = asyncio.create_task(spoken(home, LONG))
    session = await spy.session_that(Synthesize, lambda work: work.text.startswith(LONG[:30]))
    await spy.hears(AudioChunk, session=session)
    worker = (await spy.hears(Working, session=session)).worker
    lost = service_of(home, worker)
    if way == "killed":
        await lost.kill()
    else:
        lost.pause()
    assert await speaking == undisturbed
    if way == "killed":
        await bring_back(spy, lost)
    else:
        lost.resume()
    return any(told.worker != worker for told in spy.of(Working, session=session))


async def test_ears_that_are_killed_while_somebody_speaks_are_replaced_and_miss_no_word(home: House) -> None:
    async with spying(home) as spy, talker(home.url, audio_in=AudioIn()) as person:
        speaking = asyncio.create_task(person.say(SAID))
        await person.hears(SpeechStartedEvent)
        session = await spy.session_that(SpeechStarted, lambda _: True)
        killed = service_of(home, (await spy.hears(EarsAlive, session=session)).worker)
        await killed.kill()
        final = await person.hears(FinalEvent)
        await speaking
        assert final.text == PHRASES[0]
        assert final.turn_id is not None
        await person.done(final.turn_id)
        told = await spy.hears(Final)
        assert told.lease >= 2
        assert (told.end_ms - told.start_ms) / 1000 == pytest.approx(len(SAID) / MIC_HZ, abs=0.3)
        await person.say(SAID)
        await person.hears(FinalEvent, count=2)
        await bring_back(spy, killed)
