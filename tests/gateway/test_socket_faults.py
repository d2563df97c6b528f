"""A socket whose other side misbehaves in ways that a real one only does after minutes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import WebSocket

from services.gateway.chat_protocol import Pong
from services.gateway.connections import ABORT
from services.gateway.door import Core, Door
from services.gateway.life import make_door
from services.gateway.loudspeaker import Sink
from services.gateway.settings import GatewaySettings
from services.gateway.websocket import chat
from tests.fakes.gateway import RunningGateway, running_gateway


class Peer:
    """The server's side of an ASGI socket, played by the test."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.aborted = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.websocket = WebSocket(
            {"type": "websocket", "extensions": {ABORT: {"abort": self.aborted.set}}},
            self.incoming.get,
            self.send,
        )

    async def send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        self.sent.append(message)

    def says(self, text: str) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})


@pytest.fixture
async def door() -> Door:
    return make_door(GatewaySettings(_env_file=None))


async def test_a_client_that_does_not_read_is_ended_at_once_after_its_time(door: Door) -> None:
    peer = Peer()
    peer.says('{"type":"ping"}')
    serving = asyncio.create_task(chat(peer.websocket, door, send_timeout_s=0.05))
    while not peer.sent:  # noqa: ASYNC110 - until it is accepted
        await asyncio.sleep(0)
    peer.reads.clear()
    async with asyncio.timeout(60):
        await serving
    assert peer.aborted.is_set()
    assert door.sessions == 0
    assert b'eva_errors_total{code="slow_client"} 1.0' in door.metrics.render()


async def test_a_server_that_has_closed_by_itself_ends_the_writer_without_a_defect(door: Door) -> None:
    peer = Peer()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            peer.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
            raise RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")

    websocket = WebSocket({"type": "websocket"}, peer.incoming.get, send)
    peer.says('{"type":"ping"}')
    async with asyncio.timeout(60):
        await chat(websocket, door)
    assert door.sessions == 0


class BrokenHub:
    def __init__(self) -> None:
        self.sessions: dict[str, object] = {}

    def session(self, *_args: object, **_more: object) -> object:
        raise ZeroDivisionError


async def test_a_defect_closes_its_own_socket_with_1011_and_no_other() -> None:
    async with running_gateway() as gateway:
        core = gateway.door.core
        assert core is not None
        async with gateway.client() as other, gateway.client() as client:
            await other.send(type="start")
            await other.expect("ready")
            gateway.door.core = Core(BrokenHub(), core.memory)  # type: ignore[arg-type]
            await client.send(type="message", text="Hi")
            assert (await client.expect("error"))["code"] == "internal"
            assert await client.closed() == 1011
            gateway.door.core = core
            await other.send(type="message", text="Hi")
            await other.expect("turn_done")


class DeafSession:
    """Answers pings, and breaks at the first sound."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def handle(self, _message: object) -> None:
        self._sink.emit(Pong(id=1))

    def hear(self, _pcm: bytes) -> None:
        raise ZeroDivisionError


class DeafHub:
    def __init__(self) -> None:
        self.sessions: dict[str, object] = {}

    @contextlib.asynccontextmanager
    async def session(self, _start: object, sink: Sink, **_more: object) -> AsyncIterator[DeafSession]:
        yield DeafSession(sink)


async def test_a_defect_at_sound_that_is_taken_at_once_closes_its_socket_with_1011() -> None:
    async with running_gateway() as gateway, gateway.client() as client:
        core = gateway.door.core
        assert core is not None
        gateway.door.core = Core(DeafHub(), core.memory)  # type: ignore[arg-type]
        await client.send(type="start")
        await client.send(type="interrupt")
        await client.expect("pong")  # the session is open: what comes now goes straight to it
        await client.connection.send(bytes(640))
        assert (await client.expect("error"))["code"] == "internal"
        assert await client.closed() == 1011
        gateway.door.core = core


async def test_a_defect_behind_a_request_is_500(gateway: RunningGateway) -> None:
    core = gateway.door.core
    assert core is not None
    gateway.door.core = Core(BrokenHub(), core.memory)  # type: ignore[arg-type]
    response = await gateway.http.post("/chat", json={"message": "Hi"})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal")
    gateway.door.core = core
    assert (await gateway.http.post("/chat", json={"message": "Hi"})).status_code == 200


async def test_the_limit_on_sessions_counts_whoever_is_inside(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="ping")
        await client.expect("pong")
        assert gateway.door.sessions == 1
    await gateway.until(lambda: gateway.door.sessions == 0)
