"""Deliveries of a JetStream consumer, one pull request for each free slot, a few at a time.

nats-py's own ``fetch`` is not used: one that is under way when the broker restarts waits for its timeout,
and it may return less than it got. Here requests are plain publishes, all answers come to one inbox, and
what was asked before a reconnect is asked again at once, to a new inbox: requests that the server still
holds for the old one then lead nowhere, instead of to more jobs than there are slots.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from nats.aio.msg import Msg

from shared.bus import WorkQueue
from shared.bus.jobs import Take
from shared.bus.nats_link import Link, LinkSubscription
from shared.bus.nats_store import API, clock_ahead_s, declare
from shared.errors import BusDown, NoResponders, RequestTimedOut
from shared.observe import Log
from shared.trace import HEADER as TRACEPARENT

log = Log("eva.bus")

ASK_FOR_S = 1.0
"""How long the server keeps a request that it cannot meet. A worker that hangs (is frozen, not dead) is given
work for so long …"""
MOST_ASKED = 4
"""… and so many items, which come again to others only after the queue's ``ack_wait_s``."""
LOST_AFTER_S = ASK_FOR_S + 2.0
"""A request without any answer for so long is forgotten and made again."""
LOOK_EVERY_S = 1.0
MEND_PAUSE_S = 0.25
_ASK = json.dumps({"batch": 1, "expires": round(ASK_FOR_S * 1e9)}).encode()
_NOTHING_CAME = "408"
TAKEN_BY = "Eva-Taken"
"""The header that says where an item's sender is told that somebody has it in hand."""


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """What the reply subject of a delivery tells."""

    delivery: int
    stored_at: float
    """Seconds since the epoch, by the server's clock."""


def read_origin(reply: str) -> _Origin:
    """Reads ``$JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<seq>.<ns>.<pending>``.

    Behind ``$JS.ACK`` servers with domains put a domain and an account hash first (ADR-15).
    """
    tokens = reply.split(".")
    first = 2 if len(tokens) == 9 else 4
    return _Origin(delivery=int(tokens[first + 2]), stored_at=int(tokens[first + 5]) / 1e9)


class NatsDelivery:
    """An item in hand. What cannot be said to the broker now goes unsaid: the item comes again."""

    def __init__(self, link: Link, message: Msg, clock_ahead: float) -> None:
        origin = read_origin(message.reply)
        self.subject, self.payload = message.subject, message.data
        self.number = origin.delivery
        self.waited_s = max(0.0, time.time() - clock_ahead - origin.stored_at)
        self._link, self._reply = link, message.reply
        headers = message.headers or {}
        self.item_id, self.is_rushed = headers.get("Nats-Msg-Id", ""), False
        self._taken_by = headers.get(TAKEN_BY, "")
        self.traceparent = headers.get(TRACEPARENT, "")

    async def _say(self, word: bytes) -> None:
        try:
            await self._link.publish(self._reply, word)
        except BusDown:
            log.warning("bus.unsaid", what=word[:4].decode(), delivery=self.number)

    async def begun(self) -> None:
        """It has been taken up: its sender is told, who asked for it."""
        if self._taken_by:
            with contextlib.suppress(BusDown):
                await self._link.publish(self._taken_by, self.item_id.encode())

    async def acknowledge(self) -> None:
        """It is done."""
        await self._say(b"+ACK")

    async def keep(self) -> None:
        """It is being worked on."""
        if self._link.is_up:  # late ones would pile up and say nothing
            await self._say(b"+WPI")

    async def give_back(self, delay_s: float) -> None:
        """Gives it to another after so many seconds."""
        delay = f' {{"delay": {round(delay_s * 1e9)}}}'.encode() if delay_s > 0 else b""
        await self._say(b"-NAK" + delay)

    async def drop(self) -> None:
        """It is never to be delivered again."""
        await self._say(b"+TERM")


class NatsSource:
    """Asks one consumer for deliveries."""

    def __init__(self, link: Link, queue: WorkQueue, *, came_back: asyncio.Event) -> None:
        """``came_back`` is set by the bus each time that the link is up again."""
        self._link, self._queue, self._came_back = link, queue, came_back
        self._subject = f"{API}.CONSUMER.MSG.NEXT.{queue.name}.{queue.name}"
        self._asked: deque[float] = deque()
        """When each unanswered request was made, oldest first."""
        self._inbox = ""
        self._subscription: LinkSubscription | None = None
        self._is_broken = asyncio.Event()
        self._is_closed = False
        self._clock_ahead_s = 0.0

    async def open(self, take: Take, free: Callable[[], int]) -> None:
        """Gets ready."""
        self._take, self._free = take, free
        self._came_back.clear()
        await self._renew()

    async def _renew(self) -> None:
        """Starts anew with an inbox of which no earlier request knows."""
        old, self._subscription = self._subscription, None
        if old is not None:
            await old.close()
        self._asked.clear()
        try:
            self._clock_ahead_s = await clock_ahead_s(self._link, self._queue.name)
            self._inbox = self._link.new_inbox()
            self._subscription = await self._link.subscribe(self._inbox, self._receive)
        except (BusDown, NoResponders, RequestTimedOut):
            self._is_broken.set()
            return
        await self.fill()

    async def fill(self) -> None:
        """Asks for what is wanted and not asked for yet."""
        while self._may_ask() and len(self._asked) < min(MOST_ASKED, self._free()):
            self._asked.append(time.monotonic())
            try:
                await self._link.publish(self._subject, _ASK, reply=self._inbox)
            except BusDown:
                self._asked.pop()
                return

    def _may_ask(self) -> bool:
        return (
            self._subscription is not None
            and not self._is_closed
            and self._link.is_up
            and not self._is_broken.is_set()
        )

    async def _receive(self, message: Msg) -> None:
        if self._asked:
            self._asked.popleft()
        status = (message.headers or {}).get("Status")
        if status is None:
            await self._take(NatsDelivery(self._link, message, self._clock_ahead_s))
            await self.fill()
        elif status == _NOTHING_CAME:
            await self.fill()
        else:  # the consumer is gone or moving, or has no room for requests
            self._is_broken.set()

    async def tend(self) -> NoReturn:
        """Asks again after a reconnect and where answers fail to come; makes a lost queue anew."""
        while True:
            if self._is_broken.is_set():
                await self._mend()
            try:
                async with asyncio.timeout(LOOK_EVERY_S if not self._is_broken.is_set() else MEND_PAUSE_S):
                    await self._came_back.wait()
            except TimeoutError:
                self._forget_lost()
                await self.fill()
            else:
                self._came_back.clear()
                self._is_broken.clear()
                await self._renew()

    async def _mend(self) -> None:
        await asyncio.sleep(MEND_PAUSE_S)
        if self._is_closed or not self._link.is_up:
            return
        try:
            await declare(self._link, self._queue)
        except BusDown as error:
            log.warning("bus.queue_broken", queue=self._queue.name, reason=str(error))
            return
        self._is_broken.clear()
        await self._renew()

    def _forget_lost(self) -> None:
        lost_before = time.monotonic() - LOST_AFTER_S
        while self._asked and self._asked[0] < lost_before:
            self._asked.popleft()

    async def close(self) -> None:
        """Asks no more; once it returns nothing comes any more."""
        self._is_closed = True
        if self._subscription is not None:
            await self._subscription.close()
