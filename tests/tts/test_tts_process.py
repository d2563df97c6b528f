from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from services.tts import device, piper
from shared import subjects
from shared.audio import from_pcm16
from shared.bus import Bus
from shared.messages import AnyMessage, AudioChunk, AudioFormat, Cancel, Facts, SegmentDone, Synthesize
from shared.queues import TTS_WORK
from tests.conftest import NatsServer
from tests.models import tiny_voice

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
TEXT = "Hello there, this is a test of the voice today."


@contextlib.asynccontextmanager
async def tts_process(
    server: NatsServer, data_dir: Path, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EVA_")} | {
        **server.environment,
        "EVA_DATA_DIR": str(data_dir),
        "EVA_TTS_DEVICE": "cpu",
        "EVA_TTS_THREADS": "1",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.tts", cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Gateway:
    """Listens as a gateway would."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.heard: list[AnyMessage] = []
        self.facts: list[Facts] = []
        self.news = asyncio.Event()

    def take(self, _subject: str, message: AnyMessage) -> None:
        if isinstance(message, Facts):
            self.facts.append(message)
        else:
            self.heard.append(message)
        self.news.set()

    async def until(self, is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not is_so():
                self.news.clear()
                await self.news.wait()

    def done_turns(self) -> set[int]:
        return {message.turn for message in self.heard if isinstance(message, SegmentDone)}

    async def speak(self, text: str, turn: int) -> None:
        item = Synthesize(
            gw="gw", sid="sid", turn=turn, attempt=1, segment=0, text=text, remaining_ms=60_000,
            audio=AudioFormat(rate_hz=22050), language="en",
        )  # fmt: skip
        await self.bus.enqueue(subjects.work("tts", "gw", "sid"), item, message_id=f"sid:{turn}")


@contextlib.asynccontextmanager
async def gateway(server: NatsServer) -> AsyncIterator[Gateway]:
    bus = await server.connect("gateway")
    listener = Gateway(bus)
    await bus.subscribe(subjects.events_of_gateway("gw"), listener.take)
    await bus.subscribe(subjects.FACTS_ALL, listener.take)
    try:
        yield listener
    finally:
        await bus.close()


async def test_the_process_says_the_words_stops_when_cancelled_and_drains(
    nats_server: NatsServer, tiny_voices: Path
) -> None:
    async with gateway(nats_server) as desk, tts_process(nats_server, tiny_voices) as process:
        await desk.until(lambda: desk.facts and desk.facts[-1].state == "ready")
        assert [fact.model for fact in desk.facts[-1].engines if fact.state == "serving"] == [
            "en_US-tiny-low", "fr_FR-tiny-low",
        ]  # fmt: skip
        await desk.bus.declare(TTS_WORK)
        await desk.speak(f"**{TEXT}**", turn=1)
        await desk.until(lambda: 1 in desk.done_turns())
        chunks = [message for message in desk.heard if isinstance(message, AudioChunk)]
        assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
        audio = from_pcm16(b"".join(chunk.data for chunk in chunks))
        model = tiny_voices / "models" / "tts" / "en_US-tiny-low" / "en_US-tiny-low.onnx"
        vits = piper.load_voice(model, device="cpu", threads=1).vits
        phonemes = [phoneme for sentence in vits.phonemize(TEXT) for phoneme in sentence]
        as_loud_as_made = audio / np.abs(audio).max() * 0.64  # the worker makes all voices equally loud
        assert tiny_voice.decode(as_loud_as_made, 22050) == tiny_voice.sounding(phonemes)
        assert np.abs(audio).max() < 1.0

        await desk.bus.publish(subjects.cancel("gw", "sid"), Cancel(sid="sid", turn=2))
        await desk.speak(TEXT, turn=3)  # work comes on another connection, and may overtake a cancel
        await desk.until(lambda: 3 in desk.done_turns())
        await desk.speak(TEXT, turn=2)
        await desk.speak(TEXT, turn=4)
        await desk.until(lambda: 4 in desk.done_turns())
        assert 2 not in {message.turn for message in desk.heard if isinstance(message, AudioChunk)}

        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.mark.skipif(device.cuda_is_listed(), reason="this machine has CUDA")
async def test_the_process_refuses_to_start_without_the_cuda_that_was_asked_for(
    nats_server: NatsServer, tiny_voices: Path
) -> None:
    async with tts_process(nats_server, tiny_voices, EVA_TTS_DEVICE="cuda") as process:
        _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 3
    assert b"no CUDA" in errors
    assert b"EVA_TTS_DEVICE=cpu" in errors
