"""The bus over a NATS server: two connections, because the two kinds of traffic need opposite things.

The *control* connection (work, requests, buckets) may wait for a broker that is away for a moment. The
*media* connection (streams) buffers nothing: what cannot be sent now raises ``BusDown``. Handlers are plain
functions behind ``shared.bus.dispatch``, so none of them can end a subscription.

``shared.bus.nats_link`` is one connection, ``nats_store`` what is kept in JetStream, ``nats_pull`` how work
is fetched, ``nats_rush`` how work goes past a queue that is held up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from nats.aio.msg import Msg

from shared import trace
from shared.bus import Handler, JobHandler, Outlet, Responder, Subscription, WorkQueue
from shared.bus.dispatch import Counts, answer, taker
from shared.bus.jobs import PullConsumer
from shared.bus.nats_bucket import NatsBucket
from shared.bus.nats_door import NatsDoor
from shared.bus.nats_link import Link, die
from shared.bus.nats_pull import NatsSource
from shared.bus.nats_rush import Sender
from shared.bus.nats_store import declare
from shared.bus.wire import pack
from shared.errors import BusDown
from shared.messages import AnyMessage, Message, decode


async def connect(
    url: str,
    *,
    name: str,
    user: str = "",
    password: str = "",
    on_change: Callable[[bool], None] | None = None,
    closed: Callable[[str], None] = die,
) -> NatsBus:
    """Connects to a broker, or to one of several (``url`` with commas).

    Args:
        url: ``nats://host:port``, ``tls://…``; may hold credentials.
        name: Of this process, as the broker's monitoring shows it.
        user: Where the broker asks for one.
        password: As ``user``.
        on_change: Hears whenever the broker is lost (False) and there again (True).
        closed: Called if a connection is closed for good though nobody wanted it; ends the process.

    Raises:
        BusDown: nobody answers within 5 s, or the credentials are refused; names the address.
    """
    bus = NatsBus(name, on_change=on_change, closed=closed)
    await bus.open(url, user=user, password=password)
    return bus


class NatsBus:
    """A connection to a NATS server; made by ``connect``."""

    def __init__(
        self, name: str, *, on_change: Callable[[bool], None] | None, closed: Callable[[str], None]
    ) -> None:
        self.counts = Counts()
        self._on_change = on_change
        self._was_up = False
        self._came_back: list[asyncio.Event] = []
        """One for each consumer."""
        self._control = Link(
            f"{name}-control",
            is_live=False,
            counts=self.counts,
            on_change=self._control_changed,
            closed=closed,
        )
        self._media = Link(
            f"{name}-media", is_live=True, counts=self.counts, on_change=self._changed, closed=closed
        )
        self._sender = Sender(self._control)

    async def open(self, url: str, *, user: str, password: str) -> None:
        """Connects both. Raises ``BusDown``."""
        await self._control.open(url, user=user, password=password)
        try:
            await self._media.open(url, user=user, password=password)
        except BaseException:  # nobody holds this bus, so nobody could close it
            await self._control.close()
            raise

    @property
    def is_up(self) -> bool:
        """Whether the broker is reachable now."""
        return self._control.is_up and self._media.is_up

    @property
    def malformed(self) -> int:
        """Payloads that were no message of ours."""
        return self.counts.malformed

    def _control_changed(self) -> None:
        if self._control.is_up:
            for event in self._came_back:
                event.set()
        self._changed()

    def _changed(self) -> None:
        if self.is_up != self._was_up:
            self._was_up = self.is_up
            if self._on_change is not None:
                self._on_change(self.is_up)

    async def publish(self, subject: str, message: Message) -> None:
        """Sends to whoever listens now. Raises ``BusDown``, or ``BadInput`` if it is too big."""
        await self._media.publish(subject, pack(message))

    def outlet(self, subject: str) -> Outlet:
        """Returns a shorter way for who publishes to one subject fifty times a second."""
        return self._media.outlet(subject)

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """Hands each message, in order, to ``handler``; stands once it returns. Raises ``BusDown``."""
        take = taker(handler, self.counts)

        async def deliver(message: Msg) -> None:
            take(message.subject, message.data)

        return await self._media.subscribe(subject, deliver, queue=queue, at_once=take)

    async def request(self, subject: str, message: Message, *, timeout_s: float) -> AnyMessage:
        """Asks and awaits the answer.

        Raises ``NoResponders`` at once, ``RequestTimedOut``, ``BusDown``, ``MalformedMessage``.
        """
        reply = await self._control.request(subject, pack(message), timeout_s=timeout_s)
        return decode(reply.data)

    async def serve(self, subject: str, responder: Responder, *, queue: str = "") -> Subscription:
        """Answers requests; of responders with the same ``queue`` one is asked. Raises ``BusDown``."""

        async def respond(message: Msg) -> None:
            said = answer(responder, message.subject, message.data, self.counts)
            if said is not None and message.reply:
                with contextlib.suppress(BusDown):
                    await self._control.publish(message.reply, said)

        return await self._control.subscribe(subject, respond, queue=queue)

    async def declare(self, queue: WorkQueue) -> None:
        """Makes the queue and its consumer, or adapts existing ones. Raises ``BusDown``."""
        await declare(self._control, queue)

    async def enqueue(self, subject: str, message: Message, *, message_id: str) -> None:
        """Stores a work item; returns when the broker or a worker has it, at most 2 s later (5 in a cluster).

        Raises ``QueueFull``, ``BusDown``, ``NoResponders`` (no queue stores this subject), ``BadInput``.
        """
        await self._sender.send(subject, pack(message), message_id=message_id, headers=trace.headers())

    def consumer(self, queue: WorkQueue, *, slots: int, handler: JobHandler) -> PullConsumer:
        """Returns a consumer of a declared queue, not yet running."""
        came_back = asyncio.Event()
        self._came_back.append(came_back)
        source = NatsSource(self._control, queue, came_back=came_back)
        door = NatsDoor(self._control, queue.subject)
        return PullConsumer(queue, source, slots=slots, handler=handler, counts=self.counts, door=door)

    async def bucket(self, name: str, *, ttl_s: float) -> NatsBucket:
        """Opens a bucket, making it if needed; ``ttl_s`` 0: what is in it stays. Raises ``BusDown``."""
        return await NatsBucket.open(self._control, name, ttl_s=ttl_s)

    def cut(self) -> None:
        """Drops both sockets without a word, as a network does; they come back by themselves."""
        self._control.cut()
        self._media.cut()

    async def close(self) -> None:
        """Sends what is still to be sent and disconnects."""
        await self._sender.close()
        await self._media.close()
        await self._control.close()
