"""The bus: what a service needs from a broker, and no more.

Two kinds of traffic with two promises. **Streams** (``publish``) are pushed over a connection that
refuses to buffer: stale audio has no value, so a message is sent now or ``BusDown`` is raised.
**Work** (``enqueue``) is stored by the broker, pulled by whoever has a free slot, and delivered again
when a worker dies with it. Handlers of streams are plain functions: they cannot await, so they cannot be
cancelled in the middle, cannot block one another, and a subscription cannot die of one.

``shared.bus.nats`` speaks to a NATS server; ``shared.bus.memory`` keeps the same promises in one process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from shared.errors import EvaError
from shared.messages import AnyMessage, Message

Handler = Callable[[str, AnyMessage], None]
"""Gets subject and message; must return at once."""
Responder = Callable[[AnyMessage], Message]
"""Returns the reply; must return at once."""


@dataclass(frozen=True, kw_only=True)
class WorkQueue:
    """A stored queue whose items are each done once."""

    name: str
    """The stream and its consumer; letters, digits and dashes."""
    subject: str
    """Wildcard of what it stores."""
    capacity: int = 1000
    """Items that may wait; beyond it ``enqueue`` raises ``QueueFull``."""
    max_age_s: float = 30.0
    """Items older than this vanish: nobody waits for them any more."""
    ack_wait_s: float = 2.0
    """An item whose worker has been silent for so long goes to another."""
    max_deliveries: int = 3


@dataclass(frozen=True, kw_only=True)
class Job:
    """A work item in the hands of a worker."""

    subject: str
    message: AnyMessage
    delivery: int
    """1 for the first worker that gets it."""
    waited_s: float
    """Time in the queue."""


class Reject(Exception):
    """Raised by a job's handler: the item is done with and is not to be delivered again."""


JobHandler = Callable[[Job], Awaitable[None]]
"""Returning acknowledges the job, ``Reject`` drops it, any other exception gives it to another worker."""


class Subscription(Protocol):
    """A standing subscription."""

    async def close(self) -> None:
        """Stops it; messages already taken are still handled."""


class Consumer(Protocol):
    """Pulls jobs of one queue, as many as it has free slots, and keeps those in hand alive."""

    async def run(self) -> None:
        """Works until drained (returns) or cancelled (jobs in hand are cancelled and given back)."""

    def drain(self) -> None:
        """Takes no new job; ``run`` returns when those in hand are done."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a bucket as it was read."""

    value: bytes
    revision: int
    """Of this value: grows with each change of anything in the bucket; at least 1."""


class Conflict(EvaError):
    """The value is no longer the one that the change was made for: read it anew."""

    code: ClassVar[str] = "conflict"

    def __init__(self, key: str) -> None:
        super().__init__(f"somebody else has changed {key}")
        self.key = key


class Bucket(Protocol):
    """Keys and values, with a time to live that is counted anew at each change, or for good."""

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None. Raises ``BusDown``."""

    async def get_entry(self, key: str) -> Entry | None:
        """Returns the value with its revision, or None. Raises ``BusDown``."""

    async def put(self, key: str, value: bytes) -> None:
        """Stores the value, whatever was there. Raises ``BusDown``."""

    async def create(self, key: str, value: bytes) -> int:
        """Stores the value where there is none; returns its revision. Raises ``Conflict``, ``BusDown``."""

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Replaces this revision of the value; returns the new one. Raises ``Conflict``, ``BusDown``."""

    async def delete(self, key: str) -> bool:
        """Erases the value and its history; False if there was none. Raises ``BusDown``."""

    async def keys(self) -> list[str]:
        """Returns all keys that have a value, sorted. Raises ``BusDown``."""

    async def watch(self, tell: Callable[[str], None]) -> Subscription:
        """Calls ``tell`` with the key of each value that may have changed. Raises ``BusDown``.

        A hint: it may come for a change that was refused, and it does not come for what is erased, ends with
        its time, or changes while the broker cannot be reached. Who must know reads anew now and then.
        """


class Outlet(Protocol):
    """Publishes to one subject what can be sent without waiting."""

    def post(self, message: Message) -> bool:
        """As ``Bus.publish``; False: nothing was sent, ``publish`` it."""


class Bus(Protocol):
    """A connection to the broker; made by ``await …connect(…)``, ended by ``close``."""

    @property
    def is_up(self) -> bool:
        """Whether the broker is reachable now."""

    async def publish(self, subject: str, message: Message) -> None:
        """Sends to whoever listens now. Raises ``BusDown`` at once rather than buffer."""

    def outlet(self, subject: str) -> Outlet:
        """Returns a shorter way for who publishes to one subject fifty times a second."""

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """Hands each message, in order, to ``handler``; of subscribers with the same ``queue`` one gets it.

        Malformed messages are counted and skipped; an exception of the handler is logged and counted.
        """

    async def request(self, subject: str, message: Message, *, timeout_s: float) -> AnyMessage:
        """Asks and awaits the answer. Raises ``NoResponders`` at once, ``RequestTimedOut``, ``BusDown``."""

    async def serve(self, subject: str, responder: Responder, *, queue: str = "") -> Subscription:
        """Answers requests; of responders with the same ``queue`` one is asked."""

    async def declare(self, queue: WorkQueue) -> None:
        """Makes the queue and its consumer, or adapts an existing one to these bounds."""

    async def enqueue(self, subject: str, message: Message, *, message_id: str) -> None:
        """Stores a work item; returns when the broker has it, or a worker (``shared.bus.rush``).

        A repeated id within a minute (or the queue's ``max_age_s``, if that is less) is no new item. Plain
        subscribers of the subject get the message too, whatever becomes of the item.

        Raises ``QueueFull``, ``BusDown``, ``BadInput`` (it is too big), ``NoResponders`` (no queue stores
        this subject).
        """

    def consumer(self, queue: WorkQueue, *, slots: int, handler: JobHandler) -> Consumer:
        """Returns a consumer of a declared queue, not yet running."""

    async def bucket(self, name: str, *, ttl_s: float) -> Bucket:
        """Opens a bucket, making it if needed; ``ttl_s`` 0: what is in it stays. Raises ``BusDown``."""

    async def close(self) -> None:
        """Sends what is still to be sent and disconnects."""
