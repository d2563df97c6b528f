"""One session of the ears as its gateway has it: frames in real time, events with the time they came."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from benchmarks.speech import RATE_HZ, Utterance, floor
from benchmarks.workplace import START_S, Workplace
from shared import subjects
from shared.errors import EngineFailed, NoResponders, RequestTimedOut
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsAlive,
    EarsClaimed,
    EarsFailed,
    EndUtterance,
    Final,
    MicFrame,
    OpenEars,
    Partial,
    TurnLikely,
)

GW = "bench"
FRAME = 320
FRAME_S = FRAME / RATE_HZ
EARLY_MS = 400
"""A final whose speech ends so much before the true end has cut the person off."""
PATIENCE_S = 20.0
"""After this a turn counts as lost."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of one utterance."""

    utterance: Utterance
    finals: tuple[Final, ...]
    """More than one: the person was cut off."""
    total_ms: float
    """The frame with the last sound was sent → the last final was there."""
    likely_ms: float | None
    """… → the last ``TurnLikely`` was there."""
    partials: int

    @property
    def last(self) -> Final:
        """The final that ends the turn."""
        return self.finals[-1]

    @property
    def text(self) -> str:
        """All that was understood."""
        return " ".join(final.text for final in self.finals).strip()


@dataclass
class Listener:
    """One session."""

    place: Workplace
    sid: str
    manual: bool = False
    _sent: list[float] = field(default_factory=list)
    """When each frame was sent."""
    _events: list[tuple[float, AnyMessage]] = field(default_factory=list)
    _waiting: deque[bytes] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _worker: str = ""

    async def open(self) -> EarsClaimed:
        """Claims ears, again and again until somebody is ready."""
        await self.place.bus.subscribe(subjects.event(GW, self.sid, "stt"), self._take)
        wanted = OpenEars(
            gw=GW, sid=self.sid, language="en", turn_detection="manual" if self.manual else "auto"
        )
        async with asyncio.timeout(START_S):
            while not self.place.has_ended:
                with contextlib.suppress(NoResponders, RequestTimedOut):
                    reply = await self.place.bus.request(subjects.STT_OPEN, wanted, timeout_s=2.0)
                    if isinstance(reply, EarsClaimed):
                        self._worker = reply.worker
                        return reply
                await asyncio.sleep(0.1)
        raise EngineFailed("ears", "their process has ended; what it wrote says why")

    async def close(self) -> None:
        """Lets the ears go."""
        await self._tell(CloseEars(sid=self.sid))

    async def microphone(self) -> None:
        """Sends 20 ms each 20 ms: what is to be said, else soft noise."""
        quiet = floor(50 * FRAME, seed=zlib.crc32(self.sid.encode()))
        silence = itertools.cycle(quiet[at : at + FRAME].tobytes() for at in range(0, len(quiet), FRAME))
        began = time.perf_counter()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, began + number * FRAME_S - time.perf_counter()))
            pcm = self._waiting.popleft() if self._waiting else next(silence)
            self._sent.append(time.perf_counter())
            await self._tell(MicFrame(sid=self.sid, seq=number, pcm=pcm))

    async def say(self, utterance: Utterance) -> Turn:
        """Says it in real time and waits for its last final; with push to talk lets go at the last sound.

        Raises:
            EngineFailed: it was not transcribed, or not in time.
        """
        first = len(self._sent)
        since = len(self._events)
        raw = utterance.pcm[: len(utterance.pcm) // FRAME * FRAME].tobytes()
        self._waiting += [raw[at : at + 2 * FRAME] for at in range(0, len(raw), 2 * FRAME)]
        last = first + utterance.end // FRAME
        while len(self._sent) <= last:  # noqa: ASYNC110 - a measurement may poll each 5 ms
            await asyncio.sleep(FRAME_S / 4)
        ended_at = self._sent[last]
        if self.manual:
            self._waiting.clear()
            ended_at = time.perf_counter()
            await self._tell(EndUtterance(sid=self.sid))
        start_ms, end_ms = (1000 * (first * FRAME + at) / RATE_HZ for at in (utterance.start, utterance.end))
        arrived_at = await self._final(since, end_ms - EARLY_MS)
        events = self._events[since:]
        likely = [at for at, event in events if isinstance(event, TurnLikely)]
        return Turn(
            utterance=utterance,
            finals=tuple(event for _, event in events if _ends_behind(event, start_ms)),
            total_ms=1000 * (arrived_at - ended_at),
            likely_ms=1000 * (likely[-1] - ended_at) if likely else None,
            partials=sum(isinstance(event, Partial) for _, event in events),
        )

    async def _final(self, since: int, not_before_ms: float) -> float:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    self._news.clear()
                    for at, event in self._events[since:]:
                        if isinstance(event, EarsFailed):
                            raise EngineFailed(event.code, event.message)
                        if isinstance(event, Final) and event.end_ms >= not_before_ms:
                            return at
                    await self._news.wait()
        except TimeoutError:
            raise EngineFailed("ears", "no final came") from None

    def _take(self, _: str, message: AnyMessage) -> None:
        if not isinstance(message, EarsAlive):
            self._events.append((time.perf_counter(), message))
            self._news.set()

    async def _tell(self, message: MicFrame | EndUtterance | CloseEars) -> None:
        await self.place.bus.publish(subjects.mic(self._worker, self.sid), message)


def _ends_behind(event: AnyMessage, start_ms: float) -> TypeGuard[Final]:
    """Whether it is a final of what began then, and not a late one of what was said before."""
    return isinstance(event, Final) and event.end_ms > start_ms


@contextlib.asynccontextmanager
async def listening(place: Workplace, sid: str, *, manual: bool = False) -> AsyncIterator[Listener]:
    """Opens a session whose microphone is on."""
    listener = Listener(place, sid, manual=manual)
    await listener.open()
    microphone = asyncio.create_task(listener.microphone())
    try:
        yield listener
    finally:
        microphone.cancel()
        await listener.close()


@dataclass
class Talk:
    """What became of all that several people said."""

    turns: list[Turn] = field(default_factory=list)
    lost: int = 0
    """Turns whose final never came, or not within ``PATIENCE_S``."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Processor time of the ears meanwhile."""


async def converse(
    place: Workplace,
    shares: Sequence[Sequence[Utterance]],
    *,
    gap_s: float = 0.4,
    manual: bool = False,
    name: str = "s",
) -> Talk:
    """Lets several people speak at once, each their own utterances one after the other."""
    talk = Talk()
    go = asyncio.Event()
    waiting = len(shares)

    async def person(number: int, own: Sequence[Utterance]) -> None:
        nonlocal waiting
        async with listening(place, f"{name}{number}", manual=manual) as listener:
            waiting -= 1
            if not waiting:
                go.set()
            await go.wait()
            await asyncio.sleep(0.5 + 2.0 * number / len(shares))
            for utterance in own:
                try:
                    talk.turns.append(await listener.say(utterance))
                except EngineFailed:
                    talk.lost += 1
                await asyncio.sleep(gap_s)

    async with asyncio.TaskGroup() as tasks:
        for number, own in enumerate(shares):
            tasks.create_task(person(number, own))
        await go.wait()
        began, used = time.perf_counter(), place.cpu_s()
    talk.wall_s, talk.cpu_s = time.perf_counter() - began, place.cpu_s() - used
    return talk


def dealt(said: Sequence[Utterance], sessions: int) -> list[Sequence[Utterance]]:
    """Deals utterances out to so many people."""
    return [said[number::sessions] for number in range(sessions)]
