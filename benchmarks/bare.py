"""The peer for sound both ways: a FastAPI WebSocket that does nothing else.

    python -m benchmarks.bare PORT SECONDS

Takes binary frames; at a text message it sends 20 ms of sound 50 times a second for so many seconds, then
a last text message.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

PIECE = b"\1\0" * 480
PIECE_S = 0.02

app = FastAPI()


@app.websocket("/ws/chat")
async def chat(socket: WebSocket) -> None:
    """One session."""
    await socket.accept()
    await socket.send_text('{"type":"ready"}')

    async def speak() -> None:
        began = time.perf_counter()
        for number in range(int(float(sys.argv[2]) / PIECE_S)):
            await asyncio.sleep(max(0.0, began + number * PIECE_S - time.perf_counter()))
            await socket.send_text('{"type":"audio"}')
            await socket.send_bytes(PIECE)
        await socket.send_text('{"type":"turn_done","turn_id":"1"}')

    with contextlib.suppress(WebSocketDisconnect):
        async with asyncio.TaskGroup() as tasks:
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                if "end_of_speech" in (message.get("text") or ""):
                    tasks.create_task(speak())


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        ws="websockets-sansio",
        loop="uvloop",
        http="httptools",
        log_level="error",
        ws_per_message_deflate=False,
    )
