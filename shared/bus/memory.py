"""The bus in one process: for tests, and for looking at a flow without a broker.

It keeps the promises of a real broker, not just its signatures: messages go through their bytes, wildcards
and queue groups (a member at random) follow NATS's rules, work is pulled, leased, delivered again and
deduplicated, and everything arrives in a later step of the loop. All times are the loop's, so it works on
a virtual clock. Several connections share one ``MemoryBroker``; ``MemoryBus.abort`` is a worker's death,
``MemoryBroker.go_down`` the broker's. ``shared.bus.memory_queue`` holds the work queues.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from shared import trace
from shared.bus import Handler, JobHandler, Responder, Subscription, WorkQueue
from shared.bus.dispatch import Counts, answer, taker
from shared.bus.jobs import PullConsumer
from shared.bus.memory_bucket import MemoryBucket
from shared.bus.memory_queue import MemorySource, StoredQueue
from shared.bus.wire import MAX_BYTES, matches, pack
from shared.errors import BusDown, NoResponders, RequestTimedOut
from shared.messages import AnyMessage, Message, decode, encode

Reply = Callable[[bytes], None]
Sink = Callable[[str, bytes, Reply | None], None]


@dataclass(kw_only=True, eq=False)
class _Interest:
    """One standing subscription of one connection."""

    bus: MemoryBus
    pattern: str
    queue: str
    sink: Sink

    async def close(self) -> None:
        """Stops it; messages already taken are still handled."""
        self.bus.broker.interests.pop(self, None)


class MemoryBroker:
    """What all connections share."""

    def __init__(self, *, seed: int = 0) -> None:
        self.interests: dict[_Interest, None] = {}
        """A dict for its order."""
        self.queues: dict[str, StoredQueue] = {}
        self.buckets: dict[str, MemoryBucket] = {}
        self.is_up = True
        self._connections: list[MemoryBus] = []
        self._random = random.Random(seed)  # noqa: S311 - spreads load, guards nothing

    def connect(self, name: str = "", *, on_change: Callable[[bool], None] | None = None) -> MemoryBus:
        """Returns a new connection; ``on_change`` hears at once, and when the broker goes and comes."""
        bus = MemoryBus(self, name, on_change)
        self._connections.append(bus)
        if on_change is not None:
            on_change(self.is_up)
        return bus

    def go_down(self) -> None:
        """The broker is gone: publishing raises, nothing is delivered; what is stored stays."""
        self._change(is_up=False)

    def come_up(self) -> None:
        """The broker is back, with its store and all subscriptions."""
        self._change(is_up=True)
        for queue in self.queues.values():
            queue.serve()

    def _change(self, *, is_up: bool) -> None:
        self.is_up = is_up
        for bus in self._connections:
            if bus.on_change is not None:
                bus.on_change(is_up)

    def route(self, subject: str, payload: bytes, reply: Reply | None = None) -> int:
        """Delivers to whoever listens, later in the loop and in order; returns how many do."""
        chosen: list[_Interest] = []
        groups: dict[tuple[str, str], list[_Interest]] = {}
        for interest in self.interests:
            if not matches(interest.pattern, subject):
                continue
            if interest.queue:
                groups.setdefault((interest.pattern, interest.queue), []).append(interest)
            else:
                chosen.append(interest)
        chosen.extend(self._random.choice(members) for members in groups.values())
        for interest in chosen:
            asyncio.get_running_loop().call_soon(self._deliver, interest, subject, payload, reply)
        return len(chosen)

    def _deliver(self, interest: _Interest, subject: str, payload: bytes, reply: Reply | None) -> None:
        if interest.bus.is_up:
            interest.sink(subject, payload, reply)

    def forget(self, bus: MemoryBus) -> None:
        """Drops all that a connection had."""
        self._connections = [other for other in self._connections if other is not bus]
        for interest in [i for i in self.interests if i.bus is bus]:
            del self.interests[interest]


class MemoryBus:
    """One connection to a ``MemoryBroker``; made by ``broker.connect``."""

    def __init__(self, broker: MemoryBroker, name: str, on_change: Callable[[bool], None] | None) -> None:
        self.broker, self.name, self.on_change = broker, name, on_change
        self.counts = Counts()
        self._is_open = True

    @property
    def is_up(self) -> bool:
        """Whether the broker is reachable now."""
        return self._is_open and self.broker.is_up

    @property
    def malformed(self) -> int:
        """Payloads that were no message of ours."""
        return self.counts.malformed

    def _check(self) -> None:
        if not self.is_up:
            raise BusDown("the broker is down")

    async def publish(self, subject: str, message: Message) -> None:
        """Sends to whoever listens now. Raises ``BusDown``, or ``BadInput`` if it is too big."""
        payload = pack(message)
        self._check()
        self.broker.route(subject, payload)

    def outlet(self, subject: str) -> MemoryOutlet:
        """Returns a shorter way for who publishes to one subject fifty times a second."""
        return MemoryOutlet(self, subject)

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """Hands each message, in order, to ``handler``."""
        take = taker(handler, self.counts)

        def sink(on: str, payload: bytes, _reply: Reply | None) -> None:
            take(on, payload)

        return self._listen(subject, queue, sink)

    async def serve(self, subject: str, responder: Responder, *, queue: str = "") -> Subscription:
        """Answers requests; of responders with the same ``queue`` one is asked."""

        def sink(on: str, payload: bytes, reply: Reply | None) -> None:
            said = answer(responder, on, payload, self.counts)
            if said is not None and reply is not None:
                reply(said)

        return self._listen(subject, queue, sink)

    def _listen(self, subject: str, queue: str, sink: Sink) -> Subscription:
        self._check()
        interest = _Interest(bus=self, pattern=subject, queue=queue, sink=sink)
        self.broker.interests[interest] = None
        return interest

    async def request(self, subject: str, message: Message, *, timeout_s: float) -> AnyMessage:
        """Asks and awaits the answer. Raises ``NoResponders`` at once, ``RequestTimedOut``, ``BusDown``."""
        payload = pack(message)
        self._check()
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def reply(said: bytes) -> None:
            if not answered.done():
                answered.set_result(said)

        if self.broker.route(subject, payload, reply) == 0:
            raise NoResponders(subject)
        try:
            async with asyncio.timeout(timeout_s):
                return decode(await answered)
        except TimeoutError as error:
            raise RequestTimedOut(subject, timeout_s) from error

    async def declare(self, queue: WorkQueue) -> None:
        """Makes the queue, or adapts an existing one to these bounds."""
        self._check()
        existing = self.broker.queues.get(queue.name)
        if existing is None:
            self.broker.queues[queue.name] = StoredQueue(queue, lambda: self.broker.is_up)
        else:
            existing.spec = queue

    async def enqueue(self, subject: str, message: Message, *, message_id: str) -> None:
        """Stores a work item, and sends it to plain subscribers as well, as a real broker does.

        Raises ``QueueFull``, ``BusDown``, ``NoResponders`` (no queue stores this subject), ``BadInput``.
        """
        payload = pack(message)
        self._check()
        listeners = self.broker.route(subject, payload)
        for queue in self.broker.queues.values():
            if matches(queue.spec.subject, subject):
                queue.store(subject, payload, message_id, traceparent=trace.headers().get(trace.HEADER, ""))
                return
        if listeners:
            raise BusDown(f"no queue stores {subject}, though somebody listens")
        raise NoResponders(subject)

    def consumer(self, queue: WorkQueue, *, slots: int, handler: JobHandler) -> PullConsumer:
        """Returns a consumer of a declared queue, not yet running."""
        source = MemorySource(self.broker.queues, queue, is_alive=lambda: self._is_open)
        return PullConsumer(queue, source, slots=slots, handler=handler, counts=self.counts)

    async def bucket(self, name: str, *, ttl_s: float) -> MemoryBucket:
        """Opens a bucket, making it if needed. Raises ``BusDown``."""
        self._check()
        made = MemoryBucket(lambda: self.broker.is_up, ttl_s)
        return self.broker.buckets.setdefault(name, made)

    def abort(self) -> None:
        """Dies like a killed process: its jobs go to others when their leases end."""
        self._is_open = False
        self.broker.forget(self)

    async def close(self) -> None:
        """Disconnects."""
        self.abort()


class MemoryOutlet:
    """Publishes to one subject."""

    def __init__(self, bus: MemoryBus, subject: str) -> None:
        self._bus, self._subject = bus, subject

    def post(self, message: Message) -> bool:
        """As ``MemoryBus.publish``; False: nothing was sent."""
        payload = encode(message)
        is_sent = self._bus.is_up and len(payload) <= MAX_BYTES
        if is_sent:
            self._bus.broker.route(self._subject, payload)
        return is_sent
