"""The peer of ``benchmarks.edge``: an echo through Pipecat's own FastAPI transport, in its own environment.

    python benchmarks/edge_pipecat.py PORT stock|tuned

``stock`` is what its documentation has one write: its transport, its protobuf serializer, uvicorn as it
starts by itself; only, frames of 20 ms leave as they came (by default it gathers 40), and its log is quiet.
``tuned`` is what can be done without changing Pipecat: sound as it is instead of protobuf, uvloop, httptools,
uvicorn's newer WebSocket, no compression, a frozen garbage collector, no observers.
"""

# mypy: ignore-errors
# Pipecat is installed where this runs, not where it is checked.

from __future__ import annotations

import gc
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

RATE_HZ = 24_000
IS_TUNED = sys.argv[2] == "tuned"
TUNED: dict[str, Any] = {
    "ws": "websockets-sansio",
    "loop": "uvloop",
    "http": "httptools",
    "ws_per_message_deflate": False,
}
STOCK: dict[str, Any] = {"loop": "asyncio", "http": "h11"}
"""As uvicorn finds it where nothing else was installed."""
QUIET: dict[str, Any] = {"enable_turn_tracking": False, "enable_rtvi": False}


class Echo(FrameProcessor):
    """Gives back what it hears."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes one frame."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


class Raw(FrameSerializer):
    """Sound as it is."""

    async def serialize(self, frame: Frame) -> bytes | None:
        """Returns a frame's samples."""
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Returns samples as a frame."""
        return InputAudioRawFrame(data, RATE_HZ, 1) if isinstance(data, bytes) else None


app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    """One session."""
    await websocket.accept()
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_10ms_chunks=2,
            serializer=Raw() if IS_TUNED else ProtobufFrameSerializer(),
        ),
    )
    worker = PipelineWorker(
        Pipeline([transport.input(), Echo(), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        **(QUIET if IS_TUNED else {}),
    )

    @transport.event_handler("on_client_disconnected")
    async def gone(_transport: object, _socket: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    if IS_TUNED:
        gc.collect()
        gc.freeze()
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", **(TUNED if IS_TUNED else STOCK))
