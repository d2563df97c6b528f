"""``POST /tts`` through a real server."""

import asyncio
import wave
from io import BytesIO

import httpx
import pytest

from tests.fakes.gateway import RunningGateway
from tests.fakes.workers import tone


@pytest.mark.parametrize(
    ("form", "mime", "start"),
    [
        ("mp3", "audio/mpeg", b""),
        ("opus", "audio/ogg", b"OggS"),
        ("wav", "audio/wav", b"RIFF"),
        ("pcm", "audio/pcm", b""),
        ("aac", "audio/aac", b""),
        ("flac", "audio/flac", b"fLaC"),
        ("mulaw", "audio/PCMU;rate=16000", b""),
        ("alaw", "audio/PCMA;rate=16000", b""),
        ("opus_packets", "application/octet-stream", b""),
    ],
)
async def test_the_sound_has_the_asked_format(
    gateway: RunningGateway, form: str, mime: str, start: bytes
) -> None:
    response = await gateway.http.post(
        "/tts", json={"text": "Hello", "format": form, "sample_rate_hz": 16000}
    )
    assert (response.status_code, response.headers["content-type"]) == (200, mime)
    assert response.content.startswith(start)
    assert response.headers["x-eva-engine"] == "piper"
    assert response.headers["x-eva-device"] == "cpu"
    if form in {"pcm", "mp3"}:
        assert response.content == tone(16000, 200, 0.3)
    if form == "wav":
        with wave.open(BytesIO(response.content)) as file:
            assert file.getframerate() == 16000


async def test_the_format_is_mp3_if_nothing_is_said(gateway: RunningGateway) -> None:
    response = await gateway.http.post("/tts", json={"text": "Hello"})
    assert response.headers["content-type"] == "audio/mpeg"
    assert gateway.workers.synthesized[0].audio.codec == "mp3"


async def test_voice_speed_and_language_reach_the_voice_and_no_mind_is_asked(gateway: RunningGateway) -> None:
    asked = {"text": "Bonjour", "voice": "siwis", "speed": 1.5, "language": "fr"}
    await gateway.http.post("/tts", json=asked)
    work = gateway.workers.synthesized[0]
    assert (work.text, work.voice, work.speed, work.language) == ("Bonjour", "siwis", 1.5, "fr")
    assert gateway.workers.generated == []


async def test_the_sound_is_sent_while_it_is_being_made(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    async with gateway.http.stream("POST", "/tts", json={"text": "Hello", "format": "pcm"}) as response:
        pieces = response.aiter_raw()
        async with asyncio.timeout(60):
            first = await anext(pieces)
        assert 0 < len(first) < len(tone(24000, 200, 0.3))
        gateway.workers.faults.gate.set()
        assert first + b"".join([piece async for piece in pieces]) == tone(24000, 200, 0.3)


async def test_a_failure_before_the_first_sound_is_an_ordinary_error(gateway: RunningGateway) -> None:
    gateway.workers.faults.voice_fails = "engine_failed"
    response = await gateway.http.post("/tts", json={"text": "Hello"})
    assert (response.status_code, response.json()["error"]["code"]) == (502, "tts_failed")


async def test_a_failure_behind_it_breaks_the_connection_off(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    async with gateway.http.stream("POST", "/tts", json={"text": "Hello"}) as response:
        pieces = response.aiter_raw()
        await anext(pieces)
        gateway.workers.faults.voice_fails = "engine_failed"
        gateway.workers.faults.gate.set()
        with pytest.raises(httpx.RemoteProtocolError):
            [piece async for piece in pieces]


async def test_a_client_that_leaves_has_the_speech_cancelled(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    async with gateway.http.stream("POST", "/tts", json={"text": "Hello"}) as response:
        await anext(response.aiter_raw())
    async with asyncio.timeout(60):
        await gateway.workers.cancelled.wait()
    await gateway.until(lambda: gateway.door.sessions == 0)


BAD = [
    (b"", None),
    (b"{}", "text"),
    (b'{"text": ""}', "text"),
    (b'{"text": ["a"]}', "text"),
    (b'{"text": "' + b"x" * 5000 + b'"}', "text"),
    (b'{"text": "\xc3("}', None),
    (b'{"text": "a", "format": "midi"}', "format"),
    (b'{"text": "a", "speed": 0.2}', "speed"),
    (b'{"text": "a", "speed": 5}', "speed"),
    (b'{"text": "a", "speed": "fast"}', "speed"),
    (b'{"text": "a", "speed": NaN}', None),
    (b'{"text": "a", "speed": 1e999}', "speed"),
    (b'{"text": "a", "sample_rate_hz": 1}', "sample_rate_hz"),
    (b'{"text": ' + b"[" * 60_000, "text"),
    (b'{"x": ' + b"[" * 60_000, None),
]


async def test_bad_input_is_400_and_names_the_field(gateway: RunningGateway) -> None:
    for body, param in BAD:
        response = await gateway.http.post("/tts", content=body)
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", param), body[
            :50
        ]
    assert (await gateway.http.post("/tts", json={"text": "Hello"})).status_code == 200
