"""A client that only measures: one socket, one turn at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

FRAME_S = 0.02


@dataclass
class Turn:
    """What one turn took, milliseconds since its start."""

    first_audio_ms: float
    total_ms: float
    done: dict[str, Any] = field(default_factory=dict)


class Talker:
    """One session."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def typed(self, text: str) -> Turn:
        """Asks, and listens to the end; says then that it has played everything, so that nothing is cut."""
        began = time.perf_counter()
        await self._socket.send(json.dumps({"type": "message", "text": text}))
        return await self.answer(began)

    async def answer(self, began: float) -> Turn:
        """Waits for the answer of the turn that was begun."""
        first_ms = 0.0
        async with asyncio.timeout(60):
            async for message in self._socket:
                now_ms = 1000 * (time.perf_counter() - began)
                if isinstance(message, bytes):
                    first_ms = first_ms or now_ms
                    continue
                event = json.loads(message)
                if event["type"] == "turn_done":
                    turn = Turn(first_ms, now_ms, event)
                    break
                if event["type"] == "error":
                    raise RuntimeError(message)
        played = {"type": "played", "turn_id": turn.done["turn_id"], "ms": 10_000_000}
        await self._socket.send(json.dumps(played))
        return turn

    async def send(self, message: str | bytes) -> None:
        """Sends one message."""
        await self._socket.send(message)

    async def speak(self, pcm: bytes, rate_hz: int) -> None:
        """Sends sound in 20 ms frames, in real time."""
        size = 2 * int(rate_hz * FRAME_S)
        began = time.perf_counter()
        for number, start in enumerate(range(0, len(pcm) - size + 1, size)):
            await asyncio.sleep(max(0.0, began + number * FRAME_S - time.perf_counter()))
            await self._socket.send(pcm[start : start + size])


@contextlib.asynccontextmanager
async def talker(url: str, start: dict[str, Any]) -> AsyncIterator[Talker]:
    """Opens a session and waits until it is ready."""
    async with connect(url, compression=None, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps({"type": "start", **start}))
        while json.loads(await socket.recv())["type"] != "ready":
            pass
        yield Talker(socket)


async def connect_ms(url: str) -> tuple[float, float]:
    """Returns how long the socket took to open, and until the session was ready."""
    began = time.perf_counter()
    async with connect(url, compression=None, proxy=None) as socket:
        opened = 1000 * (time.perf_counter() - began)
        await socket.send(json.dumps({"type": "start"}))
        while json.loads(await socket.recv())["type"] != "ready":
            pass
        return opened, 1000 * (time.perf_counter() - began)
