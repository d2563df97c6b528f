"""nats-py's client as EVA needs it: broken connections are cut, and sound goes a short way.

On its own nats-py takes each message through a regular expression, an object, a queue and a task of its
subscription, and each one that is sent through four coroutines: for sound, fifty messages a second and
session, that was most of what the bus cost. Here a whole message for a subscription that can take it at once
(``take_at_once``) is handed over as it lies there, and one without headers is written as it comes, or under
load with what comes in the next two milliseconds. Whatever else comes or goes takes nats-py's way, and so
does what a server that does not read makes wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.aio.client import Srv
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from shared.bus.nats_socket import Socket
from shared.bus.wire import MAX_BYTES
from shared.messages import Message, encode

Taker = Callable[[str, bytes], None]
"""Gets subject and payload; must neither raise nor wait."""
_SUBJECT = re.compile(r"\S+").fullmatch
_MSG = b"MSG "
_END = b"\r\n"
PLAIN = 4
"""Words of a message that wants no answer: ``MSG``, subject, subscription, size."""


def _head(subject: str) -> bytes:
    """Returns what a message for this subject begins with; nothing where it cannot be one."""
    return b"PUB %b " % subject.encode() if _SUBJECT(subject) else b""


FLUSHES_S, FLUSH_BURST = 200.0, 50.0
OUTLET_BYTES = 2 * 1024 * 1024
"""Waiting to be written; beyond it an outlet takes nothing: the server does not read as fast as we write."""
GATHER_S = 0.002
"""Who sends more often than that waits for so long, and what comes meanwhile leaves with it: each writing
costs as much as several messages."""


class Flushes:
    """How often what is to be sent is written at once. Pure."""

    def __init__(self) -> None:
        self._left, self._at = FLUSH_BURST, 0.0

    def take(self, now: float) -> bool:
        """Whether it is to be written at once."""
        self._left = min(FLUSH_BURST, self._left + (now - self._at) * FLUSHES_S)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Client(NatsClient):
    """nats-py's client, whose broken connections are cut."""

    def __init__(self) -> None:
        super().__init__()
        self.takers: dict[bytes, Taker] = {}
        """By the number of the subscription, as it is read."""
        self._ps = _Parser(self)
        self._transport = Socket(self._ps.take)
        self._flushes = Flushes()
        self._is_flush_due = False

    @property
    def cluster(self) -> str:
        """Name of the cluster that the server belongs to; "" if it stands alone, or before it has said."""
        return str(self._server_info.get("cluster", ""))

    def cut(self) -> None:
        """Drops the socket at once, whatever stands in its buffers."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    def forget_unwritten(self) -> None:
        """Throws away what has not been written; subscriptions are made anew by nats-py itself."""
        self._pending.clear()
        self._pending_data_size = 0

    def lose_round_trips(self) -> None:
        """The connection is gone: whoever waits until it has read what was sent need not wait any longer."""
        for trip in self._pongs:
            if not trip.done():
                trip.set_exception(ConnectionResetError("the connection was lost"))
                trip.exception()  # of a ping nobody asks

    def take_at_once(self, made: Subscription, taker: Taker) -> None:
        """From now on ``taker`` is called as soon as a message of this subscription has been read."""
        self.takers[b"%d" % made._id] = taker  # noqa: SLF001 - it is told nowhere else

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """See nats-py; what has no headers and wants no answer, while all is well, takes the short way."""
        head = _head(subject) if not reply and headers is None else b""
        if not self.put(head, payload, sys.maxsize):
            await super().publish(subject, payload, reply=reply, headers=headers)

    def put(self, head: bytes, payload: bytes, most_waiting: int) -> bool:
        """Puts a message where it is written from soon, while all is well; returns whether it did.

        Args:
            head: what it begins with (``_head``); nothing: it is none for this way.
            payload: its content.
            most_waiting: bytes that may be there already.
        """
        flusher = self._flusher_task
        if self._status != NatsClient.CONNECTED or flusher is None or flusher.done() or not head:
            return False
        if self._pending_data_size > most_waiting or len(payload) > self._max_payload:
            return False
        command = b"%b%d\r\n" % (head, len(payload))
        self._pending += (command, payload, _END)
        self._pending_data_size += len(command) + len(payload) + len(_END)
        if not self._is_flush_due:
            if self._flushes.take(time.monotonic()):
                self._flush()
            else:
                self._is_flush_due = True
                asyncio.get_running_loop().call_later(GATHER_S, self._flush)
        return True

    def _flush(self) -> None:
        """Writes what was gathered, or has the flusher do it, which can wait for a server that does not read.

        While the connection is gone, whoever makes it anew does that.
        """
        self._is_flush_due = False
        queue = self._flush_queue
        if queue is None or not queue.empty() or self._status != NatsClient.CONNECTED or not self._pending:
            return
        if isinstance(self._transport, Socket) and self._transport.is_empty:
            data = b"".join(self._pending)
            self._pending, self._pending_data_size = [], 0
            self._transport.write(data)
        else:
            queue.put_nowait(asyncio.get_running_loop().create_future())

    async def request(self, *args: Any, **kwargs: Any) -> Msg:
        """See nats-py; never swallows a cancellation."""
        with _cancellable():
            return await super().request(*args, **kwargs)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        super()._remove_sub(sid, max_msgs)
        self.takers.pop(b"%d" % sid, None)

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():  # nobody waits for it any more; nats-py's reader would end
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> None:
        taker = self.takers.get(b"%d" % sid)
        if taker is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type] # or None
        else:  # those behind it may take the short way
            taker(subject.decode(), data)

    async def _process_op_err(self, e: Exception) -> None:
        if not (self.is_closed or self.is_reconnecting):
            self.cut()
        await super()._process_op_err(e)

    async def _connect_to_server(self, s: Srv) -> None:
        self.cut()  # an attempt that got no greeting leaves its socket behind
        with _cancellable():
            await super()._connect_to_server(s)


class ClientOutlet:
    """Publishes messages to one subject."""

    __slots__ = ("_client", "_head")

    def __init__(self, client: Client, subject: str) -> None:
        self._client, self._head = client, _head(subject)

    def post(self, message: Message) -> bool:
        """Sends what can be sent without waiting; returns whether it was."""
        payload = encode(message)
        return len(payload) <= MAX_BYTES and self._client.put(self._head, payload, OUTLET_BYTES)


@contextlib.contextmanager
def _cancellable() -> Iterator[None]:
    """Raises a cancellation after all that was forgotten, whatever came instead of it.

    ``asyncio.wait_for`` before Python 3.12 forgets one that comes in the instant of its result.
    """
    task = asyncio.current_task()
    assert task is not None
    cancelled = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > cancelled:
            raise asyncio.CancelledError


class _Parser(Parser):
    """nats-py's parser, with the short way in front of it."""

    def __init__(self, client: Client) -> None:
        self._takers = client.takers
        super().__init__(client)

    def reset(self) -> None:
        """Forgets what was not handed on: the connection is another one."""
        super().reset()
        self._rest = b""
        """The beginning of a message that is handed over once it is whole."""

    async def parse(self, data: bytes = b"") -> None:
        """Hands over what can be taken at once; gives nats-py the rest, line by line where it can."""
        while data := self.take(data):
            if self._is_amid or data.startswith((b"MSG", b"HMSG")):
                await super().parse(data)
                return
            line, end, data = data.partition(_END)
            await super().parse(line + end)

    def take(self, data: bytes) -> bytes:
        """Hands over what can be taken at once; returns what is to be parsed."""
        if self._is_amid:
            return data
        if self._rest:
            data, self._rest = self._rest + data, b""
        taken, is_begun = self._take_whole(data)
        if is_begun:
            self._rest = data[taken:]
            return b""
        return data[taken:]

    @property
    def _is_amid(self) -> bool:
        """Whether nats-py has the beginning of something."""
        return bool(self.buf) or self.state != AWAITING_CONTROL_LINE

    def _take_whole(self, data: bytes) -> tuple[int, bool]:
        """Hands over whole messages; returns how much that was, and whether another one of them has begun."""
        at, size = 0, len(data)
        while at < size and _MSG.startswith(data[at : at + 4]):
            end = data.find(_END, at)
            if end < 0:
                return at, True
            words = data[at:end].split(b" ")
            taker = self._takers.get(words[2]) if len(words) == PLAIN else None
            if taker is None or not words[3].isdigit():
                return at, False
            after = end + 4 + int(words[3])
            if after > size:
                return at, True
            taker(words[1].decode(), data[end + 2 : after - 2])
            at = after
        return at, False
