"""Where transcriptions wait for a thread: finals first, partials only while there is room to spare.

As many threads run as the engine takes calls at once. What waits is taken by priority, and clips of different
sessions go together in one call where the engine said that this pays. One thread is kept free of whatever can
wait, so a final or a draft never stands behind a partial; partials have a bounded share of the threads' time.
What an engine does not answer in time is given up; when all threads hang, the worker is of no use any more
and says so (``lost``), so that its supervisor starts it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum

from services.stt.allowance import Allowance
from services.stt.chain import Chain, Heard
from services.stt.engine import RATE_HZ, Clip, EngineInfo, Incremental
from services.stt.stream import Stream
from services.stt.threads import DaemonPool
from shared.errors import EngineFailed
from shared.meter import UNMETERED, Meter

PARTIAL_BUDGET_S = 0.5
"""A partial that would take longer is not worth its while."""
PARTIAL_SHARE = 0.3
"""Of the threads' time."""
EARLY_RESERVE_S = 0.3
"""Of the partials' allowance, for those that an interruption is judged by."""


Outcome = Heard | Exception


class Priority(IntEnum):
    """Who goes first."""

    FINAL = 0
    DRAFT = 1
    SETTLE = 2
    EARLY = 3
    """A partial of an utterance's first moments: whether it interrupts is judged by it."""
    PARTIAL = 4
    FILE = 5

    @property
    def can_wait(self) -> bool:
        """Whether nobody waits for it in silence."""
        return self >= Priority.EARLY


class Work:
    """A clip that waits for a thread, or is under way, or done."""

    def __init__(self, clip: Clip, priority: Priority, number: int, submitted_s: float) -> None:
        self.clip, self.priority, self.number = clip, priority, number
        self.submitted_s = submitted_s
        self.is_taken = False
        """Whether a thread has it; before that, cancelling ``done`` takes it back."""
        self.spent_s = 0.0
        """Its part of the thread's time."""
        self.done: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()

    def __lt__(self, other: Work) -> bool:
        return (self.priority, self.number) < (other.priority, other.number)


class Desk:
    """Hands audio to the chain in threads."""

    def __init__(
        self,
        chain: Chain,
        *,
        parallel: int,
        timeout_s: float = 30.0,
        meter: Meter = UNMETERED,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock_s`` tells what the calls cost, by which partials are admitted."""
        self._chain = chain
        self._meter, self._clock_s = meter, clock_s
        self._parallel = parallel
        self._timeout_s = timeout_s
        self._threads = DaemonPool(parallel, "stt")
        self._waiting: list[Work] = []
        """A heap."""
        self._wake: asyncio.Handle | None = None
        self._running = self._patient = self._submitted = 0
        self._hung: set[Future[list[Outcome]]] = set()
        self._allowance = Allowance(per_s=PARTIAL_SHARE * parallel, most_s=max(1.0, PARTIAL_SHARE * parallel))
        self.lost = asyncio.Event()
        """Set when every thread hangs, or no engine is left."""
        self.wall_s = 0.0
        """Of the last transcription."""
        self.rtf = 0.0
        """Its wall time by the length of its audio."""
        self.partials_shed = 0
        self.batches = 0
        """Calls that served more than one session."""

    @property
    def info(self) -> EngineInfo | None:
        """The engine that serves now."""
        return self._chain.info

    @property
    def is_fed(self) -> bool:
        """Whether the engine that serves can decode while a person speaks."""
        link = self._chain.serving
        return link is not None and isinstance(link.engine, Incremental)

    def begin(self, language: str | None, learnt: str = "") -> Stream | None:
        """Returns a decoding of what is about to be said, where the engine that serves can do that."""
        return Stream(self._chain, language, learnt) if self.is_fed else None

    async def transcribe(self, clip: Clip, priority: Priority = Priority.FINAL) -> Heard:
        """Returns what is said.

        Raises:
            UnsupportedLanguage, EngineFailed: as the chain; ``EngineFailed`` also when it takes too long.
        """
        return await self.submit(clip, priority).done

    def submit(self, clip: Clip, priority: Priority) -> Work:
        """Takes a clip; ``done`` of what is returned tells the outcome, or raises as ``transcribe``."""
        self._submitted += 1
        work = Work(clip, priority, self._submitted, self._clock_s())
        heapq.heappush(self._waiting, work)
        self._wake_up()
        return work

    def promote(self, work: Work, priority: Priority) -> None:
        """Lets a work that waits go before others."""
        work.priority = min(work.priority, priority)
        heapq.heapify(self._waiting)
        self._wake_up()

    def admits_partial(self, cost_s: float, *, is_early: bool) -> bool:
        """Whether a partial would hold nobody up; it is paid for then, and counted if it is shed."""
        info = self._chain.info
        room = max(1, info.max_batch if info is not None else 1)
        waiting = sum(not work.done.done() for work in self._waiting)
        wanted_s = cost_s if is_early else cost_s + EARLY_RESERVE_S
        is_admitted = (
            self._parallel > 1
            and waiting < room
            and cost_s <= PARTIAL_BUDGET_S
            and self._allowance.admits(wanted_s, self._clock_s())
        )
        if is_admitted:
            self._allowance.spend(cost_s)
        self.partials_shed += not is_admitted
        return is_admitted

    def settle_up(self, expected_s: float, spent_s: float) -> None:
        """A partial has cost something else than was expected."""
        self._allowance.spend(spent_s - expected_s)

    def cost_s(self, samples: int) -> float:
        """Returns how long so much audio is expected to take."""
        info = self._chain.info
        return self.wall_s if info is None or info.is_windowed else self.rtf * samples / RATE_HZ

    def close(self) -> None:
        """Lets the threads and the engines go."""
        self._threads.close()
        self._chain.close()

    def _wake_up(self) -> None:
        if self._wake is None:  # what comes in the same turn of the loop is looked at together
            self._wake = asyncio.get_running_loop().call_soon(self._hand_out)

    def _hand_out(self) -> None:
        """Gives waiting works to free threads."""
        self._wake = None
        while self._running < self._parallel and (first := self._next()) is not None:
            if first.priority.can_wait and self._patient >= max(1, self._parallel - 1):
                return
            batch = [heapq.heappop(self._waiting)]
            info = self._chain.info
            while len(batch) < (info.max_batch if info is not None else 1):
                other = self._next()
                if other is None or other.priority.can_wait != first.priority.can_wait:
                    break
                batch.append(heapq.heappop(self._waiting))
            self._take_up(batch)

    def _next(self) -> Work | None:
        while self._waiting and self._waiting[0].done.done():
            heapq.heappop(self._waiting)
        return self._waiting[0] if self._waiting else None

    def _take_up(self, batch: list[Work]) -> None:
        loop = asyncio.get_running_loop()
        self._running += 1
        self._patient += batch[0].priority.can_wait
        self.batches += len(batch) > 1
        for work in batch:
            work.is_taken = True
            if not work.priority.can_wait:
                self._meter.taken_up(self._clock_s() - work.submitted_s)
        call = self._threads.submit(lambda: self._timed(batch))
        overdue = loop.call_later(self._timeout_s, self._overdue, batch, call)

        def came_back(_: Future[list[Outcome]]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has gone meanwhile
                loop.call_soon_threadsafe(self._came_back, batch, call, overdue)

        call.add_done_callback(came_back)

    def _overdue(self, batch: list[Work], call: Future[list[Outcome]]) -> None:
        if call.done():
            return
        self._hung.add(call)
        if len(self._hung) >= self._parallel:
            self.lost.set()
        for work in batch:
            _answer(work, EngineFailed("stt", f"no answer within {self._timeout_s:g} s"))

    def _came_back(
        self, batch: list[Work], call: Future[list[Outcome]], overdue: asyncio.TimerHandle
    ) -> None:
        overdue.cancel()
        self._hung.discard(call)
        self._running -= 1
        self._patient -= batch[0].priority.can_wait
        if self._chain.info is None:
            self.lost.set()
        for work, outcome in zip(batch, call.result(), strict=True):
            _answer(work, outcome)
        self._hand_out()

    def _timed(self, batch: list[Work]) -> list[Outcome]:
        began = self._clock_s()
        clips = [work.clip for work in batch]
        try:
            outcomes: list[Outcome] = list(self._chain.transcribe_batch(clips))
        except Exception as defect:  # noqa: BLE001 - it is raised where it belongs
            outcomes = [defect] if len(clips) == 1 else [self._alone(clip) for clip in clips]
        self.wall_s = self._clock_s() - began
        self.rtf = self.wall_s * RATE_HZ / max(1, sum(len(clip.pcm) for clip in clips))
        for work in batch:
            work.spent_s = self.wall_s / len(batch)
        return outcomes

    def _alone(self, clip: Clip) -> Outcome:
        """What becomes of a clip of a batch with a defect in it: that must not be the others' as well."""
        try:
            return self._chain.transcribe(clip)
        except Exception as error:  # noqa: BLE001 - it is raised where it belongs
            return error


def _answer(work: Work, outcome: Outcome) -> None:
    """Tells the outcome to whoever still waits for it."""
    if work.done.done():
        return
    if isinstance(outcome, Heard):
        work.done.set_result(outcome)
    else:
        work.done.set_exception(outcome)
