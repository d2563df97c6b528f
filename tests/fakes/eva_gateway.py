"""A gateway that answers by a script, for what a real one would have to be broken to do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from services.gateway.chat_protocol import (
    AnyClientMessage,
    AudioEvent,
    EndOfSpeech,
    EngineReport,
    FinalEvent,
    Flush,
    Interrupt,
    PartialEvent,
    Played,
    Ready,
    ServerEvent,
    SpeechStartedEvent,
    Start,
    Timeline,
    Token,
    TurnDone,
    TurnStarted,
    UserText,
    encode_event,
    parse_client,
)
from shared.messages import RouteReport

Answer = Callable[[ServerConnection, str], Awaitable[None]]

LOUD = (np.sin(np.arange(2400) / 10) * 9000).astype("<i2").tobytes()
ROUTE = RouteReport(route="groq:fast", queue_ms=1, first_token_ms=2, first_segment_ms=3)
ENGINES = {"llm": EngineReport(engine="companion"), "tts": EngineReport(engine="espeak", device="cpu")}
TIMELINE = Timeline(llm_ms=3, tts_ms=21, send_ms=1, response_ms=25)


async def tell(socket: ServerConnection, event: ServerEvent, payload: bytes = b"") -> None:
    """Sends one event, with its sound."""
    await socket.send(encode_event(event).decode())
    if payload:
        await socket.send(payload)


def sound_of(turn_id: str, pcm: bytes) -> AudioEvent:
    """Returns the header of a piece of sound at 24 kHz."""
    return AudioEvent(
        turn_id=turn_id, segment=0, seq=0, format="pcm", rate_hz=24000,
        duration_ms=len(pcm) / 48, size_bytes=len(pcm),
    )  # fmt: skip


async def answer_well(socket: ServerConnection, said: str) -> None:
    """A good turn: text in two pieces, 100 ms of sound."""
    await tell(socket, TurnStarted(turn_id="t1", is_spoken=not said))
    await tell(socket, Token(turn_id="t1", text="Hello "))
    await tell(socket, Token(turn_id="t1", text="there.", at=6))
    await tell(socket, sound_of("t1", LOUD), LOUD)
    done = TurnDone(
        turn_id="t1", text="Hello there.", has_audio=True, timeline=TIMELINE, engines=ENGINES, route=ROUTE
    )
    await tell(socket, done)


async def answer_mutely(socket: ServerConnection, _said: str) -> None:
    """A turn that claims to be done and holds no sound."""
    await tell(socket, TurnStarted(turn_id="t1", is_spoken=False))
    await tell(socket, sound_of("t1", bytes(4800)), bytes(4800))
    done = TurnDone(turn_id="t1", text="Hello.", has_audio=True, timeline=TIMELINE, engines=ENGINES)
    await tell(socket, done)


class ScriptedGateway:
    """Hears speech as soon as 10 loud frames were followed by 10 silent ones."""

    def __init__(self, answer: Answer, *, refuse: ServerEvent | None = None) -> None:
        self.starts: list[Start] = []
        self.typed: list[UserText] = []
        self.frames = 0
        self.log: list[bytes | AnyClientMessage] = []
        """Frames and messages in the order of their coming, but for accounts of playback."""
        self._news = asyncio.Condition()
        self._answer, self._refuse = answer, refuse

    async def __call__(self, socket: ServerConnection) -> None:
        loud = silent = 0
        async for data in socket:
            await self._note(data)
            if isinstance(data, bytes):
                self.frames += 1
                is_loud = bool(np.abs(np.frombuffer(data, dtype="<i2")).max(initial=0) > 1000)
                loud, silent = loud + is_loud, 0 if is_loud else silent + 1
                if loud >= 10 and silent == 1:
                    await tell(socket, SpeechStartedEvent(at_ms=0))
                    await tell(socket, PartialEvent(text="good"))
                if loud >= 10 and silent == 10:
                    loud = 0
                    await tell(socket, FinalEvent(text="good morning", language="en", turn_id="t1"))
                    await self._answer(socket, "")
                continue
            message = parse_client(data)
            match message:
                case Start():
                    self.starts.append(message)
                    await tell(socket, self._refuse or _ready(message))
                case UserText():
                    self.typed.append(message)
                    await self._answer(socket, message.text)
                case EndOfSpeech():
                    await tell(socket, FinalEvent(text="good morning", language="en", turn_id="t1"))
                    await self._answer(socket, "")
                case Interrupt():
                    await tell(socket, Flush(turn_id="t1"))
                case Played():
                    pass
                case _:
                    await socket.close()

    async def _note(self, data: str | bytes) -> None:
        entry = data if isinstance(data, bytes) else parse_client(data)
        async with self._news:
            self.log += [] if isinstance(entry, Played) else [entry]
            self._news.notify_all()

    async def until(self, holds: Callable[[], object]) -> None:
        """Returns as soon as what came makes it so."""
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(holds)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Serves on a free port; yields the address."""
        async with serve(self, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def _ready(start: Start) -> Ready:
    return Ready(
        session_id=start.session_id or "s1", is_resumed=start.session_id is not None, turns=0,
        voice=start.voice, language=start.language, audio_in=start.audio_in, audio_out=start.audio_out,
    )  # fmt: skip


async def close_at_once(socket: ServerConnection, _said: str) -> None:
    """Ends the conversation in mid-turn."""
    await tell(socket, TurnStarted(turn_id="t1", is_spoken=False))
    await socket.close(1012, "draining")


async def speak_in_riddles(socket: ServerConnection, _said: str) -> None:
    """Sends what is no event."""
    await socket.send(msgspec.json.encode({"type": "riddle"}).decode())
    await socket.wait_closed()
