"""The inside of a gateway on the in-memory bus, a client that keeps everything, and ears to be claimed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    AudioOut,
    ErrorEvent,
    ServerEvent,
    Start,
)
from services.gateway.hub import Hub
from services.gateway.memory import Memory
from services.gateway.parked import Unsent
from services.gateway.surroundings import Surroundings
from services.gateway.turn_io import Note, TurnPolicy, TurnReport
from shared.bus.memory import MemoryBroker, MemoryBus
from tests.fakes.workers import FakeWorkers

GW = "GW"
POLICY = TurnPolicy(turn_s=5.0, take_up_s=2.0, beat_lost_s=1.0, mind_lost_s=1.0)
FRAME = b"\1\0" * 320


class Client:
    """A sink that keeps everything and can be waited at."""

    def __init__(self) -> None:
        self.events: list[ServerEvent] = []
        self.payloads: list[bytes] = []
        self.dropped: list[str] = []
        self._news = asyncio.Event()

    def emit(self, event: ServerEvent, payload: bytes = b"") -> None:
        self.events.append(event)
        if isinstance(event, AudioEvent):
            assert event.size_bytes == len(payload)
            self.payloads.append(payload)
        self._news.set()

    def drop_audio(self, turn_id: str) -> None:
        self.dropped.append(turn_id)

    def of(self, kind: type) -> list[ServerEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    async def sees(self, kind: type, count: int = 1) -> ServerEvent:
        while len(self.of(kind)) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 60)
        return self.of(kind)[count - 1]


class Leaving(Client):
    """A client that can be left. ``unsent_ms``: what of its sound had not left by then."""

    def __init__(self) -> None:
        super().__init__()
        self.unsent_ms = 0.0
        self.is_left = False

    def emit(self, event: ServerEvent, payload: bytes = b"") -> None:
        assert not self.is_left, "nothing more is sent to a client that was left"
        super().emit(event, payload)

    def leave(self, because: ErrorEvent | None) -> Unsent:
        if because is not None:
            self.emit(because)
        self.is_left = True
        return Unsent(audio_ms=self.unsent_ms)


@dataclass
class Reports:
    """Keeps the reports of turns that have ended."""

    seen: list[TurnReport] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def turn_over(self, report: TurnReport) -> None:
        self.seen.append(report)

    def noted(self, note: Note) -> None:
        self.notes.append(note)


@dataclass
class Clock:
    """The time of the test's loop, and more of it where a test wants."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


@dataclass
class Place:
    """A gateway's inside, with fake workers beside it."""

    broker: MemoryBroker
    bus: MemoryBus
    hub: Hub
    workers: FakeWorkers
    memory: Memory
    reports: Reports
    clock: Clock


LISTENING = Start(audio_in=AudioIn(rate_hz=16000), audio_out=AudioOut(rate_hz=16000))


@contextlib.asynccontextmanager
async def make_place() -> AsyncIterator[Place]:
    """The inside of a gateway on the in-memory bus."""
    broker = MemoryBroker()
    bus = broker.connect("gateway")
    memory, reports, clock = Memory(bus, ttl_s=60), Reports(), Clock()
    around = Surroundings(bus=bus, gw=GW, memory=memory, observer=reports, policy=POLICY, clock=clock)
    hub = Hub(around)
    workers = FakeWorkers(broker.connect("workers"))
    async with workers.running():
        await hub.subscribe()
        yield Place(broker, bus, hub, workers, memory, reports, clock)
