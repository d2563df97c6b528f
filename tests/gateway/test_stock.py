"""Fillers and apologies are made ahead, in the manner of each session, by the voice that serves now."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from services.gateway import phrases
from services.gateway.chat_protocol import AudioEvent, AudioOut, ErrorEvent, Filler, Start, TurnDone, UserText
from services.gateway.hub import Hub
from services.gateway.phrases import Fillers, read_fillers
from services.gateway.settings import GatewaySettings
from services.gateway.stock import MOST_MANNERS, TRIES, Manner, Stock
from services.gateway.turn_io import TurnPolicy
from shared import subjects
from shared.bus.memory import MemoryBroker
from shared.errors import ConfigError
from shared.messages import AudioFormat, EngineFact, Working
from tests.fakes.virtual_time import virtual_time
from tests.fakes.workers import FakeWorkers
from tests.gateway.rig import GW, Client, make_place

PCM = AudioFormat(codec="pcm", rate_hz=24000)
OPUS = AudioFormat(codec="opus", rate_hz=48000)
PER_LANGUAGE = len(Fillers().of("en")) + 1


@contextlib.asynccontextmanager
async def stocked(fillers: Fillers | None = None) -> AsyncIterator[tuple[Stock, FakeWorkers]]:
    broker = MemoryBroker()
    workers = FakeWorkers(broker.connect("workers"))
    stock = Stock(broker.connect("gateway"), GW, fillers or Fillers())
    async with workers.running():
        await stock.listen()
        task = asyncio.create_task(stock.run())
        try:
            yield stock, workers
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(is_so: Callable[[], object], *, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - on a virtual clock
            await asyncio.sleep(0.01)


@virtual_time
async def test_both_languages_are_made_for_a_format_and_each_phrase_once() -> None:
    async with stocked() as (stock, workers):
        stock.want(PCM)
        await until(lambda: len(workers.made_ahead) == 2 * PER_LANGUAGE)
        await asyncio.sleep(5)
        assert len(workers.made_ahead) == 2 * PER_LANGUAGE
        for language in ("en", "fr"):
            clips = stock.fillers(Manner(language, "", PCM))
            assert [clip.text for clip in clips] == list(Fillers().of(language))
            assert all(clip.ms == 200 for clip in clips)
            apology = stock.apology(Manner(language, "", PCM))
            assert apology is not None
            assert apology.text == phrases.apology(language)
        assert {work.language for work in workers.made_ahead} == {"en", "fr"}
        assert {work.reuse for work in workers.made_ahead} == {"will"}


@virtual_time
async def test_what_is_missing_is_made_in_voice_and_format_for_the_next_time() -> None:
    async with stocked() as (stock, workers):
        manner = Manner("fr-CA", "siwis", OPUS)
        assert stock.fillers(manner) == []
        assert stock.apology(manner) is None
        await until(lambda: len(stock.fillers(manner)) == PER_LANGUAGE - 1)
        work = workers.made_ahead[0]
        assert (work.language, work.voice, work.audio, work.mood) == ("fr-CA", "siwis", OPUS, "")
        assert stock.fillers(manner)[0].chunks[0].packets


@virtual_time
async def test_one_phrase_at_a_time_is_asked_of_the_voice() -> None:
    async with stocked() as (stock, workers):
        workers.faults.gate.clear()
        stock.want(PCM)
        await asyncio.sleep(2)
        assert len(workers.made_ahead) == 1
        workers.faults.gate.set()
        await until(lambda: len(workers.made_ahead) == 2 * PER_LANGUAGE)


@virtual_time
async def test_another_engine_or_model_makes_all_of_it_anew() -> None:
    async with stocked() as (stock, workers):
        manner = Manner("en", "", PCM)
        stock.want(PCM, language="en")
        await until(lambda: len(workers.made_ahead) == PER_LANGUAGE)
        workers.engines["tts"] = [EngineFact(name="espeak", state="serving", model="other")]
        await until(lambda: len(workers.made_ahead) > PER_LANGUAGE)
        await until(lambda: stock.apology(manner) is not None)
        assert len(workers.made_ahead) == 2 * PER_LANGUAGE


@virtual_time
async def test_a_phrase_that_fails_or_is_mute_is_tried_a_few_times_and_never_played() -> None:
    async with stocked() as (stock, workers):
        workers.faults.voice_fails = "engine_failed"
        stock.want(PCM, language="en")
        await until(lambda: len(workers.made_ahead) == TRIES * PER_LANGUAGE)
        await asyncio.sleep(60)
        assert len(workers.made_ahead) == TRIES * PER_LANGUAGE
        workers.faults.voice_fails, workers.faults.mute = "", True
        stock.want(OPUS, language="en")
        await until(lambda: len(workers.made_ahead) == 2 * TRIES * PER_LANGUAGE)
        assert stock.fillers(Manner("en", "", OPUS)) == []


@virtual_time
async def test_a_voice_that_hangs_is_told_to_stop() -> None:
    async with stocked() as (stock, workers):
        workers.faults.gate.clear()
        stock.want(PCM, language="en")
        await until(workers.cancelled.is_set)
        assert len(workers.made_ahead) == 1


@virtual_time
async def test_without_a_voice_nobody_is_asked() -> None:
    broker = MemoryBroker()
    stock = Stock(broker.connect("gateway"), GW, Fillers())
    workers = FakeWorkers(broker.connect("workers"))
    workers.states["tts"] = "starting"
    async with workers.running():
        await stock.listen()
        task = asyncio.create_task(stock.run())
        stock.want(PCM)
        await asyncio.sleep(5)
        assert workers.made_ahead == []
        workers.states["tts"] = "ready"
        await until(lambda: workers.made_ahead)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@virtual_time
async def test_what_nobody_has_used_for_longest_is_forgotten() -> None:
    async with stocked() as (stock, workers):
        oldest = Manner("en", "voice-0", PCM)
        for number in range(MOST_MANNERS + 1):
            stock.want(PCM, language="en", voice=f"voice-{number}")
        await until(lambda: len(workers.made_ahead) == MOST_MANNERS * PER_LANGUAGE)
        assert "voice-0" not in {work.voice for work in workers.made_ahead}
        assert stock.fillers(oldest) == []
        await until(lambda: stock.fillers(oldest))


@pytest.mark.parametrize("form", ["pcm", "wav", "opus", "mp3"])
@virtual_time
async def test_a_session_hears_a_filler_and_then_its_answer_in_its_format(form: str) -> None:
    async with make_place() as place:
        stock = Stock(place.bus, GW, Fillers())
        policy = TurnPolicy(turn_s=5.0, filler_s=0.05, apology_s=4.0)
        hub = Hub(replace(place.hub.around, stock=stock, policy=policy))
        await hub.subscribe()
        await stock.listen()
        task = asyncio.create_task(stock.run())
        client = Client()
        start = Start(audio_out=AudioOut(format=form, rate_hz=16000), language="en")  # type: ignore[arg-type]
        async with hub.session(start, client) as session:
            await until(lambda: len(place.workers.made_ahead) == PER_LANGUAGE)
            place.workers.gate_mind.clear()
            session.handle(UserText(text="Hi"))
            await client.sees(Filler)
            place.workers.gate_mind.set()
            done = await client.sees(TurnDone)
        assert isinstance(done, TurnDone)
        assert done.timeline.fillers == 1
        assert done.text == "Hello there. How are you?"
        sounds = [event for event in client.of(AudioEvent) if isinstance(event, AudioEvent)]
        assert [event.seq for event in sounds] == list(range(len(sounds)))
        segments = [event.segment for event in sounds]
        assert segments == sorted(segments)
        assert {-1, 0, 1} == set(segments)
        assert {event.format for event in sounds} == {form}
        assert client.events.index(client.of(Filler)[0]) < client.events.index(sounds[0])
        if form == "wav":
            assert [payload[:4] == b"RIFF" for payload in client.payloads].count(True) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@virtual_time
async def test_a_mind_that_gives_no_words_is_told_to_stop_and_the_apology_is_ready() -> None:
    async with make_place() as place:
        stock, clock = Stock(place.bus, GW, Fillers()), asyncio.get_running_loop().time
        hub = Hub(replace(place.hub.around, stock=stock, policy=TurnPolicy(), clock=clock))
        await hub.subscribe()
        await stock.listen()
        task = asyncio.create_task(stock.run())
        client = Client()
        async with hub.session(Start(audio_out=AudioOut(), language="en"), client) as session:
            await until(lambda: len(place.workers.made_ahead) == PER_LANGUAGE)
            await asyncio.sleep(1)
            place.workers.gate_mind.clear()
            asked_at = clock()
            session.handle(UserText(text="Hi"))
            await until(lambda: place.workers.generated)
            for beat in range(1, 8):
                await asyncio.sleep(0.5)
                working = Working(stage="llm", worker="fake-llm", turn=1, attempt=1, beat=beat)
                await place.bus.publish(subjects.event(GW, session.key, "llm"), working)
            error = await client.sees(ErrorEvent)
            assert isinstance(error, ErrorEvent)
            assert error.code == "llm_slow"
            assert place.workers.cancelled.is_set()
        assert place.workers.synthesized == []
        assert place.workers.generated[0].first_ms == 3000
        (report,) = place.reports.seen
        assert report.timeline.response_ms == pytest.approx(3000, abs=1)
        assert report.timeline.first_sound_ms == pytest.approx(450, abs=1)
        assert clock() - asked_at < 4
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@virtual_time
async def test_a_file_is_made_without_fillers_and_however_long_it_takes() -> None:
    async with make_place() as place:
        policy = TurnPolicy(turn_s=5.0, filler_s=0.01, apology_s=0.05)
        hub = Hub(replace(place.hub.around, stock=Stock(place.bus, GW, Fillers()), policy=policy))
        await hub.subscribe()
        client = Client()
        async with hub.session(Start(audio_out=AudioOut()), client, is_live=False) as session:
            place.workers.gate_mind.clear()
            session.handle(UserText(text="Hi"))
            await until(lambda: place.workers.generated)
            await asyncio.sleep(0.1)  # the bound, and more
            place.workers.gate_mind.set()
            await client.sees(TurnDone)
        assert place.workers.generated[0].first_ms == 0
        assert client.of(Filler) == client.of(ErrorEvent) == []


def test_fillers_are_read_by_language_and_those_not_named_stay() -> None:
    own = read_fillers("de: Ähm… | Moment.; fr : Alors… | Bon…")
    assert own.of("de-AT") == ("Ähm…", "Moment.")
    assert own.of("fr") == ("Alors…", "Bon…")
    assert own.of("en") == Fillers().of("en")
    assert own.languages == ["en", "fr", "de"]
    assert len(set(own.of("ja"))) >= 2
    assert Fillers.none().of("en") == Fillers.none().of("ja") == ()
    assert read_fillers("").of("fr") == Fillers().of("fr")


@pytest.mark.parametrize("text", ["en: Hmm…", "en: Hmm… | Hmm…", "Hmm… | Well…", "e n: a | b", "en:"])
def test_fillers_that_would_follow_themselves_are_refused_at_start(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVA_GATEWAY_FILLERS", text)
    with pytest.raises(ConfigError, match="EVA_GATEWAY_FILLERS"):
        GatewaySettings.read()


def test_every_own_set_has_phrases_enough_to_choose_from() -> None:
    for language in [*Fillers().languages, "xx"]:
        texts = Fillers().of(language)
        assert len(set(texts)) == len(texts) >= 2
