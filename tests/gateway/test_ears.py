"""The gateway's ears and real workers: whatever dies, each word is heard exactly once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from services.gateway.board import Outlook
from services.gateway.ears import (
    CLAIM_AGAIN_S,
    CLAIM_TIMEOUT_S,
    SILENT_IN_FLIGHT_S,
    SILENT_S,
    Ears,
    EarsEvent,
    EarsWanted,
    NoEars,
)
from services.gateway.surroundings import Surroundings
from services.stt.worker import SttWorker
from shared import subjects
from shared.bus import Outlet
from shared.bus.memory import MemoryBroker, MemoryBus
from shared.errors import EvaError, RequestTimedOut
from shared.messages import (
    AnyMessage,
    EarsAlive,
    EarsClaimed,
    EarsRefused,
    EndUtterance,
    Final,
    Message,
    OpenEars,
    Partial,
    SpeechStarted,
    TurnDetection,
)
from tests.fakes.ears import FakeEars
from tests.fakes.speech import frames, silence
from tests.fakes.tones import ToneReader, spoken, text_of
from tests.fakes.virtual_time import virtual_time
from tests.stt.rig import until, worker_of

GW, SID = "gw1", "sid1"


@dataclass
class Gateway:
    """One session of a gateway, from its microphone to what was heard."""

    ears: Ears
    told: list[EarsClaimed | EvaError]
    heard: list[EarsEvent] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, _: str, message: AnyMessage) -> None:
        event = cast("EarsEvent", message)
        if self.ears.is_current(event):
            self.heard.append(event)
            if isinstance(event, Final):
                self.ears.spoke_until(event)
        self.news.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]

    async def hears(self, kind: type[Any], count: int = 1) -> Any:
        async with asyncio.timeout(60):
            while len(self.of(kind)) < count:
                self.news.clear()
                await self.news.wait()
        return self.of(kind)[count - 1]

    async def say(self, pcm: np.ndarray, *, samples: int = 320) -> None:
        """Speaks as fast as the worker hears."""
        for number, frame in enumerate(frames(pcm, samples=samples)):
            self.ears.hear(frame)
            if number % 10 == 0:
                await until(lambda: self.ears._cursor == self.ears.ring.next_seq or self.ears.claimed is None)
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def listening(
    broker: MemoryBroker,
    *,
    detection: TurnDetection = "silence",
    outlook: Callable[[], Outlook] = lambda: "unknown",
) -> AsyncIterator[Gateway]:
    bus = broker.connect("gateway")
    loop = asyncio.get_running_loop()
    nothing: Any = None
    around = Surroundings(
        bus=bus,
        gw=GW,
        memory=nothing,
        observer=nothing,
        policy=nothing,
        clock=loop.time,
        ears_outlook=outlook,
    )
    told: list[EarsClaimed | EvaError] = []
    wanted = EarsWanted(rate_hz=16000, turn_detection=detection)
    gateway = Gateway(Ears(around, SID, wanted, told.append), told)
    await bus.subscribe(subjects.event(GW, SID, "stt"), gateway.take)
    running = asyncio.create_task(gateway.ears.run())
    try:
        yield gateway
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@dataclass
class Worker:
    """A worker that can be killed."""

    worker: SttWorker
    bus: MemoryBus
    task: asyncio.Task[None]

    async def kill(self) -> None:
        """Nobody is told."""
        self.bus.abort()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def start(broker: MemoryBroker, name: str, reader: ToneReader | None = None) -> Worker:
    worker = worker_of(reader or ToneReader(), name=name)
    await worker.warm_up()
    bus = broker.connect(name)
    task = asyncio.create_task(worker.serve(bus))
    await until(lambda: worker.facts().state != "starting")
    return Worker(worker, bus, task)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.mark.parametrize("words", [3, 14, 15, 16, 17, 25])
async def test_an_utterance_is_whole_wherever_its_worker_was_killed(broker: MemoryBroker, words: int) -> None:
    first = await start(broker, "first")
    async with listening(broker) as gateway:
        await until(lambda: gateway.ears.claimed is not None)
        pauses = {6: 0.2, 12: 0.2, 18: 0.2}
        pcm = np.concatenate([silence(0.4), spoken(28, pauses=pauses), silence(0.8)])
        middle = int((0.4 + words * 0.5 + 0.2 * sum(number < words for number in pauses)) * 16000)
        await gateway.say(pcm[:middle])
        second = await start(broker, "second")
        await first.kill()
        await gateway.say(pcm[middle:])
        final = await gateway.hears(Final)
        assert final.text == text_of(28)
        assert final.lease > 1
        await asyncio.sleep(0.3)
        assert len(gateway.of(Final)) == 1
        await second.kill()


async def test_what_was_settled_is_not_heard_again(broker: MemoryBroker) -> None:
    first, reader = await start(broker, "first"), ToneReader()
    async with listening(broker) as gateway:
        await until(lambda: gateway.ears.claimed is not None)
        await gateway.say(np.concatenate([silence(0.4), spoken(12, pauses={9: 0.25})]))
        await until(lambda: any(partial.stable for partial in gateway.of(Partial)))
        await until(lambda: gateway.ears._handover.is_midway)
        settled = gateway.ears._handover.prefix
        assert settled
        assert gateway.ears.ring.first_seq > 100
        second = await start(broker, "second", reader)
        reader.clips.clear()
        await first.kill()
        await until(lambda: gateway.ears.claimed is not None and gateway.ears.claimed.worker == "second")
        await gateway.say(silence(0.8))
        final = await gateway.hears(Final)
        assert final.text == text_of(12)
        assert len(gateway.of(SpeechStarted)) == 1, "it had begun long ago"
        heard_s = max(len(clip.pcm) for clip in reader.clips) / 16000
        assert heard_s < 6.5 - len(settled.split()) * 0.5 + 0.6
        await second.kill()


async def test_two_deaths_in_one_utterance_lose_nothing(broker: MemoryBroker) -> None:
    workers = [await start(broker, "w0")]
    async with listening(broker) as gateway:
        await until(lambda: gateway.ears.claimed is not None)
        await gateway.say(silence(0.4))
        for number in range(3):
            await gateway.say(spoken(12, first=12 * number, pauses={12 * number + 5: 0.25}))
            if number < 2:
                workers.append(await start(broker, f"w{number + 1}"))
                await workers[number].kill()
        await gateway.say(silence(0.8))
        assert (await gateway.hears(Final)).text == text_of(36)
        await workers[-1].kill()


async def test_a_worker_that_is_stopped_in_mid_utterance_hands_over_at_once(broker: MemoryBroker) -> None:
    first = await start(broker, "first")
    async with listening(broker) as gateway:
        await until(lambda: gateway.ears.claimed is not None)
        await gateway.say(np.concatenate([silence(0.4), spoken(12, pauses={9: 0.25})]))
        second = await start(broker, "second")
        first.worker.drain()
        await asyncio.wait_for(first.task, 60)
        await gateway.say(np.concatenate([spoken(3, first=12), silence(0.8)]))
        assert (await gateway.hears(Final)).text == text_of(15)
        await second.kill()


async def test_the_end_that_the_client_asked_for_outlives_the_worker_that_was_told(
    broker: MemoryBroker,
) -> None:
    reader = ToneReader(parallel=1)
    first = await start(broker, "first", reader)
    async with listening(broker, detection="manual") as gateway:
        await until(lambda: gateway.ears.claimed is not None)
        reader.may_answer.clear()
        await gateway.say(np.concatenate([silence(0.4), spoken(4)]))
        gateway.ears.end_utterance()
        await until(lambda: len(reader.clips) == 2)  # its final is being read
        second = await start(broker, "second")
        await first.kill()
        final = await gateway.hears(Final)
        assert (final.text, final.ended_by) == (text_of(4), "manual")
        reader.may_answer.set()
        await gateway.say(spoken(2, first=4))
        gateway.ears.end_utterance()
        assert (await gateway.hears(Final, 2)).text == text_of(2, first=4)
        await second.kill()


@virtual_time
async def test_what_is_known_of_the_persons_pauses_goes_to_the_next_worker() -> None:
    broker = MemoryBroker()
    fake = FakeEars(broker.connect("E1"), "E1")
    await fake.start()
    async with listening(broker) as gateway:
        await fake.claimed.wait()
        assert fake.opened is not None
        assert fake.opened.pace_ms == 0
        lease = fake.opened.lease
        await fake.say(Final(lease=lease, utterance=1, text="so", pace_ms=640.0))
        await gateway.hears(Final)
        other = FakeEars(broker.connect("E2"), "E2")
        assert fake._open is not None
        await fake._open.close()
        await other.start()
        await asyncio.wait_for(other.claimed.wait(), 60)
        assert other.opened is not None
        assert other.opened.pace_ms == 640.0
        assert gateway.ears.pace_ms == 640.0


async def test_a_long_utterance_takes_little_of_the_gateway(broker: MemoryBroker) -> None:
    worker = await start(broker, "first")
    async with listening(broker) as gateway:
        await until(lambda: gateway.ears.claimed is not None)
        most = 0
        await gateway.say(silence(0.4))
        for first in range(0, 160, 20):
            await gateway.say(spoken(20, first=first, pauses={first + 9: 0.25}), samples=640)
            await gateway.hears(EarsAlive, len(gateway.of(EarsAlive)) + 1)
            ring = gateway.ears.ring
            most = max(most, ring._end - ring.start_of(ring.first_seq))
        await gateway.say(silence(0.8))
        assert (await gateway.hears(Final)).text == text_of(160)
        assert most < 40 * 16000, "of 82 s; a worker that is late lets go of some by its next beat"
        await worker.kill()


@virtual_time
async def test_long_frames_of_a_client_are_cut() -> None:
    broker = MemoryBroker()
    fake = FakeEars(broker.connect("E1"), "E1")
    await fake.start()
    async with listening(broker) as gateway:
        pcm = np.arange(5000, dtype=np.int16)
        gateway.ears.hear(pcm.tobytes())
        await fake.frames_up_to(7)
        assert [len(frame.pcm) for frame in fake.frames] == [1280] * 7 + [1040]
        assert b"".join(frame.pcm for frame in fake.frames) == pcm.tobytes()


@pytest.mark.parametrize(
    ("outlook", "why", "again_ms"),
    [
        ("busy", "are taken", 3000),
        ("starting", "just starting", 1000),
        ("gone", "no worker", 5000),
        ("unknown", "nobody", 1000),
    ],
)
async def test_nobody_listens_is_told_with_the_reason_and_when_to_come_back(
    broker: MemoryBroker, outlook: Outlook, why: str, again_ms: int
) -> None:
    async with listening(broker, outlook=lambda: outlook) as gateway:
        await until(lambda: bool(gateway.told))
        [error] = gateway.told
        assert isinstance(error, NoEars)
        assert why in error.reason
        assert error.retry_after_ms == again_ms


async def test_a_worker_that_has_no_room_after_all_says_when_to_come_back(broker: MemoryBroker) -> None:
    def refuse(message: AnyMessage) -> Message:
        assert isinstance(message, OpenEars)
        return EarsRefused(code="busy", message="this worker has no room", retry_after_ms=700)

    await broker.connect("E1").serve(subjects.STT_OPEN, refuse, queue=subjects.STT_QUEUE)
    async with listening(broker) as gateway:
        await until(lambda: bool(gateway.told))
        [error] = gateway.told
        assert isinstance(error, NoEars)
        assert (error.reason, error.retry_after_ms) == ("this worker has no room", 700)


@pytest.mark.parametrize("answers_again", [True, False])
@virtual_time
async def test_who_is_slow_to_answer_is_asked_again_before_anybody_is_told(answers_again: bool) -> None:
    broker = MemoryBroker()
    frozen = broker.connect("frozen")
    await frozen.subscribe(subjects.STT_OPEN, lambda _subject, _message: None)
    async with listening(broker) as gateway:
        await asyncio.sleep(CLAIM_TIMEOUT_S + 0.1)
        assert gateway.told == []
        if answers_again:
            await FakeEars(broker.connect("E1"), "E1").start()
        await asyncio.sleep(CLAIM_AGAIN_S + CLAIM_TIMEOUT_S)
        (told,) = gateway.told
        assert isinstance(told, EarsClaimed if answers_again else RequestTimedOut)


@pytest.mark.parametrize("in_flight", [True, False])
@virtual_time
async def test_a_death_is_noticed_sooner_while_somebody_is_waiting(in_flight: bool) -> None:
    broker = MemoryBroker()
    first, second = (FakeEars(broker.connect(name), name) for name in ("E1", "E2"))
    await first.start()
    async with listening(broker) as gateway:
        await first.claimed.wait()
        await asyncio.sleep(0.01)
        assert first.opened is not None
        if in_flight:
            await first.say(SpeechStarted(lease=first.opened.lease, utterance=1, at_ms=0))
            await gateway.hears(SpeechStarted)
        assert first._open is not None
        await first._open.close()
        await second.start()
        died_at = asyncio.get_running_loop().time()
        await second.claimed.wait()
        noticed_s = asyncio.get_running_loop().time() - died_at
        silent_s = SILENT_IN_FLIGHT_S if in_flight else SILENT_S
        assert silent_s - 0.05 <= noticed_s <= silent_s + 0.15


@virtual_time
async def test_an_end_before_any_word_reaches_the_worker_in_its_place() -> None:
    broker = MemoryBroker()
    fake = FakeEars(broker.connect("E1"), "E1")
    await fake.start()
    async with listening(broker) as gateway:
        await fake.claimed.wait()
        gateway.ears.hear(bytes(640))
        gateway.ears.end_utterance()
        gateway.ears.hear(bytes(640))
        await fake.frames_up_to(1)
        kinds = [type(message) for message in fake.got]
        assert kinds.index(EndUtterance) == 1


class Behind:
    """An outlet to a broker that reads nothing for a while."""

    def __init__(self, outlet: Outlet) -> None:
        self.reads = asyncio.Event()
        self.refused = 0
        self._outlet = outlet

    def post(self, message: Message) -> bool:
        if not self.reads.is_set():
            self.refused += 1
            return False
        return self._outlet.post(message)


@virtual_time
async def test_a_broker_that_falls_behind_costs_nobody_their_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, outlets = MemoryBroker(), list[Behind]()
    usual = MemoryBus.outlet

    def outlet(bus: MemoryBus, subject: str) -> Behind:
        outlets.append(Behind(usual(bus, subject)))
        return outlets[-1]

    monkeypatch.setattr(MemoryBus, "outlet", outlet)
    ears = FakeEars(broker.connect("ears"), "E1")
    await ears.start()
    async with listening(broker) as gateway:
        await ears.claimed.wait()
        for _ in range(30):
            gateway.ears.hear(bytes(640))
            await ears.beat()
            await asyncio.sleep(0.1)
        assert ears.frames == []
        assert 0 < outlets[0].refused <= 2 * 30
        outlets[0].reads.set()
        await ears.frames_up_to(29)
        assert [frame.seq for frame in ears.frames] == list(range(30))
        assert gateway.ears.lease == 1


@virtual_time
async def test_ears_are_lost_at_once_with_the_broker() -> None:
    broker = MemoryBroker()
    ears = FakeEars(broker.connect("ears"), "E1")
    await ears.start()
    async with listening(broker) as gateway:
        await ears.claimed.wait()
        await asyncio.sleep(0.1)
        broker.go_down()
        gateway.ears.hear(bytes(640))
        await asyncio.sleep(SILENT_S / 4)
        assert gateway.ears.claimed is None
