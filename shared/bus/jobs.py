"""The consumer of a work queue: slots, heartbeats, what becomes of each job. Both buses use this one.

A ``Source`` asks a broker for as many deliveries as there are free slots; each runs as a task of ``run``'s
own group. While jobs are in hand one task tells the broker so, four times within the queue's ``ack_wait_s``.
A ``Door`` brings what is held up in the queue past it (``shared.bus.rush``); the copy that comes later is
acknowledged, and not done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from shared import trace
from shared.bus import Job, JobHandler, Reject, WorkQueue
from shared.bus.dispatch import Counts, note_malformed
from shared.bus.rush import Copy, Ledger
from shared.errors import BusDown, MalformedMessage
from shared.messages import decode
from shared.observe import Log, logged_with

log = Log("eva.bus")

RETRY_DELAY_S = 0.1
"""Before a job whose handler raised goes to a worker again."""
BEATS_PER_ACK_WAIT = 4


class Delivery(Protocol):
    """An item in hand, and what can be said to the broker about it; none of it raises."""

    subject: str
    payload: bytes
    item_id: str
    """The same for all copies of an item; "": nobody knows."""
    number: int
    """1 the first time."""
    waited_s: float
    is_rushed: bool
    """It came past the queue."""
    traceparent: str
    """Where it stands in a trace, as its header has it; empty: in none."""

    async def begun(self) -> None:
        """It has been taken up."""

    async def acknowledge(self) -> None:
        """It is done."""

    async def keep(self) -> None:
        """It is being worked on: do not give it to another."""

    async def give_back(self, delay_s: float) -> None:
        """Give it to another, after so many seconds."""

    async def drop(self) -> None:
        """It is never to be delivered again."""


Take = Callable[[Delivery], Awaitable[None]]


class Source(Protocol):
    """Where a consumer's deliveries come from."""

    async def open(self, take: Take, free: Callable[[], int]) -> None:
        """Gets ready; ``free()`` is how many deliveries are wanted now, each is given to ``take``."""

    async def fill(self) -> None:
        """Asks for what is wanted and not asked for yet."""

    async def tend(self) -> None:
        """Repairs what breaks, until cancelled or with nothing to repair."""

    async def close(self) -> None:
        """Asks no more; once it returns nothing comes any more."""


class Desk(Protocol):
    """The consumer, as its door sees it."""

    def knows(self, item_id: str) -> bool:
        """Whether somebody has this item or had it, as far as is known here."""

    def is_free(self) -> bool:
        """Whether another job can be taken."""

    async def accept(self, delivery: Delivery) -> bool:
        """Begins a job that comes past the queue, where there is room."""

    def rushed_elsewhere(self, item_id: str) -> None:
        """Another consumer was given this item past the queue."""


class Door(Protocol):
    """Where items come in past the queue."""

    async def run(self, desk: Desk) -> None:
        """Lets them in until cancelled."""


def is_outage(error: BaseException) -> bool:
    """Whether nothing but the broker's absence stopped a job."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(BusDown)[1] is None
    return isinstance(error, BusDown)


class PullConsumer:
    """Pulls jobs of one queue, as many as it has free slots, and keeps those in hand alive."""

    def __init__(
        self,
        queue: WorkQueue,
        source: Source,
        *,
        slots: int,
        handler: JobHandler,
        counts: Counts,
        door: Door | None = None,
    ) -> None:
        self._queue, self._source, self._slots = queue, source, slots
        self._handler, self._counts, self._door = handler, counts, door
        self._in_hand: dict[Delivery, list[Delivery]] = {}
        """With the copies that came of each, itself the first."""
        self._ledger = Ledger()
        self._drained = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Works until drained (returns) or cancelled (jobs in hand are cancelled and given back)."""
        async with asyncio.TaskGroup() as helpers:
            beating = helpers.create_task(self._beat(), name=f"{self._queue.name}-beat")
            tending = helpers.create_task(self._source.tend(), name=f"{self._queue.name}-tend")
            letting_in = helpers.create_task(self._let_in(), name=f"{self._queue.name}-door")
            try:
                await self._pull()
            finally:
                await self._give_back_all()
            for helper in (beating, tending, letting_in):
                helper.cancel()

    async def _let_in(self) -> None:
        if self._door is not None:
            await self._door.run(self)

    async def _pull(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await self._source.open(self._take, self._free)
                await self._source.fill()
                await self._drained.wait()
            finally:
                self._drained.set()
                await self._source.close()
                self._tasks = None

    async def _give_back_all(self) -> None:
        """Gives back the jobs whose task was cancelled before its first step."""
        for delivery in list(self._in_hand):
            await self._give_back(delivery, 0.0)
        self._in_hand.clear()

    def drain(self) -> None:
        """Takes no new job; ``run`` returns when those in hand are done."""
        self._drained.set()

    def _free(self) -> int:
        return 0 if self._drained.is_set() else self._slots - len(self._in_hand)

    async def _take(self, delivery: Delivery) -> None:
        """Begins a job, or gives at once back what was asked for in better times."""
        match self._ledger.judge(delivery.item_id, delivery.number, _now()):
            case Copy.SPARE:
                await delivery.begun()
                await delivery.acknowledge()
            case Copy.IN_HAND:
                await delivery.begun()
                self._copies(delivery.item_id).append(delivery)
            case Copy.NEW if self._tasks is None or self._free() <= 0:
                await delivery.give_back(0.0)
            case Copy.NEW:
                await self._begin(delivery)

    def _copies(self, item_id: str) -> list[Delivery]:
        """Returns what came of an item that is in hand."""
        return next((copies for first, copies in self._in_hand.items() if first.item_id == item_id), [])

    async def _begin(self, delivery: Delivery) -> None:
        assert self._tasks is not None
        self._in_hand[delivery] = [delivery]
        self._ledger.begin(delivery.item_id, _now(), is_rushed=delivery.is_rushed)
        self._tasks.create_task(self._work(delivery), name=f"{self._queue.name}-job")
        await delivery.begun()

    def knows(self, item_id: str) -> bool:
        """Whether somebody has this item or had it, as far as is known here."""
        return self._ledger.knows(item_id, _now())

    def is_free(self) -> bool:
        """Whether another job can be taken."""
        return self._tasks is not None and self._free() > 0

    async def accept(self, delivery: Delivery) -> bool:
        """Begins a job that comes past the queue, where there is room."""
        if not self.is_free():
            return False
        await self._begin(delivery)
        return True

    def rushed_elsewhere(self, item_id: str) -> None:
        """Another consumer was given this item past the queue."""
        self._ledger.rushed_elsewhere(item_id, _now())

    async def _work(self, delivery: Delivery) -> None:
        try:
            await self._judge(delivery)
        finally:
            self._in_hand.pop(delivery, None)
        await self._source.fill()

    async def _end(self, delivery: Delivery, *, is_dropped: bool = False) -> None:
        self._ledger.end(delivery.item_id, is_done=True)
        for copy in self._in_hand.get(delivery, [delivery]):
            await (copy.drop() if is_dropped else copy.acknowledge())

    async def _give_back(self, delivery: Delivery, delay_s: float) -> None:
        self._ledger.end(delivery.item_id, is_done=False)
        for copy in self._in_hand.get(delivery, [delivery]):
            await copy.give_back(delay_s)

    async def _judge(self, delivery: Delivery) -> None:
        try:
            message = decode(delivery.payload)
            job = Job(
                subject=delivery.subject,
                message=message,
                delivery=delivery.number,
                waited_s=delivery.waited_s,
            )
            context = trace.parse(delivery.traceparent)
            fields = {} if context is None else {"trace": context.trace_id}
            with trace.within(context), logged_with(**fields):
                await self._handler(job)
        except MalformedMessage as error:
            note_malformed(delivery.subject, error, self._counts)
            await self._end(delivery, is_dropped=True)
        except Reject:
            await self._end(delivery, is_dropped=True)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and self._is_cancelled():
                await self._give_back(delivery, 0.0)
                raise
            if is_outage(error):
                log.warning("bus.job_interrupted", queue=self._queue.name, reason="the broker is away")
            else:
                self._counts.handler_errors += 1
                log.exception("bus.job_failed", queue=self._queue.name, delivery=delivery.number)
            await self._give_back(delivery, RETRY_DELAY_S)
        else:
            await self._end(delivery)

    @staticmethod
    def _is_cancelled() -> bool:
        """Whether this task itself was cancelled, and not something that its job awaited."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def _beat(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._queue.ack_wait_s / BEATS_PER_ACK_WAIT)
            for copies in list(self._in_hand.values()):
                for delivery in list(copies):
                    await delivery.keep()


def _now() -> float:
    return asyncio.get_running_loop().time()
