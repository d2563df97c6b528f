"""Typed turns over HTTP: the answer's sound in every format that is offered is a file that plays."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator

import av
import numpy as np
import pytest
import pytest_asyncio

from shared.audio import Samples, from_pcm16
from tests.e2e.house import RATE_HZ, House, house
from tests.e2e.talker import is_audible
from tests.models import tiny_voice

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
FORMATS = ("mp3", "opus", "wav", "pcm")
QUESTION = "What is the day today?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("home")) as home:
        yield home


def decoded(audio: bytes, form: str) -> tuple[Samples, int]:
    """Plays a file as any player would; returns samples and rate."""
    if form == "pcm":
        return from_pcm16(audio), RATE_HZ
    resampler = av.AudioResampler(format="flt", layout="mono")
    with av.open(io.BytesIO(audio)) as container:
        pieces = [
            out.to_ndarray().reshape(-1)
            for frame in container.decode(audio=0)
            for out in resampler.resample(frame)
        ]
        return np.concatenate(pieces), container.streams.audio[0].rate


@pytest.mark.parametrize("form", FORMATS)
async def test_a_typed_turn_brings_text_and_sound_in_one_request(home: House, form: str) -> None:
    said = await home.chat("Good morning!", format=form, sample_rate_hz=RATE_HZ)
    assert said["response"].startswith("Hello! I'm EVA.")
    assert (said["has_audio"], said["audio_format"]) == (True, form)
    samples, rate_hz = decoded(base64.b64decode(said["audio_base64"]), form)
    assert rate_hz == said["sample_rate_hz"]
    assert is_audible(samples)
    assert 1000 * len(samples) / rate_hz == pytest.approx(said["timeline"]["audio_ms"], abs=120)
    assert tiny_voice.decode(samples, rate_hz)[:4] == ["h", "ə", "l", "o"]
    assert said["timeline"]["response_ms"] == said["latency_ms"] <= said["total_request_ms"]
    assert said["engines"]["tts"]["engine"] == "piper"


@pytest.mark.parametrize("form", FORMATS)
async def test_a_text_is_spoken_as_a_stream(home: House, form: str) -> None:
    wish = {"text": "Hello there. " * 40, "format": form, "sample_rate_hz": RATE_HZ}
    async with home.http.stream("POST", f"{home.url}/tts", json=wish) as answer:
        assert answer.status_code == 200
        assert answer.headers["x-eva-engine"] == "piper"
        pieces = [piece async for piece in answer.aiter_raw()]
    assert len(pieces) > 5
    samples, rate_hz = decoded(b"".join(pieces), form)
    assert is_audible(samples)
    heard = "".join(tiny_voice.decode(samples, rate_hz))
    assert heard.count("həlo") == 40


async def test_a_turn_without_sound_makes_none(home: House) -> None:
    said = await home.chat("Good morning!", include_audio=False)
    assert (said["has_audio"], said["audio_base64"], said["audio_format"]) == (False, None, None)
    assert said["response"]
    assert "tts" not in said["engines"]
