"""(c) Streams in real time: one worker, its chain and lanes, and listeners who hear at the speed of speech.

A person asks for a turn of some sentences. The next sentence is asked for when the one before is made and no
more than a few seconds of it are left to play, as the gateway does; behind the turn there is a pause.
A listener's sound breaks off when a chunk comes after the one before it has been played.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.voice_models import TEXTS, now_ms
from benchmarks.voice_peers import synthesize
from services.tts.chain import Chain
from services.tts.worker import TtsWorker, WorkerOptions
from shared import subjects
from shared.bus import Bus
from shared.bus.memory import MemoryBroker
from shared.errors import EngineFailed
from shared.messages import AnyMessage, AudioChunk, Failed, SegmentDone
from shared.queues import TTS_WORK

SEGMENTS = 3
AHEAD_S = 2.0
PAUSE_S = (0.2, 1.2)
PATIENCE_S = 30.0
GRACE_MS = 5.0
"""A chunk that is later by less is not noticed behind any client's buffer."""
ALLOWED = 0.01
"""Share of the turns that may break off at the limit."""


@dataclass
class Playout:
    """What one listener hears of a turn; times in ms."""

    asked_ms: float
    first_ms: float | None = None
    """From the asking to the first chunk."""
    played_to_ms: float = 0.0
    """When what has come will have been played."""
    gaps_ms: list[float] = field(default_factory=list)

    def take(self, seconds: float, now: float) -> None:
        """Takes a chunk that comes at ``now``."""
        if self.first_ms is None:
            self.first_ms = now - self.asked_ms
        elif now > self.played_to_ms + GRACE_MS:
            self.gaps_ms.append(now - self.played_to_ms)
        self.played_to_ms = max(now, self.played_to_ms) + 1000 * seconds


@dataclass(frozen=True)
class Step:
    """What so many listeners met."""

    streams: int
    turns: Sequence[Playout]

    @property
    def broken(self) -> int:
        """Turns whose sound broke off, or never came."""
        return sum(bool(turn.gaps_ms) or turn.first_ms is None for turn in self.turns)

    @property
    def gaps_ms(self) -> list[float]:
        """All silences that nobody meant."""
        return [gap for turn in self.turns for gap in turn.gaps_ms]

    @property
    def first_ms(self) -> list[float]:
        """Times to the first audio of the turns."""
        return [turn.first_ms for turn in self.turns if turn.first_ms is not None]

    @property
    def is_carried(self) -> bool:
        """Whether hardly anybody's sound broke off."""
        return self.broken <= ALLOWED * len(self.turns)


def limit(steps: Sequence[Step]) -> int:
    """Returns the most streams that were carried, with all fewer; 0: not even one."""
    carried = 0
    for step in steps:
        if not step.is_carried:
            break
        carried = step.streams
    return carried


class Desk:
    """A gateway's end of the bus: brings each message to whom it is for."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[str, asyncio.Queue[AnyMessage]] = {}

    def take(self, subject: str, message: AnyMessage) -> None:
        """Takes an event."""
        if (queue := self._waiting.get(subjects.session_of(subject))) is not None:
            queue.put_nowait(message)

    async def say(self, sid: str, turn: int, pause: Callable[[], float]) -> Playout:
        """One turn of one person."""
        queue = self._waiting.setdefault(sid, asyncio.Queue())
        heard = Playout(now_ms())
        for segment in range(SEGMENTS):
            item = synthesize(TEXTS[12], segment=segment, turn=turn, sid=sid)
            await self._bus.enqueue(
                subjects.work("tts", "g", sid), item, message_id=f"{sid}:{turn}:{segment}"
            )
            await self._hear(queue, heard, turn, segment)
            left_s = (heard.played_to_ms - now_ms()) / 1000
            await asyncio.sleep(max(0.0, left_s - (AHEAD_S if segment < SEGMENTS - 1 else 0.0)))
        await asyncio.sleep(pause())
        return heard

    async def once(self, text: str, turn: int) -> tuple[Playout, SegmentDone]:
        """Says one segment. Raises ``EngineFailed``."""
        queue = self._waiting.setdefault("once", asyncio.Queue())
        heard = Playout(now_ms())
        item = synthesize(text, turn=turn, sid="once")
        await self._bus.enqueue(subjects.work("tts", "g", "once"), item, message_id=f"once:{turn}")
        done = await self._hear(queue, heard, turn, 0)
        if isinstance(done, Failed):
            raise EngineFailed("tts", done.message)
        return heard, done

    async def _hear(
        self, queue: asyncio.Queue[AnyMessage], heard: Playout, turn: int, segment: int
    ) -> SegmentDone | Failed:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await queue.get()
                if isinstance(message, AudioChunk) and (message.turn, message.segment) == (turn, segment):
                    heard.take(message.samples / message.rate_hz, now_ms())
                elif isinstance(message, (SegmentDone, Failed)) and message.turn == turn:
                    return message


@contextlib.asynccontextmanager
async def working(options: WorkerOptions, chain: Chain) -> AsyncIterator[Desk]:
    """A worker at a bus in memory, and who asks it."""
    broker = MemoryBroker()
    worker = TtsWorker(options, lambda: chain)
    bus = broker.connect("gateway")
    desk = Desk(bus)
    await bus.subscribe(subjects.events_of_gateway("g"), desk.take)
    await bus.declare(TTS_WORK)
    await bus.declare(TTS_WORK)
    await worker.warm_up()
    serving = asyncio.create_task(worker.serve(broker.connect("worker")))
    try:
        yield desk
    finally:
        worker.drain()
        await serving


async def measure(chain: Chain, streams: int, seconds: float, *, seed: int = 1) -> Step:
    """Returns what ``streams`` people hear in so many seconds."""
    options = WorkerOptions(name="bench", slots=streams, cache_bytes=0)
    turns: list[Playout] = []
    async with working(options, chain) as desk:
        until = now_ms() + 1000 * seconds

        async def person(number: int) -> None:
            chance = random.Random(1000 * seed + number)
            await asyncio.sleep(chance.uniform(0.0, PAUSE_S[1]))
            turn = 0
            while turn == 0 or now_ms() < until:
                turn += 1
                turns.append(await desk.say(f"p{number}", turn, lambda: chance.uniform(*PAUSE_S)))

        async with asyncio.TaskGroup() as people:
            for number in range(streams):
                people.create_task(person(number))
    return Step(streams, turns)
