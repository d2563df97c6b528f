"""A person at EVA's WebSocket who keeps everything that came, with the time of its coming."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from eva.chat_client import ChatSocket, SocketLost, conversation
from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    AudioOut,
    ErrorEvent,
    Interrupted,
    Played,
    ServerEvent,
    Start,
    TurnDone,
    TurnStarted,
    UserText,
)
from shared.audio import from_pcm16
from tests.e2e.house import RATE_HZ
from tests.fakes.speech import frames

E = TypeVar("E")
Terminal = TurnDone | Interrupted | ErrorEvent
WAIT_S = 25.0
FRAME_S = 0.02
VOICE = AudioOut(rate_hz=RATE_HZ)
"""Sound as the small voice makes it."""


@dataclass(frozen=True)
class Heard:
    """One event, its sound, and when it came (seconds of the monotonic clock)."""

    event: ServerEvent
    sound: bytes
    at_s: float


@dataclass
class Talker:
    """One conversation, being recorded."""

    socket: ChatSocket
    heard: list[Heard] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_closed: bool = False

    @property
    def session_id(self) -> str:
        return self.socket.ready.session_id

    async def listen(self) -> None:
        """Records until the socket is closed."""
        with contextlib.suppress(SocketLost):
            while True:
                event, sound = await self.socket.receive()
                async with self._news:
                    self.heard.append(Heard(event, sound, time.monotonic()))
                    self._news.notify_all()
        async with self._news:
            self.is_closed = True
            self._news.notify_all()

    async def hears(
        self, kind: type[E], *, count: int = 1, where: Callable[[E], object] = lambda _: True
    ) -> E:
        """Returns the ``count``-th event of a kind; waits for it."""
        try:
            async with self._news, asyncio.timeout(WAIT_S):
                while len(found := [event for event in self.of(kind) if where(event)]) < count:
                    assert not self.is_closed, f"the socket was closed; heard: {self.story()}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__}; heard: {self.story()}") from None
        return found[count - 1]

    async def type(self, text: str) -> str:
        """Sends a typed turn; returns its id once it has begun."""
        begun = len(self.of(TurnStarted))
        await self.socket.send(UserText(text=text))
        return (await self.hears(TurnStarted, count=begun + 1)).turn_id

    async def ask(self, text: str) -> TurnDone:
        """A typed turn to its good end, and its sound to the end of its playback."""
        done = await self.done(await self.type(text))
        await self.play(done)
        return done

    async def play(self, done: TurnDone) -> None:
        """Says that a turn's sound was played to its end."""
        await self.socket.send(Played(turn_id=done.turn_id, ms=round(done.timeline.audio_ms)))

    async def say(
        self, pcm: npt.NDArray[np.int16], *, pace: float = 1.0, silence_s: float = 1.0, rate_hz: int = 16000
    ) -> None:
        """Speaks in frames of 20 ms, ``pace`` times as fast as time goes, then is silent."""
        due_s = time.monotonic()
        quiet = np.zeros(int(silence_s * rate_hz), np.int16)
        for frame in frames(np.concatenate([pcm, quiet]), samples=rate_hz // 50):
            await self.socket.send_frame(frame)
            due_s += FRAME_S / pace
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def end_of(self, turn_id: str) -> Terminal:
        """Returns the terminal event of a turn; waits for it."""

        def ends(event: ServerEvent) -> bool:
            return isinstance(event, Terminal) and event.turn_id == turn_id

        event = await self.hears(ServerEvent, where=ends)
        assert isinstance(event, Terminal)
        return event

    async def done(self, turn_id: str) -> TurnDone:
        """Returns a turn's good end; fails if it ends otherwise."""
        end = await self.end_of(turn_id)
        assert isinstance(end, TurnDone), self.story()
        return end

    def of(self, kind: type[E]) -> list[E]:
        """The events of a kind so far."""
        return [heard.event for heard in self.heard if isinstance(heard.event, kind)]

    def of_turn(self, turn_id: str) -> list[ServerEvent]:
        """The events of a turn so far."""
        return [heard.event for heard in self.heard if getattr(heard.event, "turn_id", None) == turn_id]

    def at_s(self, event: ServerEvent) -> float:
        """When an event came."""
        return next(heard.at_s for heard in self.heard if heard.event is event)

    def audio(self, turn_id: str) -> list[tuple[AudioEvent, bytes]]:
        """The sound of a turn so far."""
        return [
            (heard.event, heard.sound)
            for heard in self.heard
            if isinstance(heard.event, AudioEvent) and heard.event.turn_id == turn_id
        ]

    def pcm(self, turn_id: str) -> npt.NDArray[np.float32]:
        """All samples of a turn; fails if a chunk is missing or is not what its header says."""
        audio = self.audio(turn_id)
        assert [header.seq for header, _ in audio] == list(range(len(audio)))
        for header, sound in audio:
            assert len(sound) == header.size_bytes
            assert abs(header.duration_ms - 1000 * len(sound) / 2 / header.rate_hz) < 0.1
        return from_pcm16(b"".join(sound for _, sound in audio))

    def story(self) -> list[str]:
        """What came, in short."""
        return [repr(heard.event)[:160] for heard in self.heard if not isinstance(heard.event, AudioEvent)]


@contextlib.asynccontextmanager
async def talker(
    url: str,
    *,
    session_id: str | None = None,
    language: str = "",
    audio_in: AudioIn | None = None,
    audio_out: AudioOut | None = VOICE,
) -> AsyncIterator[Talker]:
    """Opens a conversation."""
    start = Start(session_id=session_id, language=language, audio_in=audio_in, audio_out=audio_out)
    async with conversation(url, start) as socket:
        person = Talker(socket)
        listening = asyncio.create_task(person.listen())
        try:
            yield person
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def is_audible(pcm: npt.NDArray[np.float32]) -> bool:
    """Whether there is more than silence in it."""
    return bool(len(pcm)) and float(np.sqrt(np.mean(pcm**2))) > 0.01
