"""A stored work queue in memory, after the rules of a NATS work-queue stream with a pull consumer."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from shared.bus import WorkQueue
from shared.bus.jobs import Take
from shared.errors import QueueFull

DUPLICATE_WINDOW_S = 60.0


@dataclass(kw_only=True, eq=False)
class _Item:
    number: int
    subject: str
    payload: bytes
    stored_at: float
    traceparent: str
    deliveries: int = 0
    lease: asyncio.TimerHandle | None = None
    """Runs while the item is in hand, or until it may be delivered again."""


class StoredQueue:
    """Items in order of arrival; each is leased to whoever asked first."""

    def __init__(self, spec: WorkQueue, is_up: Callable[[], bool]) -> None:
        self.spec = spec
        self.askers: deque[MemorySource] = deque()
        """One entry for each delivery that is wanted."""
        self._is_up = is_up
        self._numbers = itertools.count(1)
        self._stored: dict[int, _Item] = {}
        """All items that are not done with, those in hand too."""
        self._ready: list[_Item] = []
        self._ids: dict[str, float] = {}

    def store(self, subject: str, payload: bytes, message_id: str, *, traceparent: str = "") -> None:
        """Takes an item in. Raises ``QueueFull``; a repeated id changes nothing."""
        now = asyncio.get_running_loop().time()
        self._ids = {known: until for known, until in self._ids.items() if until > now}
        if message_id in self._ids:
            return
        self._expire(now)
        if len(self._stored) >= self.spec.capacity:
            raise QueueFull(subject)
        self._ids[message_id] = now + min(DUPLICATE_WINDOW_S, self.spec.max_age_s)
        item = _Item(
            number=next(self._numbers),
            subject=subject,
            payload=payload,
            stored_at=now,
            traceparent=traceparent,
        )
        self._stored[item.number] = item
        self._ready.append(item)
        self.serve()

    def _expire(self, now: float) -> None:
        for item in [i for i in self._stored.values() if now - i.stored_at > self.spec.max_age_s]:
            self.forget(item)

    def serve(self) -> None:
        """Gives waiting items to waiting askers."""
        loop = asyncio.get_running_loop()
        self._expire(loop.time())
        while self._ready and self._is_up():
            asker = self._next_asker()
            if asker is None:
                return
            item = self._ready.pop(0)
            item.deliveries += 1
            self.lease(item)
            delivery = MemoryDelivery(self, item, asker, waited_s=loop.time() - item.stored_at)
            loop.call_soon(asker.receive, delivery)

    def _next_asker(self) -> MemorySource | None:
        while self.askers:
            asker = self.askers.popleft()
            if asker.is_open():
                return asker
        return None

    def lease(self, item: _Item) -> None:
        """Starts the item's time in hand anew."""
        self._again_after(item, self.spec.ack_wait_s)

    def _again_after(self, item: _Item, delay_s: float) -> None:
        if item.lease is not None:
            item.lease.cancel()
        item.lease = asyncio.get_running_loop().call_later(delay_s, self._again, item)

    def _again(self, item: _Item) -> None:
        """Makes an item ready for another delivery, before those that came later."""
        item.lease = None
        if item.number not in self._stored or item.deliveries >= self.spec.max_deliveries:
            return
        self._ready.append(item)
        self._ready.sort(key=lambda other: other.number)
        self.serve()

    def is_in_hand(self, item: _Item, delivery: int) -> bool:
        """Whether this delivery is still the item's newest and it is not done with."""
        return item.number in self._stored and item.deliveries == delivery and item.lease is not None

    def give_back(self, item: _Item, delay_s: float) -> None:
        """Makes the item ready again after a delay."""
        self._again_after(item, delay_s)

    def forget(self, item: _Item) -> None:
        """The item is done with."""
        self._stored.pop(item.number, None)
        if item in self._ready:
            self._ready.remove(item)
        if item.lease is not None:
            item.lease.cancel()
            item.lease = None


class MemoryDelivery:
    """An item in hand; a dead worker's words about it are not heard."""

    def __init__(self, queue: StoredQueue, item: _Item, source: MemorySource, *, waited_s: float) -> None:
        self.subject, self.payload = item.subject, item.payload
        self.number, self.waited_s = item.deliveries, waited_s
        self.traceparent = item.traceparent
        self.item_id, self.is_rushed = "", False  # nothing is held up here, so nothing comes twice
        self._queue, self._item, self._source = queue, item, source

    def _counts(self) -> bool:
        return self._source.is_alive() and self._queue.is_in_hand(self._item, self.number)

    async def begun(self) -> None:
        """It has been taken up."""

    async def acknowledge(self) -> None:
        """It is done."""
        if self._source.is_alive():
            self._queue.forget(self._item)

    async def keep(self) -> None:
        """It is being worked on."""
        if self._counts():
            self._queue.lease(self._item)

    async def give_back(self, delay_s: float) -> None:
        """Gives it to another after so many seconds."""
        if self._counts():
            self._queue.give_back(self._item, delay_s)

    async def drop(self) -> None:
        """It is never to be delivered again."""
        await self.acknowledge()


class MemorySource:
    """Asks a ``StoredQueue`` for deliveries."""

    def __init__(
        self, queues: dict[str, StoredQueue], spec: WorkQueue, *, is_alive: Callable[[], bool]
    ) -> None:
        self.is_alive = is_alive
        self._queues, self._name = queues, spec.name
        self._arrived: asyncio.Queue[MemoryDelivery] = asyncio.Queue()
        """Never holds more than was asked for."""
        self._asked = 0
        self._is_open = False

    async def open(self, take: Take, free: Callable[[], int]) -> None:
        """Gets ready."""
        self._take, self._free = take, free
        self._is_open = True

    def is_open(self) -> bool:
        """Whether a delivery would reach a living worker."""
        return self._is_open and self.is_alive()

    def receive(self, delivery: MemoryDelivery) -> None:
        """Gets a delivery from the queue."""
        self._asked -= 1
        self._arrived.put_nowait(delivery)

    async def fill(self) -> None:
        """Asks for what is wanted and not asked for yet."""
        queue = self._queues[self._name]
        while self._is_open and self._asked < self._free():
            self._asked += 1
            queue.askers.append(self)
        queue.serve()

    async def tend(self) -> None:
        """Hands what arrived to the consumer."""
        while True:
            await self._take(await self._arrived.get())

    async def close(self) -> None:
        """Asks no more, and gives to the consumer what is still on its way."""
        self._is_open = False
        await asyncio.sleep(0)
        while not self._arrived.empty():
            await self._take(self._arrived.get_nowait())
