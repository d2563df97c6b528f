"""The voice's worker: pulls segments, publishes their chunks as they are made, stops when told to.

An item that is delivered again is simply made again: its chunks carry their position, and the gateway skips
what it has sent. A thread cannot be stopped, so a cancelled segment's thread ends at its next chunk, while
nothing of it is published from the moment of the cancel. For the same reason there are spare threads: one
that hangs in a library costs a thread, neither a slot nor its lane of the device.

It takes as many segments at the same time as the device was measured to make in real time; more stay in the
queue, for other workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.tts.admission import MOST_STREAMS, Capacity, slots
from services.tts.cache import PhraseCache
from services.tts.capacity import measure
from services.tts.chain import Chain
from services.tts.device_health import Machine
from services.tts.engine import Engine, Prosody
from services.tts.lanes import Lanes, Listener
from services.tts.moods import DEFAULT
from services.tts.production import Production, Stalled
from services.tts.report import Figures, Report
from services.tts.schedule import Rules
from services.tts.segment import Made, Orders, make
from services.tts.speech_meter import UNMETERED, SpeechMeter
from services.tts.threads import Threads
from shared import subjects
from shared.bus import Bus, Consumer, Job, Reject
from shared.cancelled import Cancelled
from shared.errors import EngineFailed
from shared.instruments import Instruments
from shared.messages import AnyMessage, Cancel, Facts, Stage, State, Synthesize
from shared.queues import TTS_WORK

STALL_S = 8.0
"""An engine that takes so long for a piece hangs."""
SPARE_THREADS = 4
"""For cancelled segments, whose threads end with the piece that they are at."""


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What the worker is told by the settings."""

    name: str
    slots: int = 2
    """Segments made at the same time; 0: as many as the device was measured to make in real time."""
    lanes: Callable[[str], int] = lambda _: 2
    """How many compute at the same time on a device, by its name."""
    measure_s: float = 30.0
    """How long measuring may take."""
    chunk_ms: int = 60
    device_wanted: str = "auto"
    stall_s: float = STALL_S
    moods: Mapping[str, Prosody] = field(default_factory=lambda: DEFAULT)
    cache_bytes: int = 16_000_000
    """For phrases that come again and again; 0: none are kept."""


@dataclass
class _Tally:
    """What the facts tell."""

    busy: int = 0
    done: int = 0
    failed: int = 0
    succeeded_at: float | None = None
    first_audio_ms: float = 0.0
    real_time_factor: float = 0.0


class TtsWorker:
    """Speaks segments of the work queue."""

    stage: Stage = "tts"

    def __init__(
        self,
        options: WorkerOptions,
        build: Callable[[], Chain],
        machine: Machine | None = None,
        *,
        instruments: Instruments | None = None,
        speech: SpeechMeter = UNMETERED,
    ) -> None:
        self.instruments, self._speech = instruments or Instruments(), speech
        self._options, self._build, self._machine = options, build, machine or Machine()
        self._chain: Chain | None = None
        self._consumer: Consumer | None = None
        self._is_draining = False
        self._cancelled = Cancelled()
        self._running: set[tuple[str, str, int, asyncio.Task[None]]] = set()
        self._tally = _Tally()
        self._phrases = PhraseCache(options.cache_bytes)
        self._batches: dict[str, int] = {}
        """Windows that one call decodes, by device."""
        self._lanes = Lanes(self._count, rules=Rules(hang_s=options.stall_s))
        self._capacity: Capacity | None = None
        self._slots = options.slots
        self._threads = Threads((options.slots or MOST_STREAMS) + SPARE_THREADS, "voice")

    async def warm_up(self) -> None:
        """Loads and proves the engines. Raises ``EngineRefused`` if none can serve."""
        options = self._options
        chain = await asyncio.get_running_loop().run_in_executor(self._threads, self._build)
        for fact in chain.facts():
            batch = int(fact.numbers.get("batch", 1))
            self._batches[fact.device] = max(batch, self._batches.get(fact.device, 1))
        if not options.slots:
            capacity = await measure(chain, self._lanes, self._threads, within_s=options.measure_s)
            self._slots, self._capacity = slots(capacity, lanes=self._lanes.count("cpu")), capacity
        self._chain = chain
        self._tally.succeeded_at = time.monotonic()

    async def serve(self, bus: Bus) -> None:
        """Takes segments until drained."""
        assert self._chain is not None
        await bus.declare(TTS_WORK)
        cancels = await bus.subscribe(subjects.CANCEL_ALL, self._on_cancel)
        chain = self._chain

        async def speak(job: Job) -> None:
            await self._on_job(bus, chain, job)

        self._consumer = bus.consumer(TTS_WORK, slots=self._slots, handler=speak)
        if self._is_draining:
            self._consumer.drain()
        try:
            await self._consumer.run()
        finally:
            self._threads.shutdown()
            await cancels.close()

    def drain(self) -> None:
        """Takes no new segment; ``serve`` returns when those in hand are done."""
        self._is_draining = True
        if self._consumer is not None:
            self._consumer.drain()

    def facts(self) -> Facts:
        """Returns what is true now."""
        tally, chain = self._tally, self._chain
        broken = self._machine.trouble() if chain else ""
        trouble = broken or (chain.trouble() if chain else "")
        state: State = (
            "starting" if chain is None else "failed" if broken else "degraded" if trouble else "ready"
        )
        since = tally.succeeded_at
        return Facts(
            stage="tts",
            worker=self._options.name,
            state="draining" if self._is_draining else state,
            pid=os.getpid(),
            engines=self._machine.told(chain.facts()) if chain else [],
            device_wanted=self._options.device_wanted,
            slots=self._slots,
            busy=tally.busy,
            done=tally.done,
            failed=tally.failed,
            last_success_s=None if since is None else time.monotonic() - since,
            detail=trouble,
            numbers={
                "first_audio_ms": tally.first_audio_ms,
                "real_time_factor": tally.real_time_factor,
                "waiting_for_turns": self._lanes.waiting(),
                **self._carried(),
                **self._phrases.numbers(),
                **self._machine.numbers(),
            },
        )

    def _count(self, device: str) -> int:
        """Returns how many compute on a device at the same time; to be called when the voices are loaded."""
        return max(self._options.lanes(device), self._batches.get(device, 1))

    def _carried(self) -> dict[str, float]:
        """Returns how many streams the device carries in real time, where that was measured."""
        if self._capacity is None:
            return {}
        return {"lanes": self._capacity.lanes, "streams": self._capacity.streams}

    def _on_cancel(self, subject: str, message: AnyMessage) -> None:
        if not isinstance(message, Cancel):
            return
        gw = subject.split(".")[3]
        self._cancelled.add(gw, message.sid, message.turn)
        for owner, sid, turn, task in self._running:
            if (owner, sid) == (gw, message.sid) and turn <= message.turn:
                task.cancel()

    async def _on_job(self, bus: Bus, chain: Chain, job: Job) -> None:
        item = job.message
        if not isinstance(item, Synthesize):
            raise Reject
        if self._cancelled.covers(item.gw, item.sid, item.turn):
            return
        report = Report(bus, self._options.name, item, job.delivery, instruments=self.instruments)
        remaining_s = item.remaining_ms / 1000 - job.waited_s
        if remaining_s <= 0:
            await report.failed("expired", "waited longer than the turn had left")
            return
        self._tally.busy += 1
        try:
            with report.measured(job.waited_s):
                async with asyncio.TaskGroup() as tasks:
                    speaking = tasks.create_task(self._speak(chain, item, report, job.waited_s, remaining_s))
                    beating = tasks.create_task(report.beat())
                    entry = (item.gw, item.sid, item.turn, speaking)
                    self._running.add(entry)
                    speaking.add_done_callback(lambda _: self._running.discard(entry))
                    speaking.add_done_callback(lambda _: beating.cancel())
        finally:
            self._tally.busy -= 1

    async def _speak(
        self, chain: Chain, item: Synthesize, report: Report, waited_s: float, remaining_s: float
    ) -> None:
        try:
            async with asyncio.timeout(remaining_s):
                if (kept := self._phrases.lookup(item)) is not None:
                    await self._publish_kept(kept, item, report, waited_s)
                else:
                    await self._publish_chunks(chain, item, report, waited_s)
        except TimeoutError:
            self._tally.failed += 1
            await report.failed("expired", "not done within what the turn had left")
        except EngineFailed as failure:
            self._tally.failed += 1
            await report.failed(failure.code, failure.reason)

    async def _publish_kept(
        self, kept: list[Made], item: Synthesize, report: Report, waited_s: float
    ) -> None:
        """A phrase that was made before: it waits for no thread and no turn of the device."""
        begin = time.monotonic()
        figures = Figures(queue_ms=1000 * waited_s, rate_hz=item.audio.rate_hz, is_cached=True)
        self._speech.cached()
        await report.working(0)
        for chunk in kept:
            await report.timing(chunk)
            await report.chunk(figures.chunks, chunk)
            if figures.chunks == 0:
                figures.first_audio_ms = 1000 * (time.monotonic() - begin)
            figures.add(chunk)
        figures.total_ms = 1000 * (time.monotonic() - begin)
        await report.done(figures)
        self._tally.done += 1

    async def _publish_chunks(self, chain: Chain, item: Synthesize, report: Report, waited_s: float) -> None:
        begin = time.monotonic()
        asked: list[Engine] = []
        listener = self._listener(item, report)
        orders = Orders(
            chunk_ms=self._options.chunk_ms, listener=listener, asked=asked, moods=self._options.moods
        )
        chunks = self._phrases.through(item, chain, lambda: make(chain, item, orders))
        figures = Figures(queue_ms=1000 * waited_s, rate_hz=item.audio.rate_hz)
        production = Production(chunks, stall_s=self._options.stall_s, computing_s=listener.computing_s)
        with contextlib.closing(listener), production.running(self._threads) as made:
            await report.working(0)
            try:
                async for chunk in made:
                    if figures.chunks == 0:
                        figures.first_audio_ms = 1000 * (time.monotonic() - begin)
                    await report.timing(chunk)
                    await report.chunk(figures.chunks, chunk)
                    figures.add(chunk)
            except Stalled as stalled:
                self._threads.give_up_one()
                for engine in asked[-1:]:
                    chain.blame(engine, str(stalled), hangs=True)
                raise EngineFailed("tts", str(stalled)) from stalled
            finally:
                if figures.engine:
                    computed_s, sound_s = listener.computed_s, listener.made_s
                    self._speech.spoke(figures.engine, figures.device, computed_s=computed_s, sound_s=sound_s)
        figures.total_ms = 1000 * (time.monotonic() - begin)
        await report.done(figures)
        tally = self._tally
        tally.done += 1
        if figures.samples:
            tally.succeeded_at, tally.first_audio_ms = time.monotonic(), figures.first_audio_ms
            tally.real_time_factor = listener.computed_s / listener.made_s

    def _listener(self, item: Synthesize, report: Report) -> Listener:
        """Who begins a turn is waited for in silence; so is one who is spoken anew, as a rule."""
        is_again = item.take > 1 or report.delivery > 1
        return self._lanes.listener(
            (item.gw, item.sid, item.turn),
            item.segment,
            is_awaited=item.segment == 0 or is_again,
            within_s=item.remaining_ms / 1000,
        )
