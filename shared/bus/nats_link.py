"""One connection to a NATS server, with what nats-py leaves open closed once and for all.

- A broken connection is *cut*: nats-py closes it politely, and that waits for a frozen server to read.
- A frozen server is noticed by pings within 4 s, not 4 minutes.
- What was not yet written when the connection broke can be thrown away (``is_live``) rather than sent late.
- A client that has closed for good (a server error does that, whatever the reconnect options say) would
  leave a deaf process behind: ``closed`` ends it, and its supervisor starts it anew.
- A ``flush`` that is cancelled or late kills nats-py's reader when its PONG comes (``nats_client`` forgets
  it), and one whose connection breaks waits to its end for it: whoever waits is told at once.
- uvloop raises ``RuntimeError`` where a closed socket is written into (``nats_socket`` loses the bytes).
- A request or a first connect that is cancelled in the instant of its result forgets the cancellation
  (``asyncio.wait_for`` before Python 3.12): it is raised after all, or a stopped turn would go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import (
    ConnectionClosedError,
    ConnectionDrainingError,
    NoRespondersError,
    OutboundBufferLimitError,
    SlowConsumerError,
)
from nats.errors import Error as NatsError

from shared.bus.dispatch import Counts
from shared.bus.nats_address import read_address, shown
from shared.bus.nats_client import Client, ClientOutlet, Taker
from shared.errors import BusDown, NoResponders, RequestTimedOut
from shared.observe import Log

log = Log("eva.bus")

FIRST_CONNECT_S = 5.0
PING_EVERY_S, PINGS_OUT = 1, 2
RECONNECT_WAIT_S = 0.1
CONNECT_TIMEOUT_S = 1
ROUND_TRIP_S = 5.0
"""Longer than it takes to notice that the server is frozen."""
YIELD_BYTES = 64 * 1024
"""Waiting to be written: beyond it a publisher lets the writer have a turn."""
MAX_WAITING_BYTES = 2 * 1024 * 1024
"""The server does not read: what is published now would arrive late, so it is refused."""
SUBSCRIPTION_BYTES, SUBSCRIPTION_MESSAGES = 32 * 1024 * 1024, 65_536
"""Received and not yet handled, for each subscription; beyond it messages are dropped and counted."""
_GONE = (OutboundBufferLimitError, ConnectionClosedError, ConnectionDrainingError, OSError)

Callback = Callable[[Msg], Awaitable[None]]


def die(reason: str) -> NoReturn:
    """Ends the process with 1: the connection is closed for good, so nothing it does could be heard."""
    log.error("bus.closed", reason=reason, what="exiting, the supervisor starts this process anew")
    sys.stderr.flush()
    os._exit(1)


class Link:
    """A connection that comes back by itself."""

    def __init__(
        self,
        name: str,
        *,
        is_live: bool,
        counts: Counts,
        on_change: Callable[[], None],
        closed: Callable[[str], None] = die,
    ) -> None:
        """``is_live``: what cannot be sent now is not sent at all."""
        self.up = asyncio.Event()
        self._client = Client()
        self._name, self._is_live, self._counts = name, is_live, counts
        self._on_change, self._closed = on_change, closed
        self._is_closing = False
        self._patience: asyncio.Timeout | None = None
        self._last_error = ""

    @property
    def is_up(self) -> bool:
        """Whether the server is reachable, as far as is known."""
        return self.up.is_set() and self._client.is_connected

    @property
    def is_clustered(self) -> bool:
        """Whether the server is one of several."""
        return bool(self._client.cluster)

    async def open(self, url: str, *, user: str, password: str) -> None:
        """Connects. Raises ``BusDown`` after 5 s, or at once where the credentials are refused."""
        servers, tls = read_address(url)
        try:
            async with asyncio.timeout(FIRST_CONNECT_S) as self._patience:
                await self._client.connect(
                    servers,
                    tls=tls,
                    name=self._name,
                    inbox_prefix="_INBOX." + re.sub(r"[^A-Za-z0-9_-]", "-", self._name),
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # a float works
                    connect_timeout=CONNECT_TIMEOUT_S,
                    ping_interval=PING_EVERY_S,
                    max_outstanding_pings=PINGS_OUT,
                    pending_size=0 if self._is_live else 2 * 1024 * 1024,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_down,
                    reconnected_cb=self._on_up,
                    closed_cb=self._on_closed,
                    lame_duck_mode_cb=self._on_lame_duck,
                    discovered_server_cb=self._on_discovered,
                    user=user or None,
                    password=password if user else None,
                )
        except TimeoutError as error:
            await self.close()
            at = ", ".join(map(shown, servers))
            if "authorization" in self._last_error.lower():
                raise BusDown(f"the broker at {at} refuses these credentials") from error
            raise BusDown(f"no broker answers at {at}: {self._last_error or 'no answer'}") from error
        finally:
            self._patience = None
        await self._on_up()

    async def close(self) -> None:
        """Sends what is still to be sent and disconnects."""
        self._is_closing = True
        self.up.clear()
        with contextlib.suppress(TimeoutError, NatsError, OSError, BusDown):
            async with asyncio.timeout(2.0):
                if self._client.is_connected:
                    await self.round_trip()
        with contextlib.suppress(TimeoutError, NatsError, OSError):
            async with asyncio.timeout(1.0):
                await self._client.close()
        self._client.cut()
        await asyncio.sleep(0)  # the transport closes in the loop's next step

    def cut(self) -> None:
        """Drops the socket, as a network does; for tests of what follows."""
        self._client.cut()

    # ------------------------------------------------------------ sending

    async def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Sends. Raises ``BusDown``; on a live link at once when the server is away or does not read."""
        waiting = self._client.pending_data_size
        if waiting > YIELD_BYTES:
            await asyncio.sleep(0)
        if self._is_live and (waiting > MAX_WAITING_BYTES or not self.is_up):
            raise BusDown("the broker is not reachable" if not self.is_up else "the broker does not read")
        try:
            await self._client.publish(subject, payload, reply=reply, headers=headers)
        except _GONE as error:
            raise BusDown("the broker is not reachable") from error

    def outlet(self, subject: str) -> ClientOutlet:
        """Returns what sends to one subject whatever can be sent without waiting."""
        return ClientOutlet(self._client, subject)

    async def request(
        self, subject: str, payload: bytes, *, timeout_s: float, headers: dict[str, str] | None = None
    ) -> Msg:
        """Asks. Raises ``NoResponders``, ``RequestTimedOut``, ``BusDown``."""
        if not self.is_up:
            raise BusDown("the broker is not reachable")
        try:
            return await self._client.request(subject, payload, timeout=timeout_s, headers=headers)
        except NoRespondersError as error:
            raise NoResponders(subject) from error
        except TimeoutError as error:
            if not self.is_up:
                raise BusDown("the broker went away") from error
            raise RequestTimedOut(subject, timeout_s) from error
        except _GONE as error:
            raise BusDown("the broker is not reachable") from error

    async def subscribe(
        self, subject: str, callback: Callback, *, queue: str = "", at_once: Taker | None = None
    ) -> LinkSubscription:
        """Subscribes; once it returns, the server knows. Raises ``BusDown``.

        ``at_once``: takes messages in place of ``callback`` where nothing has to be awaited.
        """
        if not self.is_up:
            raise BusDown("the broker is not reachable")
        made = await self._client.subscribe(
            subject,
            queue=queue,
            cb=callback,
            pending_msgs_limit=SUBSCRIPTION_MESSAGES,
            pending_bytes_limit=SUBSCRIPTION_BYTES,
        )
        if at_once is not None:
            self._client.take_at_once(made, at_once)
        try:
            await self.round_trip()
        except BaseException:  # nobody will ever hold it, so nobody could close it
            with contextlib.suppress(NatsError):
                await made.unsubscribe()
            raise
        return LinkSubscription(made, self)

    def new_inbox(self) -> str:
        """Returns a subject of one's own."""
        return self._client.new_inbox()

    async def round_trip(self) -> None:
        """Returns when the server has read everything sent so far. Raises ``BusDown``."""
        try:
            await asyncio.shield(self._client.flush(ROUND_TRIP_S))  # type: ignore[arg-type]  # a float works
        except (NatsError, OSError) as error:
            raise BusDown("the broker does not answer") from error
        if not self._client.is_connected:  # nats-py does not wait then, and says nothing
            raise BusDown("the broker is not reachable")

    # ------------------------------------------------------------ what nats-py tells

    async def _on_up(self) -> None:
        self._last_error = ""
        self.up.set()
        log.info("bus.up", link=self._name)
        self._on_change()

    async def _on_down(self) -> None:
        self.up.clear()
        self._client.lose_round_trips()
        if self._is_live:
            self._client.forget_unwritten()
        if not self._is_closing:
            log.warning("bus.down", link=self._name)
            self._on_change()

    async def _on_closed(self) -> None:
        self.up.clear()
        if not self._is_closing:
            self._closed(f"{self._name}: {self._client.last_error}")

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self._counts.dropped += 1
            if self._counts.dropped % 100 == 1:
                log.warning("bus.slow_consumer", subject=error.subject, dropped=self._counts.dropped)
            return
        said = str(error) or type(error).__name__
        if said != self._last_error and not self._is_closing:
            log.warning("bus.error", link=self._name, reason=said)
        self._last_error = said
        if self._patience is not None and "authorization" in said.lower():
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def _on_lame_duck(self) -> None:
        log.info("bus.server_leaves", link=self._name)

    async def _on_discovered(self) -> None:
        log.info("bus.server_joined", link=self._name)


class LinkSubscription:
    """A standing subscription of a ``Link``."""

    def __init__(self, made: NatsSubscription, link: Link) -> None:
        self._made: NatsSubscription | None = made
        self._link = link

    async def close(self) -> None:
        """Stops it; returns when nothing more will come and what came is handled. Twice is harmless."""
        made, self._made = self._made, None
        if made is None:
            return
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            if not self._link.is_up:
                await made.unsubscribe()
                return
            async with asyncio.timeout(2.0):
                await asyncio.shield(_drained(made))


async def _drained(made: NatsSubscription) -> Any:
    with contextlib.suppress(NatsError, OSError):
        return await made.drain()  # type: ignore[no-untyped-call]
