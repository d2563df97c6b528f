"""A whole EVA in one loop of virtual time: gateway, the mind's worker, a voice, people who type.

Real are the gateway's core with its turn machine and its fillers, the mind's worker with chain, adapters
and SDKs, and the bus's behaviour (in memory). The voice is a stand-in that takes a stated time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.gateway.chat_protocol import (
    AudioEvent,
    AudioOut,
    ErrorEvent,
    Filler,
    Interrupted,
    Played,
    ServerEvent,
    Start,
    Token,
    TurnDone,
    UserText,
)
from services.gateway.door import Door
from services.gateway.life import make_door, run_core
from services.gateway.settings import GatewaySettings
from services.llm.chain import Chain
from services.llm.worker import LlmWorker, Options
from shared import subjects
from shared.bus import Bus, Job
from shared.bus.memory import MemoryBroker
from shared.messages import AudioChunk, EngineFact, Facts, SegmentDone, Synthesize, Working
from shared.queues import LLM_WORK, TTS_WORK

VOICE_S = 0.06
"""From a segment to its first sound: what an offline voice takes on one core."""
SOUND_S = 0.4
PAUSES_S = (3.0, 9.0)
"""Between the end of an answer and the person's next words."""
CONVERSATION = 10
"""Turns."""
FACTS_EVERY_S = 1.0
NEVER_S = 120.0
"""A turn that has not ended by then is a defect: time that is virtual would go on for ever."""
GW = "bench"


@dataclass(slots=True)
class Turn:
    """What one turn was like, milliseconds from the person's words; None: it never came."""

    number: int
    token_ms: float | None = None
    sound_ms: float | None = None
    """Of whatever kind: a filler's, too."""
    answer_ms: float | None = None
    """Of the answer itself."""
    fillers: int = 0
    end: TurnDone | ErrorEvent | Interrupted | None = None

    @property
    def is_answered(self) -> bool:
        """Whether a real model's answer came to its end."""
        return isinstance(self.end, TurnDone) and not any(
            report.is_degraded for stage, report in self.end.engines.items() if stage == "llm"
        )


class Voice:
    """Says everything in the same time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def run(self) -> None:
        """Speaks until cancelled."""
        await self._bus.declare(TTS_WORK)
        await self._bus.consumer(TTS_WORK, slots=64, handler=self._speak).run()

    def facts(self) -> Facts:
        """Says that it is there."""
        engine = EngineFact(name="stand-in", state="serving", model="tone", device="cpu")
        return Facts(
            stage="tts", worker="voice", state="ready", pid=1, engines=[engine], slots=64, last_success_s=0.0
        )

    async def _speak(self, job: Job) -> None:
        work = job.message
        assert isinstance(work, Synthesize)
        events = subjects.event(work.gw, work.sid, "tts")
        ids: dict[str, Any] = {
            "turn": work.turn,
            "attempt": work.attempt,
            "segment": work.segment,
            "take": work.take,
        }
        await self._bus.publish(events, Working(stage="tts", worker="voice", **ids))
        await asyncio.sleep(VOICE_S)
        rate_hz, samples = work.audio.rate_hz, int(SOUND_S * work.audio.rate_hz)
        pcm = (3000 * np.sin(2 * np.pi * 220 * np.arange(samples) / rate_hz)).astype("<i2").tobytes()
        sound = {"samples": samples, "rate_hz": rate_hz, **ids}
        chunk = AudioChunk(seq=0, start=0, codec=work.audio.codec, level=0.1, data=pcm, **sound)
        await self._bus.publish(events, chunk)
        done = SegmentDone(chunks=1, engine="stand-in", device="cpu", model="tone", **sound)
        await self._bus.publish(events, done)


class Person:
    """Types, listens to the end, thinks, and types again. A ``Sink``."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._turn = Turn(-1)
        self._asked_s = 0.0
        self._over = asyncio.Event()

    def emit(self, event: ServerEvent, payload: bytes = b"") -> None:
        """Takes what EVA says."""
        turn, now_ms = self._turn, 1000 * (self._clock() - self._asked_s)
        match event:
            case Token(text=text) if text.strip() and turn.token_ms is None:
                turn.token_ms = now_ms
            case Filler():
                turn.fillers += 1
            case AudioEvent(segment=segment) if payload:
                turn.sound_ms = now_ms if turn.sound_ms is None else turn.sound_ms
                if segment >= 0 and turn.answer_ms is None:
                    turn.answer_ms = now_ms
            case TurnDone() | Interrupted() | ErrorEvent():
                turn.end = event
                self._over.set()

    def drop_audio(self, turn_id: str) -> None:
        """Has played everything already."""

    async def ask(self, session: Any, number: int) -> Turn:
        """Has one turn."""
        self._turn, self._asked_s = Turn(number), self._clock()
        self._over.clear()
        session.handle(UserText(text=f"Question {number}."))
        async with asyncio.timeout(NEVER_S):
            await self._over.wait()
        if isinstance(self._turn.end, TurnDone):
            session.handle(Played(turn_id=self._turn.end.turn_id, ms=10_000_000))
        return self._turn


@dataclass
class House:
    """What a measurement needs of it."""

    door: Door
    chain: Chain
    worker: LlmWorker
    openings: int = 0
    """How often a breaker was seen to open, looked at once a second."""
    _breakers: dict[str, str] = field(default_factory=dict)

    def look(self) -> Facts:
        """Returns the worker's facts, after a look at its breakers."""
        facts = self.worker.facts()
        for engine in facts.engines:
            self.openings += engine.breaker == "open" != self._breakers.get(engine.name, "closed")
            self._breakers[engine.name] = engine.breaker
        return facts

    async def talk(self, count: int, *, people: int, seed: int) -> list[Turn]:
        """Returns ``count`` turns of so many people who talk at the same time."""
        numbers = iter(range(count))
        turns: list[Turn] = []
        clock = asyncio.get_running_loop().time

        async def one(number: int) -> None:
            chance = random.Random(f"{seed}:{number}")
            await asyncio.sleep(chance.uniform(0.0, PAUSES_S[1]))
            person = Person(clock)
            assert self.door.core is not None
            while conversation := list(itertools.islice(numbers, CONVERSATION)):
                start = Start(language="en", audio_out=AudioOut())
                async with self.door.core.hub.session(start, person, remember=False) as session:
                    for turn in conversation:
                        turns.append(await person.ask(session, turn))
                        await asyncio.sleep(chance.uniform(*PAUSES_S))

        async with asyncio.TaskGroup() as tasks:
            for number in range(people):
                tasks.create_task(one(number), name=f"person {number}")
        return turns


@contextlib.asynccontextmanager
async def virtual_house(chain: Chain, **settings: Any) -> AsyncIterator[House]:
    """An EVA with these minds that is ready; ``settings``: the gateway's."""
    clock = asyncio.get_running_loop().time
    broker = MemoryBroker()
    door = make_door(GatewaySettings.model_validate({"canary": False, "gateway_speculation": 0, **settings}))
    worker = LlmWorker("mind", chain, Options(), clock=clock)
    voice = Voice(broker.connect("voice"))
    built = House(door, chain, worker)

    async def connect() -> Bus:
        return broker.connect("gateway")

    async def tell(bus: Bus) -> None:
        while True:
            await bus.publish(subjects.fact("tts", "voice"), voice.facts())
            await bus.publish(subjects.fact("llm", "mind"), built.look())
            await asyncio.sleep(FACTS_EVERY_S)

    bus = broker.connect("mind")
    await bus.declare(LLM_WORK)
    await worker.warm_up()
    running: Sequence[asyncio.Task[Any]] = [
        asyncio.create_task(run_core(door, connect, GW, clock=clock), name="gateway"),
        asyncio.create_task(worker.serve(bus), name="mind"),
        asyncio.create_task(voice.run(), name="voice"),
        asyncio.create_task(tell(broker.connect("facts")), name="facts"),
    ]
    try:
        await asyncio.sleep(5)  # on the virtual clock: all have subscribed, the fillers are made
        assert door.core is not None
        yield built
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await chain.close()
