"""A worker that listens is killed at the worst moments: nothing is lost and the person hardly notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.gateway.chat_protocol import AudioIn, ErrorEvent, FinalEvent, SpeechStartedEvent, Start
from shared.messages import EarsAlive, Final, SpeechStarted
from tests.e2e.house import STAGES, House, Service, house
from tests.e2e.spy import Spy, spying
from tests.e2e.talker import Talker, talker
from tests.fakes.speech import RATE_HZ, speech
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = speech(PHRASES[0])
NOTICED_S = 15.0
"""A net: a death may cost the person a second or two, on a machine that does nothing else."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Two workers that listen."""
    async with house(tmp_path_factory.mktemp("home"), *STAGES, "stt2") as home:
        await home.health_when(lambda health: health["stages"]["stt"]["workers"] == 2)
        yield home


async def listener(home: House, spy: Spy) -> Service:
    """Who hears what is being said; those of an earlier conversation may not know yet that it is over."""
    session = await spy.session_that(SpeechStarted, lambda _: True)
    worker = (await spy.hears(EarsAlive, lambda told: told.next_seq > 0, session=session)).worker
    return next(service for service in home.services.values() if service.worker == worker)


async def waited_s(person: Talker, spoken_s: float, began_s: float, count: int) -> float:
    """Returns how long after the last word the person was understood."""
    final = await person.hears(FinalEvent, count=count)
    return person.at_s(final) - began_s - spoken_s


@pytest.mark.parametrize("after_s", [-0.8, -0.3, 0.0, 0.1])
async def test_a_death_around_the_end_of_what_was_said_costs_no_word_and_little_time(
    home: House, after_s: float, record_property: pytest.RecordProperty
) -> None:
    """``after_s``: when the worker is killed, seconds behind the last word."""
    spoken_s = len(SAID) / RATE_HZ
    async with spying(home) as spy:
        async with talker(home.url, audio_in=AudioIn(), audio_out=None) as person:
            began_s = time.monotonic()
            await person.say(SAID)
            undisturbed_s = await waited_s(person, spoken_s, began_s, 1)
        await spy.hears(Final)
        spy.forget()
        async with talker(home.url, audio_in=AudioIn(), audio_out=None) as person:
            began_s = time.monotonic()
            speaking = asyncio.create_task(person.say(SAID, silence_s=3.0))
            killed = await listener(home, spy)
            await asyncio.sleep(began_s + spoken_s + after_s - time.monotonic())
            assert person.of(FinalEvent) == [], "it was over before"
            await killed.kill()
            disturbed_s = await waited_s(person, spoken_s, began_s, 1)
            await speaking
            assert [final.text for final in person.of(FinalEvent)] == [PHRASES[0]]
        await killed.start()
        await spy.sees_ready(killed.worker)
    record_property("undisturbed_s", undisturbed_s)
    record_property("disturbed_s", disturbed_s)
    assert disturbed_s - undisturbed_s < NOTICED_S


async def test_a_worker_that_is_stopped_in_mid_utterance_costs_nothing(home: House) -> None:
    async with spying(home) as spy, talker(home.url, audio_in=AudioIn(), audio_out=None) as person:
        speaking = asyncio.create_task(person.say(SAID))
        await person.hears(SpeechStartedEvent)
        stopped = await listener(home, spy)
        assert await stopped.stop() == 0
        assert (await person.hears(FinalEvent)).text == PHRASES[0]
        await speaking
        assert (await spy.hears(Final)).lease >= 2
        await stopped.start()
        await spy.sees_ready(stopped.worker)


async def test_nobody_to_listen_is_told_before_a_word_is_said_and_what_is_said_is_not_lost(
    home: House,
) -> None:
    async with spying(home) as spy:
        for name in ("stt", "stt2"):
            await home[name].kill()
        async with talker(home.url, audio_out=None) as person:
            began_s = time.monotonic()
            await person.socket.send(Start(audio_in=AudioIn()))
            error = await person.hears(ErrorEvent)
            assert error.code == "no_ears"
            assert error.retry_after_ms in {1000, 5000}
            assert person.at_s(error) - began_s < NOTICED_S
            await person.say(SAID)
            for name in ("stt", "stt2"):
                await home[name].start()
            assert (await person.hears(FinalEvent)).text == PHRASES[0]
        for name in ("stt", "stt2"):
            await spy.sees_ready(home[name].worker)
