"""Simulated people at the gateways of a town: each asks, listens, and goes to another door when it is lost.

What counts as silence is what a person hears as such: from the question to the first sound, and wherever
the sound that has come runs out before more does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from eva.chat_client import ChatSocket, NotRunning, SocketLost, conversation
from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    ErrorEvent,
    Has,
    Interrupted,
    Played,
    Ready,
    ServerEvent,
    SpeechStoppedEvent,
    Start,
    TurnDone,
    TurnStarted,
    UserText,
)
from tests.e2e.talker import VOICE
from tests.fakes.speech import frames, speech
from tests.models.tiny_whisper import PHRASES

KNOCK_AGAIN_S = 0.1
NOWHERE = "http://127.0.0.1:9"
"""Of a gateway that is away: nobody listens there."""
FRAME_S, QUIET = 0.02, bytes(640)
PAUSES_S = (0.2, 0.8)
UNHEARD_S = 12.0
"""Who spoke and was given no turn by then says it again."""


@dataclass
class Turn:
    """One question, from being asked on."""

    person: int
    asked_at: float
    """For who speaks: when EVA said that they had stopped."""
    turn_id: str = ""
    """Empty: EVA has not accepted it."""
    outcome: str = "open"
    """``done``, ``interrupted``, ``error <code>``, or ``told over``: at a resumption she said that it is."""
    ended_at: float = 0.0
    sound_ms: float = 0.0
    silences: list[tuple[float, float]] = field(default_factory=list)
    """When each ended, and how long it was; seconds."""
    plays_until: float = 0.0

    def hear(self, ms: float, now: float) -> None:
        """Takes sound that came."""
        since = self.plays_until if self.sound_ms else self.asked_at
        if now > since:
            self.silences.append((now, now - since))
        self.plays_until = max(now, self.plays_until) + ms / 1000
        self.sound_ms += ms


@dataclass
class Person:
    """Talks until told to stop. ``doors``: addresses of gateways, "" for one that is away."""

    number: int
    doors: Callable[[], list[str]]
    speaks: bool = False
    turns: list[Turn] = field(default_factory=list)
    session_id: str | None = None
    forgotten: list[tuple[int, int]] = field(default_factory=list)
    """At each resumption that knew less than had been answered: turns known, turns answered."""
    returns: int = 0
    """How often a lost socket was replaced."""
    is_leaving: bool = False
    unheard: int = 0
    _door: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped_at: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.number)
        self._door = self.number

    @property
    def turn(self) -> Turn | None:
        """The turn that is open."""
        return self.turns[-1] if self.turns and self.turns[-1].outcome == "open" else None

    async def live(self) -> None:
        """Talks, at whichever door opens, until told to leave and the turn in flight is over."""
        while not (self.is_leaving and self.turn is None):
            url = self._next_door()
            try:
                async with conversation(url or NOWHERE, self._start()) as socket:
                    self._arrive(socket.ready)
                    await self._talk(socket)
            except (NotRunning, SocketLost):
                self._door += 1
                await asyncio.sleep(KNOCK_AGAIN_S)

    async def knows(self) -> int:
        """Comes back once more, to another gateway; returns how many turns EVA knows of."""
        self._door += 1
        while True:
            with contextlib.suppress(NotRunning, SocketLost):
                async with conversation(self._next_door() or NOWHERE, self._start()) as socket:
                    return socket.ready.turns
            self._door += 1
            await asyncio.sleep(KNOCK_AGAIN_S)

    @property
    def answered(self) -> int:
        """The number of the newest turn that was answered, as EVA counts them."""
        ids = [turn.turn_id for turn in self.turns if turn.outcome in {"done", "interrupted"}]
        return max((int(turn_id.rpartition("-")[2]) for turn_id in ids), default=0)

    def _next_door(self) -> str:
        doors = self.doors()
        return doors[self._door % len(doors)]

    def _start(self) -> Start:
        has = None
        if self.turn is not None and self.turn.turn_id:
            has = Has(turn_id=self.turn.turn_id, ms=self.turn.sound_ms)
        return Start(
            session_id=self.session_id,
            audio_in=AudioIn() if self.speaks else None,
            audio_out=VOICE,
            has=has if self.session_id else None,
        )

    def _arrive(self, ready: Ready) -> None:
        if self.session_id is not None:
            self.returns += 1
            known = ready.turns + (ready.turn is not None)
            if known < self.answered:
                self.forgotten.append((known, self.answered))
        self.session_id = ready.session_id
        turn = self.turn
        if turn is None:
            return
        if ready.turn is not None:
            turn.turn_id = turn.turn_id or ready.turn.turn_id
        elif turn.turn_id:
            self._end(turn.turn_id, "told over")  # what was missed of it may follow, and says better
        else:
            self.turns.pop()  # never accepted: it is asked again

    async def _talk(self, socket: ChatSocket) -> None:
        """Asks and listens until told to leave. Raises ``SocketLost``."""
        asking = asyncio.create_task(self._speak(socket) if self.speaks else self._type(socket))
        listening = asyncio.create_task(self._listen(socket))
        try:
            await asyncio.wait({asking, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, listening):
                task.cancel()
            results = await asyncio.gather(asking, listening, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _listen(self, socket: ChatSocket) -> None:
        while True:
            event, payload = await socket.receive()
            self._take(event, payload, time.monotonic())
            if isinstance(event, TurnDone):
                await socket.send(Played(turn_id=event.turn_id, ms=round(event.timeline.audio_ms)))
            self._news.set()

    def _take(self, event: ServerEvent, payload: bytes, now: float) -> None:
        match event:
            case SpeechStoppedEvent():
                self._stopped_at = now
            case TurnStarted(turn_id=turn_id):
                turn = self.turn
                if turn is None or turn.turn_id not in {"", turn_id}:
                    turn = Turn(self.number, self._stopped_at or now)
                    self.turns.append(turn)
                turn.turn_id = turn_id
            case AudioEvent(turn_id=turn_id, rate_hz=rate_hz):
                for turn in (turn for turn in self.turns[-2:] if turn.turn_id == turn_id):
                    turn.hear(1000 * len(payload) / 2 / rate_hz, now)
            case TurnDone(turn_id=turn_id):
                self._end(turn_id, "done")
            case Interrupted(turn_id=turn_id):
                self._end(turn_id, "interrupted")
            case ErrorEvent(turn_id=str(turn_id), code=code):
                self._end(turn_id, f"error {code}")
            case _:
                pass

    def _end(self, turn_id: str, outcome: str) -> None:
        for turn in self.turns[-2:]:
            if turn.turn_id == turn_id and turn.outcome in {"open", "told over"}:
                turn.outcome, turn.ended_at = outcome, time.monotonic()

    async def _until_over(self) -> None:
        while self.turn is not None:
            self._news.clear()
            await self._news.wait()
        if self.turns:
            await asyncio.sleep(max(0.0, self.turns[-1].plays_until - time.monotonic()))

    async def _type(self, socket: ChatSocket) -> None:
        while True:
            await self._until_over()
            if self.is_leaving:
                return
            await asyncio.sleep(self._random.uniform(*PAUSES_S))
            if self.is_leaving:
                return
            self.turns.append(Turn(self.number, time.monotonic()))
            await socket.send(UserText(text=f"Question {len(self.turns)}."))

    async def _speak(self, socket: ChatSocket) -> None:
        """The microphone is open all the time, and says something when nothing is being answered."""
        said = frames(speech(PHRASES[0]), samples=320)
        due, queue, asked = time.monotonic(), list[bytes](), len(self.turns)
        next_at, waits = due + PAUSES_S[0], False
        while not (self.is_leaving and self.turn is None):
            now = time.monotonic()
            if len(self.turns) > asked or self.turn is not None:
                asked, waits = len(self.turns), False
                next_at = max(now, self.turns[-1].plays_until) + self._random.uniform(*PAUSES_S)
            elif now >= next_at and not queue and not self.is_leaving:
                self.unheard += waits
                queue, next_at, waits = list(said), now + UNHEARD_S, True
            await socket.send_frame(queue.pop(0) if queue else QUIET)
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
