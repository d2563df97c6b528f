"""The voice's worker: pulls segments, publishes their chunks as they are made, stops when told to.

An item that is delivered again is simply made again: its chunks carry their position, and the gateway skips
what it has sent. A thread cannot be stopped, so a cancelled segment's thread ends at its next chunk, while
nothing of it is published from the moment of the cancel. For the same reason the pool has spare threads:
one that hangs in a library costs a thread, not a slot.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from services.tts.chain import Chain
from services.tts.engine import Engine
from services.tts.production import Production, Stalled
from services.tts.report import Figures, Report
from services.tts.segment import make
from shared import subjects
from shared.bus import Bus, Consumer, Job, Reject
from shared.cancelled import Cancelled
from shared.errors import EngineFailed
from shared.messages import AnyMessage, Cancel, Facts, Stage, State, Synthesize
from shared.queues import TTS_WORK

STALL_S = 8.0
"""An engine that gives no chunk for so long hangs."""
SPARE_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What the worker is told by the settings."""

    name: str
    slots: int = 2
    chunk_ms: int = 60
    device_wanted: str = "auto"
    stall_s: float = STALL_S


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

    def __init__(self, options: WorkerOptions, build: Callable[[], Chain]) -> None:
        self._options, self._build = options, build
        self._chain: Chain | None = None
        self._consumer: Consumer | None = None
        self._is_draining = False
        self._cancelled = Cancelled()
        self._running: set[tuple[str, str, int, asyncio.Task[None]]] = set()
        self._tally = _Tally()
        self._threads = ThreadPoolExecutor(options.slots + SPARE_THREADS, thread_name_prefix="voice")

    async def warm_up(self) -> None:
        """Loads and proves the engines. Raises ``EngineRefused`` if none can serve."""
        self._chain = await asyncio.get_running_loop().run_in_executor(self._threads, self._build)
        self._tally.succeeded_at = time.monotonic()

    async def serve(self, bus: Bus) -> None:
        """Takes segments until drained."""
        assert self._chain is not None
        await bus.declare(TTS_WORK)
        cancels = await bus.subscribe(subjects.CANCEL_ALL, self._on_cancel)
        chain = self._chain

        async def speak(job: Job) -> None:
            await self._on_job(bus, chain, job)

        self._consumer = bus.consumer(TTS_WORK, slots=self._options.slots, handler=speak)
        if self._is_draining:
            self._consumer.drain()
        try:
            await self._consumer.run()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            await cancels.close()

    def drain(self) -> None:
        """Takes no new segment; ``serve`` returns when those in hand are done."""
        self._is_draining = True
        if self._consumer is not None:
            self._consumer.drain()

    def facts(self) -> Facts:
        """Returns what is true now."""
        tally, chain = self._tally, self._chain
        trouble = chain.trouble() if chain else ""
        state: State = "starting" if chain is None else "degraded" if trouble else "ready"
        since = tally.succeeded_at
        return Facts(
            stage="tts",
            worker=self._options.name,
            state="draining" if self._is_draining else state,
            pid=os.getpid(),
            engines=chain.facts() if chain else [],
            device_wanted=self._options.device_wanted,
            slots=self._options.slots,
            busy=tally.busy,
            done=tally.done,
            failed=tally.failed,
            last_success_s=None if since is None else time.monotonic() - since,
            detail=trouble,
            numbers={
                "first_audio_ms": tally.first_audio_ms,
                "real_time_factor": tally.real_time_factor,
            },
        )

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
        report = Report(bus, self._options.name, item, job.delivery)
        remaining_s = item.remaining_ms / 1000 - job.waited_s
        if remaining_s <= 0:
            await report.failed("expired", "waited longer than the turn had left")
            return
        self._tally.busy += 1
        try:
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
                await self._publish_chunks(chain, item, report, waited_s)
        except TimeoutError:
            self._tally.failed += 1
            await report.failed("expired", "not done within what the turn had left")
        except EngineFailed as failure:
            self._tally.failed += 1
            await report.failed(failure.code, failure.reason)

    async def _publish_chunks(self, chain: Chain, item: Synthesize, report: Report, waited_s: float) -> None:
        begin = time.monotonic()
        asked: list[Engine] = []
        chunks = make(chain, item, chunk_ms=self._options.chunk_ms, asked=asked)
        figures = Figures(queue_ms=1000 * waited_s, rate_hz=item.audio.rate_hz)
        production = Production(chunks, stall_s=self._options.stall_s)
        with production.running(self._threads) as made:
            await report.working(0)
            try:
                async for chunk in made:
                    if figures.chunks == 0:
                        figures.first_audio_ms = 1000 * (time.monotonic() - begin)
                    await report.chunk(figures.chunks, chunk)
                    figures.add(chunk)
            except Stalled as stalled:
                for engine in asked[-1:]:
                    chain.blame(engine, str(stalled), hangs=True)
                raise EngineFailed("tts", str(stalled)) from stalled
        figures.total_ms = 1000 * (time.monotonic() - begin)
        await report.done(figures)
        tally = self._tally
        tally.done += 1
        if figures.samples:
            tally.succeeded_at, tally.first_audio_ms = time.monotonic(), figures.first_audio_ms
            tally.real_time_factor = figures.total_ms / 1000 * figures.rate_hz / figures.samples
