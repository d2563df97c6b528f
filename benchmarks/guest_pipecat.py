"""One scenario by ``pipecat-ai``, in its own environment: ``python guest_pipecat.py FEATURE``.

Its ``OpenAIRealtimeLLMService`` stands in a pipeline. As ``guest_livekit.py``: prints one JSON object of what
it got.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import wave
from collections.abc import Callable
from typing import Any

from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

LISTENING = events.AudioInput(
    transcription=events.InputAudioTranscription(),
    turn_detection=events.TurnDetection(silence_duration_ms=500),
)
SKY = FunctionSchema("sky", "Says what colour the sky is.", {"place": {"type": "string"}}, ["place"])


class Ear(FrameProcessor):  # type: ignore[misc] # of the other environment
    """Writes down what passes, in one direction or the other."""

    def __init__(self, told: dict[str, Any], news: asyncio.Event) -> None:
        super().__init__()
        self._told, self._news = told, news

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes one frame, and hands it on."""
        await super().process_frame(frame, direction)
        told = self._told
        match frame:
            case TTSAudioRawFrame():
                told["samples"] += len(frame.audio) // 2
            case LLMTextFrame():
                told["text"] += frame.text
            case TranscriptionFrame():
                told["heard"].append(frame.text)
            case LLMFullResponseEndFrame():
                told["ends"] += 1
            case InterruptionFrame():
                told["interruptions"] += 1
            case ErrorFrame():
                told["errors"].append(frame.error)
            case _:
                pass
        self._news.set()
        await self.push_frame(frame, direction)


class Guest:
    """A pipeline with the service in it."""

    def __init__(self, feature: str) -> None:
        self.told: dict[str, Any] = {
            "samples": 0, "text": "", "heard": [], "ends": 0, "interruptions": 0, "errors": [],
            "is_over": False,
        }  # fmt: skip
        self.news = asyncio.Event()
        url, key = os.environ["OPENAI_BASE_URL"].replace("http", "ws", 1), os.environ["OPENAI_API_KEY"]
        properties = events.SessionProperties(
            audio=events.AudioConfiguration(input=LISTENING),
            output_modalities=["text" if feature == "text only" else "audio"],
        )
        self.service = OpenAIRealtimeLLMService(
            api_key=key, base_url=f"{url}/realtime",
            settings=OpenAIRealtimeLLMService.Settings(session_properties=properties),
        )  # fmt: skip
        self.service.register_function("sky", self._sky)
        asked = [] if feature == "spoken turn" else [{"role": "user", "content": "What time is it?"}]
        tools = {"tools": ToolsSchema(standard_tools=[SKY])} if feature == "tools" else {}
        context = LLMContext(asked, **tools)
        pair = LLMContextAggregatorPair(context)
        before, behind = Ear({**self.told, "errors": []}, self.news), Ear(self.told, self.news)
        before._told["heard"] = self.told["heard"]  # noqa: SLF001 - transcripts go upstream
        before._told["errors"] = self.told["errors"]  # noqa: SLF001 - errors too
        self.worker = PipelineWorker(
            Pipeline([pair.user(), before, self.service, behind, pair.assistant()]), idle_timeout_secs=None
        )

    async def _sky(self, params: Any) -> None:
        await params.result_callback(f"blue over {params.arguments['place']}")

    async def until(self, holds: Callable[[], object]) -> None:
        """Waits until something is so."""
        while not holds():
            self.news.clear()
            await self.news.wait()

    async def say(self) -> None:
        """Speaks the question as time goes, and is then silent, as a microphone is."""
        with wave.open(os.environ["QUESTION"], "rb") as file:
            pcm = file.readframes(file.getnframes())
        for start in itertools.count(0, 960):
            frame = pcm[start : start + 960].ljust(960, b"\0")
            await self.worker.queue_frame(InputAudioRawFrame(frame, 24000, 1))
            await asyncio.sleep(0.02)

    async def mistake(self) -> None:
        """Asks for an item that is not there: of all errors but two the service ends at once, by design."""
        try:
            await self.service.retrieve_conversation_item("none")
        except Exception as error:  # noqa: BLE001 - the service raises no class of its own
            self.told["errors"].append(str(error))

    async def play(self, feature: str) -> None:
        """Plays the scenario."""
        told = self.told
        if feature == "spoken turn":
            saying = asyncio.create_task(self.say())
            await self.until(lambda: told["ends"] >= 1 and told["heard"])
            saying.cancel()
            return
        await self.worker.queue_frame(LLMRunFrame())
        if feature == "streaming sound":
            await self.until(lambda: told["samples"])
        elif feature == "barge-in":
            await self.until(lambda: told["samples"])
            await asyncio.sleep(1.5)
            saying = asyncio.create_task(self.say())
            await self.until(lambda: told["heard"] and told["text"].endswith("noon."))
            saying.cancel()
        elif feature == "errors":
            await self.until(lambda: told["ends"] == 1)
            await self.mistake()
            saying = asyncio.create_task(self.say())
            await self.until(lambda: told["ends"] == 2)
            saying.cancel()
        elif feature == "tools":
            await self.until(lambda: "noon" in told["text"])
        else:
            await self.until(lambda: told["ends"] >= 1)


async def main(feature: str) -> None:
    """Runs it, and says what came of it."""
    guest = Guest(feature)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(guest.worker)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(90):
            await guest.play(feature)
        guest.told["is_over"] = True
    finally:
        sys.stdout.write(json.dumps({**guest.told, "is_running": not running.done()}) + "\n")
        sys.stdout.flush()
        os._exit(0)  # how the framework ends its own tasks is not the subject


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
