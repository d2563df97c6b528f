"""A speech recognition worker on a bus in memory, and a gateway's side of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from services.stt.chain import Chain
from services.stt.choose import Candidate
from services.stt.engine import Resampler, Transcriber, TurnModel, VoiceActivity
from services.stt.resample import AvResampler
from services.stt.worker import Parts, SttWorker, WorkerOptions
from shared import subjects
from shared.bus import Bus
from shared.bus.memory import MemoryBroker
from shared.instruments import Instruments
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsAlive,
    EarsClaimed,
    EndUtterance,
    MicFrame,
    OpenEars,
    Partial,
    SpeechProgress,
)
from tests.fakes.speech import frames, silence, tone
from tests.fakes.transcribers import Loudness

M = TypeVar("M", bound=AnyMessage)
GW = "gw1"
HUM = np.concatenate([silence(0.5), tone(440, 1.0), silence(0.7)])
"""Says ``440 Hz 1.0 s``."""
WAIT_S = 120.0


def worker_of(
    *engines: Transcriber,
    name: str = "ears1",
    voice_activity: Callable[[], VoiceActivity] = Loudness,
    turn_model: TurnModel | None = None,
    instruments: Instruments | None = None,
    **options: object,
) -> SttWorker:
    """Returns a worker whose chain holds these engines; loud is speech.

    By its clock their calls cost nothing, so nothing is shed because the machine stood still meanwhile.
    """
    waiting = {
        Candidate(engine="whisper", model=f"m{index}", device="cpu"): engine
        for index, engine in enumerate(engines)
    }

    def resampler(rate_hz: int) -> Resampler:
        return AvResampler(rate_hz)

    return SttWorker(
        WorkerOptions(worker=name, pid=1, **options),  # type: ignore[arg-type]
        Parts(
            make_chain=lambda: Chain(list(waiting), waiting.__getitem__),
            load_voice_activity=voice_activity,
            make_resampler=resampler,
            load_turn_model=lambda: turn_model,
            clock_s=lambda: 0.0,
        ),
        instruments=instruments,
    )


@contextlib.asynccontextmanager
async def serving(worker: SttWorker, bus: Bus) -> AsyncIterator[SttWorker]:
    """Runs a warm worker; drains it at the end."""
    await worker.warm_up()
    task = asyncio.create_task(worker.serve(bus))
    try:
        await until(lambda: worker.facts().state != "starting")
        yield worker
    finally:
        worker.drain()
        async with asyncio.timeout(WAIT_S):
            await task


async def answered(worker: SttWorker) -> None:
    """Waits until what the engine was asked so far is answered and told."""
    desk = worker._desk
    assert desk is not None
    await settled()
    await until(lambda: desk._running == 0)
    await settled()


async def settled() -> None:
    """Lets everything run that is ready to."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds; fails after a while."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - a bound poll of a plain attribute
            await asyncio.sleep(0.005)


@dataclass
class Person:
    """One session as its gateway sees it."""

    bus: Bus
    sid: str = "sid1"
    lease: int = 0
    worker: str = ""
    seq: int = 0
    events: list[AnyMessage] = field(default_factory=list)
    sent: dict[int, bytes] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        """Begins to take events."""
        await self.bus.subscribe(subjects.event(GW, self.sid, "stt"), self._take)

    def _take(self, _: str, message: AnyMessage) -> None:
        self.events.append(message)
        self._news.set()

    async def ask(self, **options: object) -> AnyMessage:
        """Requests ears that wait for a fixed silence: the words of most engines here tell nothing."""
        self.lease += 1
        wanted = {"lease": self.lease, "turn_detection": "silence"} | options
        message = OpenEars(gw=GW, sid=self.sid, **wanted)  # type: ignore[arg-type]
        return await self.bus.request(subjects.STT_OPEN, message, timeout_s=20.0)

    async def claim(self, **options: object) -> EarsClaimed:
        """Requests ears and gets them: a worker that says it is ready can be claimed."""
        if not self.lease:
            await self.listen()
        claimed = await self.ask(**options)
        assert isinstance(claimed, EarsClaimed)
        self.worker = claimed.worker
        return claimed

    async def say(self, pcm: np.ndarray, *, samples: int = 320) -> None:
        """Sends audio as fast as it goes."""
        for frame in frames(pcm, samples=samples):
            self.sent[self.seq] = frame
            self.seq += 1
            await self.send(self.seq - 1)
            await asyncio.sleep(0)

    async def send(self, seq: int) -> None:
        """Sends one frame, perhaps again."""
        await self._tell(MicFrame(sid=self.sid, seq=seq, pcm=self.sent[seq]))

    async def end_utterance(self, *, is_discarded: bool = False) -> None:
        """As the client's button does."""
        await self._tell(EndUtterance(sid=self.sid, is_discarded=is_discarded))

    async def close(self) -> None:
        """Lets the ears go."""
        await self._tell(CloseEars(sid=self.sid))

    async def _tell(self, message: MicFrame | EndUtterance | CloseEars) -> None:
        await self.bus.publish(subjects.mic(self.worker, self.sid), message)

    async def hears(self, kind: type[M], *, count: int = 1) -> M:
        """Waits for the ``count``-th event of a kind."""
        async with asyncio.timeout(WAIT_S):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)[count - 1]

    def of(self, kind: type[M]) -> list[M]:
        """Returns the events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def said(self) -> list[str]:
        """Returns the kinds of events, aside from those that come as time goes by."""
        told = (event for event in self.events if not isinstance(event, EarsAlive | SpeechProgress | Partial))
        return [type(event).__name__ for event in told]


def person(broker: MemoryBroker, sid: str = "sid1") -> Person:
    """Returns somebody with a gateway of their own."""
    return Person(broker.connect(f"gateway of {sid}"), sid)
