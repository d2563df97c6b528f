"""Voices that break while they speak, in real processes: the person hears every word, at worst another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.tts import espeak
from services.tts.engine import Line
from shared.audio import from_pcm16, rms
from shared.messages import SegmentDone
from tests.e2e.house import RATE_HZ, WAIT_S, House, house
from tests.e2e.spy import spying
from tests.models import broken_voice, tiny_voice, tiny_whisper
from tests.models.broken_voice import SPEED, Fault

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
FAULTS: tuple[Fault, ...] = ("nan", "silent", "memory", "clipped", "short", "endless")
TEXT = "Hello there, nothing of this is lost today."
FRENCH = "Bonjour, rien de tout cela ne se perd."
WHOLE = "en_US-whole-low"


def install(folder: Path) -> None:
    """One whole English voice, one broken voice of each kind, and only broken French ones."""
    models = folder / "models"
    tiny_whisper.install(models)
    tiny_voice.install(models, WHOLE, rate_hz=RATE_HZ)
    for fault in FAULTS:
        broken_voice.install(models, fault, f"en_US-{fault}-low", rate_hz=RATE_HZ)
    french = {"rate_hz": RATE_HZ, "language": "fr_FR", "espeak_voice": "fr"}
    broken_voice.install(models, "nan", "fr_FR-nan-low", **french)
    broken_voice.truncate(tiny_voice.install(models, "fr_FR-truncated-low", **french))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("home")
    install(folder)
    variables = {"EVA_TTS_VOICE": WHOLE, "EVA_TTS_DEVICE": "cpu"}
    async with house(folder, with_models=False, **variables) as home:
        yield home


async def said(home: House, text: str, **fields: object) -> tuple[bytes, SegmentDone]:
    """A text's sound by ``POST /tts``, and who spoke it last."""
    async with spying(home) as spy:
        asked = {"text": text, "format": "pcm", "sample_rate_hz": RATE_HZ, **fields}
        answer = await home.http.post(f"{home.url}/tts", json=asked)
        assert answer.status_code == 200, answer.text
        samples = len(answer.content) // 2
        return answer.content, await spy.hears(SegmentDone, lambda done: done.samples == samples)


def facts_of(health: dict[str, Any]) -> dict[str, Any]:
    """What is said of each voice, by its name."""
    return {fact["model"]: fact for fact in health["stages"]["tts"]["engines"]}


def is_failed(health: dict[str, Any], voice: str) -> bool:
    """Whether it is told that a voice failed; of voices whose worker is not heard nothing is told."""
    return bool(facts_of(health).get(voice, {}).get("state") == "failed")


@pytest.mark.parametrize("fault", FAULTS)
async def test_of_a_voice_that_breaks_every_word_is_heard_from_another_voice_of_the_language(
    home: House, fault: Fault
) -> None:
    promised, by = await said(home, TEXT, voice=WHOLE, language="en", speed=SPEED)
    assert (by.engine, by.model, by.is_degraded) == ("piper", WHOLE, False)
    heard, by = await said(home, TEXT, voice=f"en_US-{fault}-low", language="en", speed=SPEED)
    assert (by.engine, by.model) == ("piper", WHOLE)
    expected = tiny_voice.decode(from_pcm16(promised), RATE_HZ)
    assert len(expected) > 10
    assert tiny_voice.decode(from_pcm16(heard), RATE_HZ) == expected


async def test_where_no_other_voice_is_whole_the_offline_engine_is_heard_and_the_others_go_on(
    home: House,
) -> None:
    usual, by = await said(home, FRENCH, language="fr")
    assert (by.engine, by.model) == ("piper", "fr_FR-nan-low")
    for _ in range(4):
        heard, by = await said(home, FRENCH, language="fr", speed=SPEED)
        assert (by.engine, by.is_degraded) == (espeak.NAME, True)
        assert rms(from_pcm16(heard)) > 0.01
        voice = espeak.load().voice("fr", "")
        assert voice is not None
        alone = sum(len(it.samples) for it in voice.speak(Line(text=FRENCH, speed=SPEED))) / voice.rate_hz
        assert len(heard) / 2 / RATE_HZ == pytest.approx(alone, abs=0.8)
    async with asyncio.timeout(WAIT_S):
        while not is_failed(health := await home.health(), "fr_FR-nan-low"):
            await said(home, FRENCH, language="fr", speed=SPEED)  # it may have had its pause by now
    facts = facts_of(health)
    assert "not finite" in facts["fr_FR-nan-low"]["detail"]
    assert facts[WHOLE]["state"] == "serving"
    assert len(usual) > 0


async def test_a_truncated_voice_is_refused_by_name_and_the_rest_of_the_house_speaks(home: House) -> None:
    health = await home.health_when(lambda health: is_failed(health, "fr_FR-truncated-low"))
    assert "fr_FR-truncated-low.onnx" in facts_of(health)["fr_FR-truncated-low"]["detail"]
