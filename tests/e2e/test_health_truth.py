"""``/health`` says what is: it follows each worker, names a broken file, and no engine pretends a device."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from services.stt.whisper import cuda_devices
from tests.e2e.house import House, house
from tests.fakes.provider import FakeProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SEEN_WITHIN_S = 25.0
"""A net: 3 s is the rule, on a machine that keeps up."""
VOICE = "en_US-tiny-low"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Everything is at its best, so it is healthy."""
    async with (
        FakeProvider() as provider,
        house(tmp_path_factory.mktemp("home"), EVA_LLM_BASE_URL=provider.base_url) as home,
    ):
        yield home


def is_healthy(health: dict[str, Any]) -> bool:
    return bool(health["status"] == "healthy")


def is_without(stage: str) -> Callable[[dict[str, Any]], bool]:
    """Whether nobody of the stage is there."""
    return lambda health: not health["stages"][stage]["workers"]


async def restarted(home: House, name: str, **variables: str) -> None:
    await home[name].stop()
    await home.health_when(is_without(name))
    await home[name].start(**variables)


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
async def test_health_follows_a_worker_that_is_stopped_and_started(home: House, stage: str) -> None:
    await home.health_when(is_healthy)
    assert await home[stage].stop() == 0
    health = await home.health_when(is_without(stage), within_s=SEEN_WITHIN_S)
    assert health["status"] == "unhealthy"
    assert len([reason for reason in health["reasons"] if f"({stage})" in reason]) == 1, "not taken for lost"
    assert (await home.http.get(f"{home.url}/readyz")).status_code == 503
    await home[stage].start()
    await home.health_when(is_healthy)


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
async def test_health_follows_a_worker_that_is_killed_and_tells_of_the_loss(home: House, stage: str) -> None:
    lost = home[stage].worker

    def tells_of_the_loss(health: dict[str, Any]) -> bool:
        return any("was lost" in reason and lost in reason for reason in health["reasons"])

    await home[stage].kill()
    health = await home.health_when(is_without(stage), within_s=SEEN_WITHIN_S)
    assert health["status"] == "unhealthy"
    assert any(f"({stage}) is ready" in reason for reason in health["reasons"])
    assert tells_of_the_loss(health)
    await home[stage].start()
    health = await home.health_when(lambda health: health["status"] != "unhealthy")
    assert health["status"] == "degraded" or not tells_of_the_loss(health)  # it is told for 15 s


async def test_a_paused_voice_is_noticed_though_its_connection_stands(home: House) -> None:
    home["tts"].pause()
    health = await home.health_when(is_without("tts"), within_s=SEEN_WITHIN_S)
    assert health["status"] == "unhealthy"
    home["tts"].resume()
    await home.health_when(lambda health: health["stages"]["tts"]["workers"], within_s=SEEN_WITHIN_S)


@pytest.mark.parametrize("kept_bytes", [0, 1000])
async def test_a_broken_voice_file_is_refused_by_its_name_while_the_offline_voice_serves(
    home: House, kept_bytes: int
) -> None:
    model = home.models_dir / "tts" / VOICE / f"{VOICE}.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:kept_bytes])
    try:
        await restarted(home, "tts")
        health = await home.health_when(lambda health: health["stages"]["tts"]["workers"])
        voice = health["stages"]["tts"]
        assert (voice["engine"], voice["is_degraded"]) == ("espeak-ng", True)
        refused = [fact for fact in voice["engines"] if fact["state"] == "failed"]
        assert [fact["name"] for fact in refused] == ["piper"]
        assert model.name in refused[0]["detail"]
        assert refused[0]["hint"]
        assert any(refused[0]["hint"] in reason for reason in health["reasons"])
        assert model.name in home["tts"].said()
        said = await home.chat("Good morning!")
        assert said["has_audio"]
        assert said["engines"]["tts"]["engine"] == "espeak-ng"
    finally:
        model.write_bytes(whole)
    await restarted(home, "tts")
    health = await home.health_when(lambda health: health["stages"]["tts"]["workers"])
    assert health["stages"]["tts"]["engine"] == "piper"


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has CUDA")
@pytest.mark.parametrize(("stage", "variable"), [("tts2", "EVA_TTS_DEVICE"), ("stt2", "EVA_STT_DEVICE")])
async def test_cuda_that_was_asked_for_and_is_not_there_ends_the_process_with_a_hint(
    home: House, stage: str, variable: str
) -> None:
    refused = await home.start(stage, **{variable: "cuda"})
    assert await refused.wait() == 3
    (line,) = [line for line in refused.said().splitlines() if "worker.refused" in line]
    assert "hint=" in line
    assert f"{variable}=" in line.partition("hint=")[2]
    await home.health_when(lambda health: health["stages"][refused.stage]["workers"] == 1)
    assert refused.worker not in str((await home.health())["reasons"]), (
        "it was never ready, so it is not lost"
    )
