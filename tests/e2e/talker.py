"""A person at EVA's WebSocket who keeps everything that came, with the time of its coming."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from eva.chat_client import ChatSocket, SocketLost, conversation
from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    AudioOut,
    BargeIn,
    ErrorEvent,
    Interrupted,
    Ping,
    Played,
    Pong,
    ServerEvent,
    Start,
    Timings,
    Tool,
    TurnDone,
    TurnStarted,
    TurnTaking,
    UserText,
)
from shared.audio import from_pcm16
from tests.e2e.house import RATE_HZ
from tests.fakes.speech import frames

E = TypeVar("E")
Terminal = TurnDone | Interrupted | ErrorEvent
WAIT_S = 120.0
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

        def found() -> list[E]:
            return [event for event in self.of(kind) if where(event)]

        await self.until(lambda: len(found()) >= count, what=kind.__name__)
        return found()[count - 1]

    async def hears_sound(self, seconds: float) -> None:
        """Waits until so much sound is there: a voice may be kept waiting behind its first piece."""
        await self.until(
            lambda: sum(event.duration_ms for event in self.of(AudioEvent)) >= 1000 * seconds, what="sound"
        )

    async def until(self, holds: Callable[[], object], *, what: str = "it") -> None:
        """Waits until something is so; looks again at each event that comes."""
        try:
            async with self._news, asyncio.timeout(WAIT_S):
                while not holds():
                    assert not self.is_closed, f"the socket was closed; heard: {self.story()}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"waited for {what}; heard: {self.story()}") from None

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

    async def is_taken_in(self) -> None:
        """Waits until EVA has taken in all that was sent so far."""
        number = len(self.of(Pong))
        await self.socket.send(Ping(id=number))
        await self.hears(Pong, where=lambda pong: pong.id == number)

    async def say(
        self, pcm: npt.NDArray[np.int16], *, silence_s: float = 1.5, rate_hz: int = 16000
    ) -> list[float]:
        """Speaks in frames of 20 ms as fast as time goes, then is silent.

        Returns when each frame was sent (seconds of the monotonic clock).
        """
        due_s = time.monotonic()
        sent: list[float] = []
        quiet = np.zeros(int(silence_s * rate_hz), np.int16)
        for frame in frames(np.concatenate([pcm, quiet]), samples=rate_hz // 50):
            sent.append(time.monotonic())
            await self.socket.send_frame(frame)
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        return sent

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
    turn_taking: TurnTaking | None = None,
    barge_in: BargeIn | None = None,
    tools: Sequence[Tool] = (),
    timings: Timings | None = None,
) -> AsyncIterator[Talker]:
    """Opens a conversation."""
    start = Start(
        session_id=session_id, language=language, audio_in=audio_in, audio_out=audio_out,
        turn_taking=turn_taking or TurnTaking(), barge_in=barge_in or BargeIn(), tools=list(tools),
        timings=timings or Timings(),
    )  # fmt: skip
    async with conversation(url, start, ears_within_s=WAIT_S) as socket:
        person = Talker(socket)
        listening = asyncio.create_task(person.listen())
        try:
            yield person
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def onset(pcm: npt.NDArray[np.int16], *, rate_hz: int = 16000) -> int:
    """Returns the number of the 20 ms frame in which the sound begins (louder than -40 dBFS)."""
    size = rate_hz // 50
    loudness = np.sqrt((pcm[: len(pcm) // size * size].reshape(-1, size).astype(float) ** 2).mean(axis=1))
    return int(np.argmax(loudness > 327))


def is_audible(pcm: npt.NDArray[np.float32]) -> bool:
    """Whether there is more than silence in it."""
    return bool(len(pcm)) and float(np.sqrt(np.mean(pcm**2))) > 0.01
