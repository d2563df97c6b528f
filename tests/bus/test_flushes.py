"""What is sent often is gathered for a moment; nothing stays behind, and what is sent seldom never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client as NatsClient

from shared.bus.nats_client import FLUSH_BURST, FLUSHES_S, Client, Flushes

WAIT_S = 30.0


@given(st.lists(st.floats(0.0, 0.1), max_size=400))
def test_no_more_is_written_at_once_than_the_rate_and_a_burst_allow(pauses: list[float]) -> None:
    flushes, now, count, began = Flushes(), 100.0, 0, 100.0
    for pause in pauses:
        now += pause
        count += flushes.take(now)
    assert count <= FLUSH_BURST + FLUSHES_S * (now - began) + 1e-6


def test_who_sends_seldom_never_waits() -> None:
    flushes = Flushes()
    assert all(flushes.take(number * 1.01 / FLUSHES_S) for number in range(5_000))


class Writing(Client):
    """A client that says it is connected, whose flusher is the test."""

    def __init__(self) -> None:
        super().__init__()
        self._status = NatsClient.CONNECTED
        self._flush_queue = asyncio.Queue()
        self._flusher_task = asyncio.get_running_loop().create_task(asyncio.Event().wait())
        self._max_payload = 1000

    @property
    def orders(self) -> int:
        """How often the flusher was told to write."""
        return self._flush_queue.qsize() if self._flush_queue is not None else 0

    def write(self) -> bytes:
        """Writes, as the flusher does."""
        assert self._flush_queue is not None
        while not self._flush_queue.empty():
            self._flush_queue.get_nowait()
        written, self._pending, self._pending_data_size = self._pending, [], 0
        return b"".join(written)

    def end(self) -> None:
        """Ends the flusher."""
        if self._flusher_task is not None:
            self._flusher_task.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.001)


async def exhausted() -> Writing:
    client = Writing()
    while True:
        await client.publish("a", b"x")
        if not client.orders:
            return client
        client.write()


async def test_what_is_gathered_is_written_in_one_go_and_in_order_without_anything_else_being_sent() -> None:
    client = await exhausted()
    for number in range(20):
        await client.publish("a", b"%d" % number)
    assert client.orders == 0
    await until(lambda: client.orders > 0)
    assert client.orders == 1
    gathered = [b"PUB a %d\r\n%d\r\n" % (len(str(n)), n) for n in range(20)]
    assert client.write() == b"".join([b"PUB a 1\r\nx\r\n", *gathered])
    await client.publish("a", b"later")
    await until(lambda: client.orders > 0)
    client.end()


async def test_what_is_gathered_when_the_connection_goes_is_left_to_who_makes_it_anew() -> None:
    client = await exhausted()
    client._status = NatsClient.RECONNECTING
    await until(lambda: not client._is_flush_due)
    assert client.orders == 0
    assert b"".join(client._pending) == b"PUB a 1\r\nx\r\n"
    client._status = NatsClient.CONNECTED
    await client.publish("a", b"y")
    await until(lambda: client.orders > 0)
    assert client.write() == b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\n"
    client.end()
