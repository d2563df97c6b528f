"""``POST /stt`` on real processes: gateway, broker, workers, voice activity and engines that hear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from shared.messages import Facts, FileDone, FileSegment
from tests.e2e.house import WAIT_S, House, house, install_models
from tests.e2e.spy import spying
from tests.fakes.recordings import CONTAINERS, packed
from tests.fakes.speech import Pcm, noise, silence, speech
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = "my name is john and i live in london"
SPOKEN = np.concatenate([silence(0.4), speech(SAID), silence(0.8)])
REPEATS = 60
LONG = packed(np.tile(SPOKEN, REPEATS), "flac")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house without models: its ears are the offline engine, which hears words."""
    folder = tmp_path_factory.mktemp("home")
    async with house(folder, with_models=False, EVA_STT_SLOTS="8") as home:
        yield home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house whose ears are a small Whisper model that knows one phrase: quick, and the same each time."""
    async with house(tmp_path_factory.mktemp("quick"), EVA_STT_SLOTS="8") as home:
        yield home


async def ask(home: House, data: bytes, **wishes: str) -> httpx.Response:
    return await home.http.post(
        f"{home.url}/stt", content=data, params=wishes, headers={"content-type": "audio/wav"}
    )


async def patiently(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Asks, and comes again where it is told to: the worker may have been kept waiting."""
    async with asyncio.timeout(WAIT_S):
        while (answer := await ask()).status_code == 503:  # noqa: ASYNC110 - as it was told
            await asyncio.sleep(float(answer.headers["retry-after"]))
    return answer


async def transcribe(home: House, data: bytes, **wishes: str) -> httpx.Response:
    return await patiently(lambda: ask(home, data, **wishes))


async def heard(home: House, data: bytes) -> dict[str, Any]:
    answer = await transcribe(home, data, words="true")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def understood(text: str) -> int:
    """How many words of what was said."""
    return len(set(SAID.split()) & set(text.split()))


@pytest.mark.parametrize("kind", ["wav", "opus in webm"])
async def test_words_are_found_in_a_recording_whatever_it_says_it_is(home: House, kind: str) -> None:
    answer = await transcribe(home, packed(SPOKEN, kind))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert understood(body["text"]) > 5, body["text"]
    assert (body["engine"], body["device"], body["is_degraded"], body["language"]) == (
        "sphinx", "cpu", True, "en",
    )  # fmt: skip
    assert body["duration_ms"] == pytest.approx(len(SPOKEN) / 16, abs=130)
    assert body["segments"][0]["start_ms"] == pytest.approx(400, abs=250)
    assert body["decode_ms"] > 0 < body["transcribe_ms"]


async def test_a_form_gives_subtitles(home: House) -> None:
    video = packed(SPOKEN, "mp4", has_video=True)
    answer = await patiently(
        lambda: home.http.post(
            f"{home.url}/stt",
            files={"file": ("holiday.mp4", video)},
            data={"response_format": "srt", "language": "en"},
        )
    )
    assert answer.status_code == 200, answer.text
    assert answer.text.startswith("1\n00:00:00,")
    assert understood(answer.text) > 5


@pytest.mark.parametrize(
    "pcm", [silence(30), noise(10, sigma=300), silence(0.01)], ids=["silence", "noise", "next to nothing"]
)
async def test_where_nobody_speaks_the_text_is_empty(home: House, pcm: Pcm) -> None:
    answer = await transcribe(home, packed(pcm))
    assert (answer.status_code, answer.json()["text"], answer.json()["segments"]) == (200, "", [])


async def test_what_is_no_recording_is_422_and_a_language_that_nobody_knows_too(home: House) -> None:
    assert (await transcribe(home, b"no recording at all")).json()["error"]["code"] == "unreadable_audio"
    answer = await transcribe(home, packed(SPOKEN), language="fr")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unsupported_language")
    await home.health_when(lambda health: health["stages"]["stt"]["busy"] == 0)


async def test_a_client_that_leaves_frees_the_slot(home: House) -> None:
    async with spying(home) as spy:
        request = asyncio.create_task(ask(home, LONG))
        await spy.hears(Facts, lambda facts: facts.stage == "stt" and facts.busy > 0)
        request.cancel()
        before = len(spy.of(Facts))
        await spy.until(
            lambda: any(facts.stage == "stt" and facts.busy == 0 for facts in spy.of(Facts)[before:]),
            what="a free slot",
        )
        assert spy.of(FileDone) == []


async def test_a_worker_killed_in_mid_file_is_replaced_and_the_text_is_complete(home: House) -> None:
    """The first is the offline engine, which is long at it; the second hears by the small model."""
    victim = home["stt"]
    async with spying(home) as spy:
        request = asyncio.create_task(ask(home, LONG))
        await spy.hears(FileSegment)
        install_models(home.folder)
        second = await home.start("stt2")
        await spy.sees_ready(second.worker)
        await victim.kill()
        assert spy.of(FileDone) == []
        answer = await request
        await spy.hears(FileSegment, count=REPEATS + 1)  # what the first had told is not told twice
    assert answer.status_code == 200, answer.text
    assert [segment["text"] for segment in answer.json()["segments"]] == [PHRASES[0]] * REPEATS


async def test_every_container_is_heard_by_the_model_of_the_sessions(quick: House) -> None:
    for kind in CONTAINERS:
        body = await heard(quick, packed(SPOKEN, kind))
        assert (body["text"], body["engine"], body["language"]) == (PHRASES[0], "whisper", "en"), kind


async def test_nobody_there_is_503_at_once(quick: House) -> None:
    stopped = [
        service for service in quick.services.values() if service.stage == "stt" and service.is_running
    ]
    for service in stopped:
        await service.stop()
    began = time.monotonic()
    answer = await ask(quick, packed(SPOKEN))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_ears")
    assert "retry-after" in answer.headers
    assert time.monotonic() - began < WAIT_S / 2, "it was waited for"
