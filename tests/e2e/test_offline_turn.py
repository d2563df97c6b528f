"""EVA where nothing was downloaded: the offline ears and voice serve, and say that they are the lesser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eva.talk import TalkOptions, talk
from eva.wav import write_wav
from services.gateway.chat_protocol import (
    AudioIn,
    ErrorEvent,
    FinalEvent,
    TurnDone,
    TurnStarted,
)
from tests.e2e.house import House, house
from tests.e2e.talker import is_audible, talker
from tests.fakes.speech import speech

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = "my name is john and i live in london"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("home"), with_models=False) as home:
        yield home


async def test_without_any_model_a_spoken_sentence_is_understood_and_answered_aloud(home: House) -> None:
    async with talker(home.url, audio_in=AudioIn()) as person:
        await person.say(speech(SAID))
        final = await person.hears(FinalEvent)
        assert len(set(SAID.split()) & set(final.text.split())) >= 6, final.text
        assert final.turn_id is not None
        done = await person.done(final.turn_id)
        assert done.text.startswith("Nice to meet you")
        assert done.has_audio
        assert is_audible(person.pcm(final.turn_id))
        served = {stage: (report.engine, report.is_degraded) for stage, report in done.engines.items()}
        assert served == {"stt": ("sphinx", True), "llm": ("companion", True), "tts": ("espeak-ng", True)}


async def test_health_says_degraded_and_names_the_command_that_fetches_models(home: House) -> None:
    health = await home.health_when(lambda health: health["status"] == "degraded")
    assert (health["whisper"], health["tts"], health["database"], health["broker"]) == (
        False, True, True, True,
    )  # fmt: skip
    for stage, engine in {"stt": "sphinx", "tts": "espeak-ng"}.items():
        assert health["stages"][stage]["engine"] == engine
        assert health["stages"][stage]["hint"] == "eva models pull"
        (reason,) = [text for text in health["reasons"] if f"({stage})" in text]
        assert f"lesser engine: {engine}" in reason
        assert "eva models pull" in reason


async def test_french_on_the_english_ears_is_a_typed_error_that_is_also_spoken(home: House) -> None:
    async with talker(home.url, language="fr", audio_in=AudioIn()) as person:
        await person.say(speech("bonjour je voudrais savoir quelle heure il est", voice="fr"))
        error = await person.hears(ErrorEvent, where=lambda error: error.code != "no_ears")
        assert (error.code, error.turn_id) == ("unsupported_language", None)
        assert "eva models pull" in error.message
        started = await person.hears(TurnStarted)
        done = await person.done(started.turn_id)
        assert "eva models pull" in done.text
        assert is_audible(person.pcm(done.turn_id))
        (final,) = person.of(FinalEvent)
        assert (final.text, final.turn_id, final.id) == ("", started.turn_id, 1)
        assert len(person.of(TurnDone)) == 1


async def test_the_command_says_what_was_not_understood_and_comes_to_an_end(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wav, out = tmp_path / "in.wav", tmp_path / "out.wav"
    write_wav(wav, 16000, speech("bonjour je voudrais savoir quelle heure il est", voice="fr").tobytes())
    async with asyncio.timeout(80):
        assert await talk(TalkOptions(url=home.url, wav=wav, out=out, language="fr")) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("EVA: Je ne comprends que l'anglais")
    assert "eva models pull" in shown.err
    assert out.stat().st_size > 20_000
