"""A mind's worker at work on a memory bus, and what gateway and voice get to see of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from services.llm.chain import Chain
from services.llm.engine import Mind
from services.llm.toolbox import Toolbox
from services.llm.worker import LlmWorker, Options
from shared import subjects
from shared.bus.memory import MemoryBroker, MemoryBus
from shared.instruments import Instruments
from shared.messages import (
    AnyMessage,
    AudioFormat,
    Cancel,
    ChatMessage,
    Failed,
    Generate,
    Message,
    MindDone,
    Synthesize,
    TextDelta,
)
from shared.queues import LLM_WORK, TTS_WORK

GW, SID = "G1", "S1"


def generate(text: str = "Hello?", **fields: object) -> Generate:
    base: dict[str, object] = {
        "gw": GW,
        "sid": SID,
        "turn": 1,
        "attempt": 1,
        "messages": [ChatMessage(role="user", content=text)],
        "remaining_ms": 30_000,
        "audio": AudioFormat(),
    }
    return Generate(**(base | fields))  # type: ignore[arg-type]


@dataclass
class Stage:
    """The worker at work, and what gateway and voice get to see, in order."""

    broker: MemoryBroker
    bus: MemoryBus
    worker: LlmWorker
    seen: list[tuple[float, AnyMessage]] = field(default_factory=list)
    began_s: float = 0.0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, _subject: str, message: AnyMessage) -> None:
        self.seen.append((asyncio.get_running_loop().time() - self.began_s, message))
        self.news.set()

    async def ask(self, work: Generate) -> None:
        message_id = f"{work.sid}:{work.turn}:{work.attempt}:llm"
        await self.bus.enqueue(subjects.work("llm", work.gw, work.sid), work, message_id=message_id)

    async def until(self, kind: type[AnyMessage], count: int = 1) -> None:
        async with asyncio.timeout(60):
            while len(self.of(kind)) < count:
                self.news.clear()
                await self.news.wait()

    def of(self, kind: type[AnyMessage]) -> list[AnyMessage]:
        return [message for _, message in self.seen if isinstance(message, kind)]

    def when(self, kind: type[AnyMessage], index: int = 0) -> float:
        return [at for at, message in self.seen if isinstance(message, kind)][index]

    @property
    def segments(self) -> list[str]:
        return [message.text for _, message in self.seen if isinstance(message, Synthesize)]

    @property
    def text(self) -> str:
        return "".join(message.text for _, message in self.seen if isinstance(message, TextDelta))

    @property
    def spoken(self) -> list[Synthesize]:
        return [message for _, message in self.seen if isinstance(message, Synthesize)]

    @property
    def shown(self) -> str:
        """The captions as the gateway has them in the end."""
        text = ""
        for _, message in self.seen:
            if isinstance(message, TextDelta):
                text = text[: len(text) - message.takes_back] + message.text
        return text

    @property
    def done(self) -> MindDone:
        (message,) = self.of(MindDone)
        assert isinstance(message, MindDone)
        return message

    @property
    def failed(self) -> Failed:
        (message,) = self.of(Failed)
        assert isinstance(message, Failed)
        return message

    async def cancel(self, turn: int, sid: str = SID) -> None:
        await self.bus.publish(subjects.cancel(GW, sid), Cancel(sid=sid, turn=turn))


class SlowlyConfirming(MemoryBus):
    """What is enqueued is there at once; that it is there is heard after ``confirm_s``."""

    confirm_s = 0.0

    async def enqueue(self, subject: str, message: Message, *, message_id: str) -> None:
        await super().enqueue(subject, message, message_id=message_id)
        if self.confirm_s:
            await asyncio.sleep(self.confirm_s)


@contextlib.asynccontextmanager
async def stage(
    *minds: Mind,
    toolbox: Toolbox | None = None,
    confirm_s: float = 0.0,
    instruments: Instruments | None = None,
    **options: object,
) -> AsyncIterator[Stage]:
    """A warm worker with these minds on a memory bus that confirms segments after ``confirm_s``."""
    clock = asyncio.get_running_loop().time
    instruments = instruments or Instruments()
    chain = Chain(minds, clock=clock, tracer=instruments.tracer)
    broker = MemoryBroker()
    worker = LlmWorker(
        "W1",
        chain,
        Options(**options),  # type: ignore[arg-type]
        toolbox=toolbox,
        clock=clock,
        instruments=instruments,
    )
    bus = broker.connect("gateway")
    at = Stage(broker=broker, bus=bus, worker=worker)
    await bus.declare(LLM_WORK)
    await bus.declare(TTS_WORK)
    await bus.subscribe(subjects.events_of_gateway(GW), at.see)
    await bus.subscribe(subjects.work_of_gateway("tts", GW), at.see)
    await worker.warm_up()
    workers_bus = SlowlyConfirming(broker, "worker", None)
    workers_bus.confirm_s = confirm_s
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.serve(workers_bus))
        await asyncio.sleep(1)  # on the virtual clock: it has subscribed
        at.began_s = clock()
        yield at
        worker.drain()
