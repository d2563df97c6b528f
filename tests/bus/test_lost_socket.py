"""A connection that breaks in the moment of writing, on the loop that services run on: uvloop's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.bus import nats_link
from shared.bus.dispatch import Counts
from shared.bus.nats_client import Client
from shared.bus.nats_link import Link
from shared.bus.nats_socket import Socket
from shared.errors import BusDown
from shared.service import new_event_loop
from tests.bus.conftest import WAIT_S
from tests.conftest import NatsServer

SOON_S = WAIT_S / 2
"""A net: less than a round trip is waited for here."""


def on_the_loop_of_services(story: Callable[[], Awaitable[None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(WAIT_S):
            await story()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(told())


def test_what_is_written_into_a_closed_socket_is_lost_and_said_by_the_next_drain() -> None:
    async def story() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        socket = Socket()
        assert socket, "nats-py would put one of its own in its place"
        port = server.sockets[0].getsockname()[1]
        await socket.connect(urlsplit(f"nats://127.0.0.1:{port}"), buffer_size=1024, connect_timeout=60)  # type: ignore[arg-type]
        socket._io_writer.transport.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0)  # the loop closes it in its next step
        socket.write(b"PING\r\n")
        socket.writelines([b"PUB a 0\r\n", b"\r\n"])
        with pytest.raises(OSError, match="onnection"):
            await socket.drain()  # type: ignore[no-untyped-call]
        server.close()

    on_the_loop_of_services(story)


@pytest.mark.process
def test_whoever_speaks_into_a_connection_that_just_broke_is_told_so_at_once_and_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_link, "ROUND_TRIP_S", WAIT_S)

    async def story() -> None:
        server = NatsServer(tmp_path / "nats")
        await server.start()
        link = Link("test", is_live=False, counts=Counts(), on_change=lambda: None)
        await link.open(server.url, user=server.user, password=server.password)
        try:
            link.cut()
            await asyncio.sleep(0)  # it is closed, and its reader has not been told
            assert link.is_up
            await link._client._send_ping()  # as nats-py does each second, and never again if this raises
            await link.publish("eva.v1.x", b"x")
            began = asyncio.get_running_loop().time()
            with pytest.raises(BusDown):
                await link.round_trip()
            assert asyncio.get_running_loop().time() - began < SOON_S
            await link.up.wait()
            await link.round_trip()
        finally:
            await link.close()
            await server.stop()

    on_the_loop_of_services(story)


async def test_a_round_trip_that_nobody_waits_for_any_more_ends_no_reader() -> None:
    client = Client()
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
    client._pongs = [first, second]
    first.cancel()
    await client._process_pong()
    await client._process_pong()
    assert second.result() is True
