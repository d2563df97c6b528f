"""One simulated person: a real socket, a microphone that never stops, and a will (``bench_script``)."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from eva.bench_frames import BINARY, TEXT
from eva.bench_script import Act, acts, kind_of, text_of
from eva.bench_socket import BenchSocket, NotOpened
from eva.bench_talk import Met, Note, Talk
from eva.review_level import first_audible
from eva.wav import FRAME_MS, Sound, frames
from services.gateway.chat_protocol import (
    AudioIn,
    AudioOut,
    ClientMessage,
    EndOfSpeech,
    Played,
    Start,
    TurnTaking,
    UserText,
)

MIC_RATE_HZ: Final = 16_000
VOICE_RATE_HZ: Final = 24_000
FRAME_S = FRAME_MS / 1000
SILENCE = bytes(MIC_RATE_HZ * FRAME_MS // 1000 * 2)
REPORT_S = 0.25
"""How often EVA is told how far playback has got."""
LOOK_S = 0.05
"""How often at least a person looks whether it is time to go on."""
READY_S = 10.0
PRESSED_S = 0.1
"""So long behind the last word a key is still pressed."""
_notes = msgspec.json.Decoder(Note)
_wishes = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True)
class World:
    """What all people of a generator share."""

    url: str
    seed: int
    sounds: Sequence[Sound]
    """``bench_script.LINES`` as they are spoken, without silence around them; at ``MIC_RATE_HZ``."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Nobody asks anything new."""
    lates_s: list[float] = field(default_factory=list)
    """How much later than planned each frame was sent."""
    met: list[Met] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    """The numbers of those who could open a conversation."""


class Microphone:
    """Sends a frame each 20 ms from its start on, what is said or silence."""

    def __init__(self, socket: BenchSocket, lates_s: list[float]) -> None:
        self._socket, self._lates_s = socket, lates_s
        self._waiting: deque[tuple[bytes, Callable[[], None] | None]] = deque()
        self._due_s = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins."""
        self._due_s = time.monotonic()
        self._tick()

    def stop(self) -> None:
        """Ends."""
        if self._timer is not None:
            self._timer.cancel()

    def say(self, pieces: Sequence[bytes], then: Callable[[], None]) -> None:
        """Has frames sent, and ``then`` called right behind the last of them."""
        self._waiting.extend((piece, None) for piece in pieces[:-1])
        self._waiting.append((pieces[-1], then))

    def _tick(self) -> None:
        """Sends what is due by now; what was late is caught up with, as by a client's own buffer."""
        while (now := time.monotonic()) >= self._due_s:
            frame, then = self._waiting.popleft() if self._waiting else (SILENCE, None)
            self._lates_s.append(now - self._due_s)
            self._due_s += FRAME_S
            self._socket.send_bytes(frame)
            if then is not None:
                then()
        self._timer = asyncio.get_running_loop().call_later(self._due_s - now, self._tick)


class Person:
    """One of them; ``live`` is its whole life."""

    def __init__(self, number: int, world: World) -> None:
        self._number, self._world, self._kind = number, world, kind_of(number)
        self._talk = Talk(self._kind)
        self._socket = BenchSocket(world.url, self._hear, self._lose)
        self._microphone = Microphone(self._socket, world.lates_s)
        self._changed = asyncio.Event()
        self._header: Note | None = None
        self._sofar: list[tuple[float, bytes]] = []
        """Sound of the turn ``_sofar_of`` that could not be heard yet."""
        self._sofar_of: str | None = None
        self._is_ready = self._is_lost = False

    async def live(self) -> None:
        """Opens a conversation, talks until all stop, and leaves; whatever happens is in ``World.met``."""
        try:
            await self._open()
        except NotOpened:
            self._talk.lose("not_opened", time.monotonic())
        else:
            self._world.opened.append(self._number)
            if self._kind != "typed":
                self._microphone.start()
            async with asyncio.TaskGroup() as tasks:
                account = tasks.create_task(self._account())
                await self._converse()
                account.cancel()
        finally:
            self._microphone.stop()
            self._socket.close()
            self._talk.close(time.monotonic())
            self._world.met.extend(self._talk.met)

    async def _open(self) -> None:
        await self._socket.open()
        self._tell(
            Start(
                language="en",
                audio_in=None if self._kind == "typed" else AudioIn(rate_hz=MIC_RATE_HZ),
                audio_out=AudioOut(format="pcm", rate_hz=VOICE_RATE_HZ),
                turn_taking=TurnTaking(mode="manual" if self._kind == "push_to_talk" else "auto"),
            )
        )
        try:
            async with asyncio.timeout(READY_S):
                while not self._is_ready and not self._is_lost:
                    await self._change()
        except TimeoutError:
            raise NotOpened("it is not ready in time") from None
        if not self._is_ready:
            raise NotOpened("it was closed at once")

    async def _converse(self) -> None:
        talk = self._talk
        for act in acts(self._world.seed, self._number):
            if not await self._until_moment_of(act):
                break
            talk.begin(time.monotonic())
            self._ask(act)
        await self._until(talk.is_settled)
        if self._is_lost:
            talk.lose("lost", time.monotonic())

    async def _until_moment_of(self, act: Act) -> bool:
        """Waits until the person wants to say it; returns whether there still is anybody to say it to."""
        talk, into_s, stop = self._talk, act.into_s, self._world.stop

        def is_time(now: float) -> bool:
            if stop.is_set():
                return talk.is_settled(now)
            return talk.is_over(now) or (into_s is not None and talk.heard_s(now) >= into_s)

        await self._until(is_time)
        if talk.is_over(time.monotonic()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(act.pause_s):
                    await stop.wait()
        return not stop.is_set() and not self._is_lost

    def _ask(self, act: Act) -> None:
        if self._kind == "typed":
            self._tell(UserText(text=text_of(act)))
            self._asked()
            return
        pieces: list[bytes] = []
        for line in act.lines:
            breath = [SILENCE] * round(act.breath_s / FRAME_S) if pieces else []
            pieces += breath + frames(self._world.sounds[line])
        if self._kind == "push_to_talk":
            pieces += [SILENCE] * round(PRESSED_S / FRAME_S)
        self._microphone.say(pieces, self._asked)

    def _asked(self) -> None:
        self._talk.end(time.monotonic())
        if self._kind == "push_to_talk":
            self._tell(EndOfSpeech())
        self._changed.set()

    async def _until(self, holds: Callable[[float], bool]) -> None:
        """Waits until it is so, or the conversation is lost."""
        while not self._is_lost and not holds(time.monotonic()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _account(self) -> None:
        """Tells EVA how far playback has got, as the page does."""
        told: tuple[str, int] = ("", 0)
        while True:
            await asyncio.sleep(REPORT_S)
            playback = self._talk.playback
            news = (playback.turn_id, round(1000 * playback.heard_s(time.monotonic())))
            if news[1] and news != told:
                told = news
                self._tell(Played(turn_id=news[0], ms=news[1]))

    def _tell(self, message: ClientMessage) -> None:
        self._socket.send_text(_wishes.encode(message))

    def _hear(self, opcode: int, payload: bytes) -> None:
        now = time.monotonic()
        if opcode == BINARY and self._header is not None:
            note, self._header = self._header, None
            self._talk.take(note, now, is_audible=self._is_audible(note, payload, now))
        elif opcode == TEXT:
            note = _notes.decode(payload)
            if note.type == "audio":
                self._header = note
                return
            self._is_ready = self._is_ready or note.type == "ready"
            self._talk.take(note, now)
        self._changed.set()

    def _is_audible(self, note: Note, pcm: bytes, now: float) -> bool:
        """Whether the turn's answer can be heard by now; once it can, its sound is looked at no more."""
        if note.segment < 0 or self._talk.is_heard(note.turn_id):
            return False
        if note.turn_id != self._sofar_of:
            self._sofar, self._sofar_of = [], note.turn_id
        self._sofar.append((now, pcm))
        return first_audible(self._sofar, VOICE_RATE_HZ) is not None

    def _lose(self) -> None:
        self._is_lost = True
        self._changed.set()
