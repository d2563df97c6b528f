"""The bus in one process: what a NATS server promises, kept by a dictionary and the event loop's clock.

One ``MemoryBroker`` stands for the server; each ``connect`` is a client's connection. Messages really are
encoded and decoded, so that what passes here passes on the wire. All timing goes by the loop's clock, so
that redelivery can be tested on a virtual one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.bus import (
    Bucket,
    Consumer,
    Handler,
    Job,
    JobHandler,
    Reject,
    Responder,
    Subscription,
    WorkQueue,
)
from shared.errors import BusDown, MalformedMessage, NoResponders, QueueFull, RequestTimedOut
from shared.messages import AnyMessage, Message, decode, encode
from shared.observe import Log

log = Log("eva.bus")

DEDUPE_S = 60.0
RETRY_S = 0.1


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject falls under a pattern with ``*`` (one token) and ``>`` (one or more, at the end)."""
    tokens, wanted = subject.split("."), pattern.split(".")
    if wanted[-1] == ">":
        return len(tokens) >= len(wanted) and all(
            want in {"*", token} for want, token in zip(wanted[:-1], tokens, strict=False)
        )
    return len(tokens) == len(wanted) and all(
        want in {"*", token} for want, token in zip(wanted, tokens, strict=True)
    )


@dataclass(slots=True, eq=False)
class _Listener:
    """One subscription, with its own queue of what it has yet to handle."""

    broker: MemoryBroker
    pattern: str
    group: str
    take: Callable[[str, bytes, str], None]
    """Gets subject, payload and where to reply."""
    bus: MemoryBus

    async def close(self) -> None:
        """Stops it."""
        if self in self.broker.listeners:
            self.broker.listeners.remove(self)


@dataclass(slots=True, eq=False)
class _Item:
    """A stored work item."""

    subject: str
    payload: bytes
    stored_at: float
    delivery: int = 0
    holder: MemoryConsumer | None = None
    due_again: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Queue:
    """A declared work queue."""

    settings: WorkQueue
    items: list[_Item] = field(default_factory=list)
    ids: OrderedDict[str, float] = field(default_factory=OrderedDict)
    idle: deque[MemoryConsumer] = field(default_factory=deque)
    """A consumer stands here once for each free slot."""


class MemoryBroker:
    """What all connections share."""

    def __init__(self) -> None:
        self.is_up = True
        self.listeners: list[_Listener] = []
        self.queues: dict[str, _Queue] = {}
        self.buckets: dict[str, dict[str, tuple[float, bytes]]] = {}
        self._turn = itertools.count()

    def connect(self, name: str) -> MemoryBus:
        """Returns a new connection."""
        return MemoryBus(self, name)

    def route(self, subject: str, payload: bytes, reply: str = "") -> int:
        """Hands a message to every plain subscriber and to one of each queue group; returns to how many."""
        hit = [item for item in self.listeners if matches(item.pattern, subject)]
        chosen = [item for item in hit if not item.group]
        for group in sorted({item.group for item in hit if item.group}):
            members = [item for item in hit if item.group == group]
            chosen.append(members[next(self._turn) % len(members)])
        loop = asyncio.get_running_loop()
        for listener in chosen:
            loop.call_soon(listener.take, subject, payload, reply)
        return len(chosen)

    def queue_of(self, subject: str) -> _Queue | None:
        """Returns the queue that stores a subject."""
        found = (queue for queue in self.queues.values() if matches(queue.settings.subject, subject))
        return next(found, None)

    def store(self, queue: _Queue, subject: str, payload: bytes, message_id: str) -> bool:
        """Stores an item; False if its id is known."""
        now = asyncio.get_running_loop().time()
        while queue.ids and next(iter(queue.ids.values())) < now - DEDUPE_S:
            queue.ids.popitem(last=False)
        if message_id in queue.ids:
            return False
        queue.items = [item for item in queue.items if now - item.stored_at < queue.settings.max_age_s]
        if len(queue.items) >= queue.settings.capacity:
            raise QueueFull(subject)
        queue.ids[message_id] = now
        queue.items.append(_Item(subject, payload, now))
        self.dispatch(queue)
        return True

    def dispatch(self, queue: _Queue) -> None:
        """Gives waiting items to free slots, oldest first."""
        now = asyncio.get_running_loop().time()
        for item in list(queue.items):
            if item.holder is not None or item.due_again is not None:
                continue
            if (
                now - item.stored_at >= queue.settings.max_age_s
                or item.delivery >= queue.settings.max_deliveries
            ):
                queue.items.remove(item)
                continue
            if not queue.idle:
                return
            consumer = queue.idle.popleft()
            item.delivery += 1
            item.holder = consumer
            consumer.accept(item)

    def give_back(self, queue: _Queue, item: _Item, *, after_s: float) -> None:
        """Makes an item available again."""
        item.holder = None

        def again() -> None:
            item.due_again = None
            self.dispatch(queue)

        item.due_again = asyncio.get_running_loop().call_later(after_s, again)


class MemoryBus:
    """One connection to a ``MemoryBroker``."""

    def __init__(self, broker: MemoryBroker, name: str) -> None:
        self.name = name
        self.malformed = 0
        """Messages that could not be read."""
        self.consumers: list[MemoryConsumer] = []
        self._broker = broker
        self._is_lost = False
        self._inboxes = itertools.count()

    @property
    def is_up(self) -> bool:
        """Whether the broker is reachable now."""
        return self._broker.is_up and not self._is_lost

    async def publish(self, subject: str, message: Message) -> None:
        """Sends to whoever listens now."""
        self.check()
        self._broker.route(subject, encode(message))

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """Hands each message to ``handler``."""
        return self._listen(subject, queue, lambda actual, message, _reply: handler(actual, message))

    async def serve(self, subject: str, responder: Responder, *, queue: str = "") -> Subscription:
        """Answers requests."""

        def answer(_actual: str, message: AnyMessage, reply: str) -> None:
            self._broker.route(reply, encode(responder(message)))

        return self._listen(subject, queue, answer)

    async def request(self, subject: str, message: Message, *, timeout_s: float) -> AnyMessage:
        """Asks and awaits the answer."""
        inbox = f"_INBOX.{self.name}.{next(self._inboxes)}"
        answer: asyncio.Future[AnyMessage] = asyncio.get_running_loop().create_future()

        def answered(_actual: str, reply: AnyMessage, _reply: str) -> None:
            if not answer.done():
                answer.set_result(reply)

        listener = self._listen(inbox, "", answered)
        try:
            if not self._broker.route(subject, encode(message), inbox):
                raise NoResponders(subject)
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError as error:
            raise RequestTimedOut(subject, timeout_s) from error
        finally:
            await listener.close()

    async def declare(self, queue: WorkQueue) -> None:
        """Makes the queue, or adapts it."""
        self.check()
        self._broker.queues.setdefault(queue.name, _Queue(queue)).settings = queue

    async def enqueue(self, subject: str, message: Message, *, message_id: str) -> None:
        """Stores a work item; plain subscribers of the subject read it along."""
        self.check()
        queue = self._broker.queue_of(subject)
        if queue is None:
            raise NoResponders(subject)
        payload = encode(message)
        if len(queue.items) < queue.settings.capacity and message_id not in queue.ids:
            self._broker.route(subject, payload)
        self._broker.store(queue, subject, payload, message_id)

    def consumer(self, queue: WorkQueue, *, slots: int, handler: JobHandler) -> Consumer:
        """Returns a consumer, not yet running."""
        made = MemoryConsumer(self, self._broker.queues[queue.name], self._broker, slots, handler)
        self.consumers.append(made)
        return made

    async def bucket(self, name: str, *, ttl_s: float) -> Bucket:
        """Opens a bucket."""
        self.check()
        return MemoryBucket(self, self._broker.buckets.setdefault(name, {}), ttl_s)

    async def close(self) -> None:
        """Disconnects; nothing is left to be sent."""
        self.abort()

    def abort(self) -> None:
        """Drops the connection as a crash does: nothing is acknowledged or given back."""
        self._is_lost = True
        self._broker.listeners = [item for item in self._broker.listeners if item.bus is not self]
        for consumer in self.consumers:
            consumer.abandon()

    def check(self) -> None:
        """Raises ``BusDown`` unless the broker is reachable."""
        if not self.is_up:
            raise BusDown("the broker is not reachable")

    def read(self, payload: bytes) -> AnyMessage | None:
        """Returns the message; a malformed one is counted."""
        try:
            return decode(payload)
        except MalformedMessage as error:
            self.malformed += 1
            log.warning("bus.malformed", reason=str(error))
            return None

    def _listen(self, subject: str, group: str, call: Callable[[str, AnyMessage, str], None]) -> _Listener:
        self.check()

        def take(actual: str, payload: bytes, reply: str) -> None:
            message = self.read(payload) if listener in self._broker.listeners else None
            if message is None:
                return
            try:
                call(actual, message, reply)
            except (Exception, asyncio.CancelledError):  # the outermost frame of a handler
                log.exception("bus.handler_failed", subject=subject)

        listener = _Listener(self._broker, subject, group, take, self)
        self._broker.listeners.append(listener)
        return listener


class MemoryConsumer:
    """Works on one queue with a bounded number of slots."""

    def __init__(
        self, bus: MemoryBus, queue: _Queue, broker: MemoryBroker, slots: int, handler: JobHandler
    ) -> None:
        self._bus, self._queue, self._broker = bus, queue, broker
        self._slots = slots
        self._handler = handler
        self._arrived: asyncio.Queue[_Item | None] = asyncio.Queue()
        self._is_draining = False
        self._is_lost = False

    async def run(self) -> None:
        """Works until drained or cancelled."""
        self._queue.idle.extend([self] * self._slots)
        self._broker.dispatch(self._queue)
        try:
            async with asyncio.TaskGroup() as tasks:
                while (item := await self._arrived.get()) is not None:
                    tasks.create_task(self._work(item), name=f"job {item.subject}")
        finally:
            self._leave()

    def drain(self) -> None:
        """Takes no new job."""
        if not self._is_draining:
            self._is_draining = True
            self._leave()
            self._arrived.put_nowait(None)

    def accept(self, item: _Item) -> None:
        """Takes an item from the broker."""
        self._arrived.put_nowait(item)

    def abandon(self) -> None:
        """The connection is gone: items in hand become available when their time is over."""
        self._is_lost = True
        self._leave()
        for item in self._queue.items:
            if item.holder is self:
                self._broker.give_back(self._queue, item, after_s=self._queue.settings.ack_wait_s)

    def _leave(self) -> None:
        self._queue.idle = deque(member for member in self._queue.idle if member is not self)

    async def _work(self, item: _Item) -> None:
        try:
            await self._do(item)
        finally:
            if not (self._is_draining or self._is_lost):
                self._queue.idle.append(self)
                self._broker.dispatch(self._queue)

    async def _do(self, item: _Item) -> None:
        message = self._bus.read(item.payload)
        waited_s = asyncio.get_running_loop().time() - item.stored_at
        try:
            if message is not None:
                await self._handler(
                    Job(
                        subject=item.subject,
                        message=message,
                        delivery=item.delivery,
                        waited_s=waited_s,
                    )
                )
        except Reject:
            pass
        except asyncio.CancelledError:
            self._give_back(item, after_s=0.0)
            raise
        except Exception:  # the outermost frame of a job
            log.exception("bus.job_failed", subject=item.subject)
            self._give_back(item, after_s=RETRY_S)
            return
        if not self._is_lost and item in self._queue.items:
            self._queue.items.remove(item)

    def _give_back(self, item: _Item, *, after_s: float) -> None:
        if not self._is_lost and item in self._queue.items:
            self._broker.give_back(self._queue, item, after_s=after_s)


class MemoryBucket:
    """Keys and values with a time to live."""

    def __init__(self, bus: MemoryBus, values: dict[str, tuple[float, bytes]], ttl_s: float) -> None:
        self._bus, self._values, self._ttl_s = bus, values, ttl_s

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None."""
        self._bus.check()
        ends_at, value = self._values.get(key, (0.0, b""))
        return value if asyncio.get_running_loop().time() < ends_at else None

    async def put(self, key: str, value: bytes) -> None:
        """Stores the value."""
        self._bus.check()
        self._values[key] = (asyncio.get_running_loop().time() + self._ttl_s, value)

    async def delete(self, key: str) -> bool:
        """Erases the value."""
        had = await self.get(key) is not None
        self._values.pop(key, None)
        return had
