"""Where clients meet EVA: a house that asks for keys, a provider that says what it should, a cable to cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import wave
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from shared.audio import from_pcm16
from tests.clients import node
from tests.e2e.house import House
from tests.e2e.talker import is_audible
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import resampled, silence, speech
from tests.models.tiny_whisper import PHRASES

RATE_HZ = 24000
WAIT_S = 120.0
"""A net against "never", not a bound."""
QUESTION = PHRASES[0]
"""What the small ears hear in any speech."""
ANSWER = "All right. It is noon."
SAID = Reply(tokens=("All", " right", ".", " It", " is", " noon", "."))


@dataclass
class Place:
    """What a test of a client needs."""

    home: House
    provider: FakeProvider
    key: str = field(repr=False)

    @property
    def url(self) -> str:
        """As clients want it."""
        return f"{self.home.url}/v1"

    def will(self, *replies: Reply) -> None:
        """Says how the model answers from now on."""
        self.provider.replies = list(replies)
        self.provider.questions.clear()

    @property
    def told(self) -> list[tuple[str, str]]:
        """What the model was told with the newest question, behind its instructions."""
        messages = self.provider.questions[-1].body["messages"]
        return [(each["role"], each["content"]) for each in messages if each["role"] != "system"]

    def environment(self, url: str | None = None) -> dict[str, str]:
        """For a client's process."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("EVA_", "OPENAI_"))}
        return {
            **kept,
            "OPENAI_BASE_URL": url or self.url,
            "OPENAI_API_KEY": self.key,
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
        }

    async def run(self, folder: Path, *command: str) -> str:
        """Runs a client to its end; returns what it said."""
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=self.environment(), stdin=asyncio.subprocess.DEVNULL, stdout=PIPE,
            stderr=PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(WAIT_S):
                out, told = await process.communicate()
        finally:
            await ended(process)
        assert process.returncode == 0, f"{told.decode()}\n{out.decode()}\n{self.home.logs()}"
        return out.decode()

    async def python(self, folder: Path, name: str, *arguments: str) -> str:
        """Runs one of the snippets in Python."""
        return await self.run(folder, sys.executable, str(node.SNIPPETS / "python" / name), *arguments)

    async def node(self, folder: Path, name: str, *arguments: str) -> str:
        """Runs one of the snippets in JavaScript, in a folder that is a ``workplace``."""
        return await self.run(folder, "node", *node.flags(), name, *arguments)


async def ended(process: Process) -> None:
    """Ends a process if it has not ended."""
    if process.returncode is None:
        process.kill()
        await process.wait()


@dataclass
class Cable:
    """A TCP connection to EVA that can be cut: what goes in at one end comes out at the other."""

    port: int = 0
    taken: int = 0
    """Connections so far."""
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def cut(self) -> None:
        """Resets every connection, in both directions."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()


@contextlib.asynccontextmanager
async def cable(url: str) -> AsyncIterator[Cable]:
    """A cable to EVA."""
    port = urlsplit(url).port
    assert port is not None
    made = Cable()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def plug(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        made.taken += 1
        made._open += [writer, back]
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(plug, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await server.wait_closed()


def question(folder: Path) -> Path:
    """Writes a spoken question as clients are to have it: 24 kHz, mono, 16 bit."""
    file = folder / "question.wav"
    said = np.concatenate([silence(0.3), speech(QUESTION), silence(0.5)])
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        out.writeframes(resampled(said, 16000, RATE_HZ).tobytes())
    return file


def hears(pcm: bytes, rate_hz: int = RATE_HZ) -> None:
    """Fails unless these samples are a spoken answer: audible, and neither a click nor endless."""
    sound = from_pcm16(pcm)
    assert is_audible(sound)
    assert 0.3 < len(sound) / rate_hz < 20


def hears_file(file: Path) -> None:
    """Fails unless a WAV of 16 bit is a spoken answer."""
    data = file.read_bytes()
    start = data.index(b"data") + 8
    rate_hz = int.from_bytes(data[24:28], "little")
    hears(data[start : start + (len(data) - start) // 2 * 2], rate_hz)
