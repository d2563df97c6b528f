"""Clients that hand events on as they are: one way to talk by each of them, and to hear what it gave on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from services.gateway.realtime import formats
from services.gateway.realtime.session_types import Pcmu
from shared.audio import from_pcm16
from tests.clients import node
from tests.clients.place import RATE_HZ, WAIT_S, Place, ended
from tests.e2e.realtime_talker import Event, Recorder
from tests.fakes.speech import Pcm, resampled, silence

FRAME_S = 0.02
BIG = 1 << 24
"""Of a line: a client's frames are shorter."""


class Wire(Protocol):
    """How events leave by a client."""

    async def send(self, event: Event) -> None:
        """Sends one event."""


@dataclass
class Speaker(Recorder):
    """Somebody who talks by any of these clients; every frame is judged as it comes."""

    wire: Wire = field(kw_only=True)

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends an event."""
        await self.wire.send({"type": kind, **fields})

    async def configure(self, **session: Any) -> Event:
        """Updates the session; returns what is in force then."""
        count = len(self.of("session.updated"))
        await self.send("session.update", session={"type": "realtime", **session})
        updated: Event = (await self.hears("session.updated", count=count + 1))["session"]
        return updated

    async def ask(self, text: str, **response: Any) -> Event:
        """A typed turn to its end; returns the response."""
        count = len(self.of("response.done"))
        await self.begin(text, **response)
        return await self.done(count + 1)

    async def begin(self, text: str, **response: Any) -> None:
        """Types something, and asks for a response."""
        content = [{"type": "input_text", "text": text}]
        await self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content}
        )
        await self.send("response.create", response=response)

    async def until_closed(self) -> None:
        """Waits for the end of the connection."""
        async with self._news, asyncio.timeout(WAIT_S):
            await self._news.wait_for(lambda: self.is_closed)

    async def done(self, count: int = 1) -> Event:
        """Returns the ``count``-th response to end."""
        done: Event = (await self.hears("response.done", count=count))["response"]
        return done

    async def say(self, pcm: Pcm, *, is_mulaw: bool = False, silence_s: float = 1.5) -> None:
        """Speaks (16 kHz) in frames of 20 ms as time goes, then is silent."""
        rate_hz = 8000 if is_mulaw else RATE_HZ
        sound = resampled(np.concatenate([pcm, silence(silence_s)]), 16000, rate_hz)
        due_s, size = time.monotonic(), int(rate_hz * FRAME_S)
        for start in range(0, len(sound), size):
            data = sound[start : start + size].astype("<i2").tobytes()
            data = formats.compress(Pcmu(), data) if is_mulaw else data
            await self.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def pcm(self, response_id: str, *, is_mulaw: bool = False) -> Any:
        """The samples of a response."""
        sound = self.sound(response_id)
        return from_pcm16(formats.expand(Pcmu(), sound) if is_mulaw else sound)


@dataclass
class Socket:
    """The ``websockets`` package."""

    connection: ClientConnection

    async def send(self, event: Event) -> None:
        """Sends one event."""
        await self.connection.send(json.dumps(event))


@dataclass
class Line:
    """A client in Node, one event a line."""

    process: Process

    async def send(self, event: Event) -> None:
        """Sends one event."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(event).encode() + b"\n")
        await self.process.stdin.drain()


@contextlib.asynccontextmanager
async def by_websockets(
    place: Place, folder: Path, url: str | None = None, *, session_id: str = ""
) -> AsyncIterator[Speaker]:
    """By the ``websockets`` package."""
    address = f"{(url or place.url).replace('http', 'ws', 1)}/realtime?model=gpt-realtime"
    if session_id:
        address += f"&session_id={session_id}"
    async with connect(address, additional_headers={"Authorization": f"Bearer {place.key}"}) as connection:
        somebody = Speaker(wire=Socket(connection))

        async def listen() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await somebody.take(str(await connection.recv()))
            await somebody.close()

        async with _listening(somebody, listen()):
            yield somebody


@contextlib.asynccontextmanager
async def by_openai_node(place: Place, folder: Path, url: str | None = None) -> AsyncIterator[Speaker]:
    """By the ``openai`` package of npm."""
    async with _by_node(place, node.workplace(folder, has_packages=True), "openai_node.mjs", url) as somebody:
        yield somebody


@contextlib.asynccontextmanager
async def by_plain_javascript(place: Place, folder: Path) -> AsyncIterator[Speaker]:
    """By Node's own WebSocket."""
    async with _by_node(place, node.workplace(folder, has_packages=False), "plain_socket.mjs") as somebody:
        yield somebody


@contextlib.asynccontextmanager
async def _by_node(place: Place, folder: Path, script: str, url: str | None = None) -> AsyncIterator[Speaker]:
    process = await asyncio.create_subprocess_exec(
        "node", *node.flags(), script, cwd=folder, env=place.environment(url), stdin=PIPE, stdout=PIPE,
        limit=BIG,
    )  # fmt: skip
    somebody = Speaker(wire=Line(process))

    async def listen() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            await somebody.take(line.decode())
        await somebody.close()

    try:
        async with _listening(somebody, listen()):
            yield somebody
    finally:
        await ended(process)


@contextlib.asynccontextmanager
async def _listening(somebody: Speaker, listen: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(listen)
    try:
        await somebody.hears("session.created")
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not somebody.broken, somebody.broken
