"""Connections that misbehave below the application: what a real server does about them."""

import asyncio
import contextlib
import functools
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Response, WebSocket, WebSocketDisconnect
from starlette.types import Receive, Scope, Send

from services.gateway.connections import MESSAGE_BYTES_OF
from services.gateway.lobby import Lobby, Patience, Turnstile
from services.gateway.problems import problem
from services.gateway.server import SEND_BUFFER_BYTES, listen, make_server

HEAD = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
TEXT, BINARY, CONT, PING, PONG = 0x1, 0x2, 0x0, 0x9, 0xA
DEFLATED = 0x40


class Raw:
    """A client that speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def upgrade(self, *headers: bytes, path: bytes = b"/ws/chat") -> bytes:
        """Becomes a WebSocket; returns the head of the answer."""
        self.writer.write(HEAD % path + b"".join(header + b"\r\n" for header in headers) + b"\r\n")
        return await self.reader.readuntil(b"\r\n\r\n")

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def close_code(self) -> int:
        """Reads frames to the end; returns the code of the close frame."""
        async with asyncio.timeout(30):
            while True:
                first, length = await self.reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack("!H", await self.reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
                payload = await self.reader.readexactly(length)
                if first & 0xF == 0x8:
                    return int.from_bytes(payload[:2], "big")

    async def rest(self) -> bytes:
        """All that comes until the connection is closed; an abort is an end as well."""
        received = b""
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65_536):
                    received += piece
        return received


def frame(opcode: int, payload: bytes = b"", *, is_final: bool = True, flags: int = 0) -> bytes:
    """A client's frame; its mask is zeros."""
    head = bytes([(0x80 if is_final else 0) | flags | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
    return head + bytes(4) + payload


class Site:
    """A server on a port of the kernel's choice."""

    def __init__(self, patience: Patience) -> None:
        self.counted: Counter[str] = Counter()
        self.lobby = Lobby(self.count, patience)
        self.server = make_server(answer, self.lobby)
        self.listener = listen("127.0.0.1", 0)
        self._news = asyncio.Event()

    def count(self, reason: str) -> None:
        self.counted[reason] += 1
        self._news.set()

    async def counts(self, reason: str) -> None:
        """Returns once it has counted one of these."""
        while not self.counted[reason]:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 30)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Raw]:
        reader, writer = await asyncio.open_connection(*self.listener.getsockname())
        try:
            yield Raw(reader, writer)
        finally:
            writer.close()


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """A socket says what it hears, and is refused at ``/refused``; a request is answered by its body."""
    if scope["type"] == "http":
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    websocket = WebSocket(scope, receive, send)
    if scope["path"] == "/refused":
        await websocket.send_denial_response(Response(b"not you", 403))
        return
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await websocket.send_text(message["text"])


@contextlib.asynccontextmanager
async def serving(**patience: float) -> AsyncIterator[Site]:
    site = Site(Patience(**patience))  # type: ignore[arg-type]
    task = asyncio.create_task(site.server.run_on(site.listener))
    await site.server.accepting.wait()
    try:
        yield site
    finally:
        site.server.should_exit = True
        async with asyncio.timeout(30):
            await task


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as site:
        yield site


async def test_a_flood_of_pings_is_closed_with_1008(site: Site) -> None:
    async with site.client() as client:
        await client.upgrade()
        client.send(frame(PING) * 20_000)
        assert await client.close_code() == 1008
    await site.counts("ping_flood")


async def test_a_few_pings_are_answered(site: Site) -> None:
    async with site.client() as client:
        await client.upgrade()
        client.send(frame(PING, b"now") * 3)
        async with asyncio.timeout(30):
            assert await client.reader.readexactly(15) == b"\x8a\x03now" * 3


async def test_answers_to_pings_that_nobody_sent_are_a_flood_as_well(site: Site) -> None:
    async with site.client() as client:
        await client.upgrade()
        client.send(frame(PONG, b"abcd") * 1000)
        assert await client.close_code() == 1008


async def test_a_message_in_too_many_pieces_is_closed_with_1008(site: Site) -> None:
    async with site.client() as client:
        await client.upgrade()
        client.send(frame(TEXT, b"{", is_final=False) + frame(CONT, b" ", is_final=False) * 1000)
        assert await client.close_code() == 1008
    await site.counts("fragments")


async def test_a_message_in_some_pieces_is_one(site: Site) -> None:
    async with site.client() as client:
        await client.upgrade()
        client.send(frame(TEXT, b"one ", is_final=False) + frame(CONT, b"and ", is_final=False))
        client.send(frame(CONT, b"the same"))
        async with asyncio.timeout(30):
            assert await client.reader.readexactly(18) == b"\x81\x10one and the same"


async def test_pieces_that_are_too_long_together_are_closed_with_1009(site: Site) -> None:
    async with site.client() as client:
        await client.upgrade()
        client.send(frame(TEXT, bytes(60_000), is_final=False))
        client.send(frame(CONT, bytes(60_000), is_final=False) * 4)
        assert await client.close_code() == 1009


async def test_a_flood_of_tiny_messages_is_closed_with_1008(site: Site) -> None:
    async with site.client() as client:
        await client.upgrade()
        client.send(frame(BINARY, b"\0") * 30_000)
        assert await client.close_code() == 1008


async def test_deflate_is_not_agreed_upon_and_a_deflated_frame_is_a_mistake(site: Site) -> None:
    async with site.client() as client:
        answer = await client.upgrade(b"Sec-WebSocket-Extensions: permessage-deflate")
        assert b"101" in answer
        assert b"extensions" not in answer.lower()
        client.send(frame(TEXT, b"\x4a\x4a\x4a\x04\x00", flags=DEFLATED))
        assert await client.close_code() == 1002


async def test_a_text_that_is_none_is_no_defect(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with site.client() as client:
        await client.upgrade()
        client.send(frame(TEXT, b"\xff\xfe"))
        assert await client.close_code() == 1007
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_refused_handshake_is_no_defect(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with site.client() as client:
        assert b"403" in await client.upgrade(path=b"/refused")
        assert await client.rest() == b"not you"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_head_that_does_not_end_is_answered_408_and_closed() -> None:
    async with serving(head_s=0.2) as site, site.client() as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 408")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "stalled"


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with serving(head_s=0.2) as site, site.client() as client:
        assert await client.rest() == b""
        await site.counts("silent_connection")


async def test_a_socket_may_be_silent_for_longer_than_a_head() -> None:
    async with serving(head_s=0.2, body_s=0.2) as site, site.client() as client:
        await client.upgrade()
        async with site.client() as other:
            await other.rest()  # until the time of a head is over
        client.send(frame(TEXT, b"still here"))
        async with asyncio.timeout(30):
            assert await client.reader.readexactly(12) == b"\x81\x0astill here"


async def test_the_next_request_of_a_connection_has_its_own_time() -> None:
    async with serving(head_s=0.2) as site, site.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nHi")
        async with asyncio.timeout(30):
            assert b"200" in await client.reader.readuntil(b"\r\n\r\n")
        client.send(b"GET / HTTP/1.1\r\nHost")
        assert b"408" in await client.rest()


def test_an_idle_connection_is_ended_by_its_client_and_not_in_the_moment_in_which_it_asks_again() -> None:
    kept_s = httpx.Limits().keepalive_expiry
    assert kept_s is not None
    assert make_server(answer, Lobby(Counter[str]().update)).config.timeout_keep_alive > 3 * kept_s


async def test_a_body_that_does_not_come_is_answered_408_and_closed() -> None:
    async with serving(body_s=0.2) as site, site.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert (await client.rest()).startswith(b"HTTP/1.1 408")


async def test_a_body_that_comes_is_waited_for(site: Site) -> None:
    async with site.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n")
        for _ in range(3):
            client.send(bytes(100_000))
            await client.writer.drain()
        assert len((await client.rest()).partition(b"\r\n\r\n")[2]) >= 300_000


async def test_a_head_without_end_is_too_large(site: Site) -> None:
    async with site.client() as client:
        client.send(b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %b\r\n" % (n, b"y" * 1000) for n in range(200)))
        assert (await client.rest()).startswith(b"HTTP/1.1 431")


async def test_of_too_many_strangers_the_oldest_is_dropped() -> None:
    async with serving(strangers=2) as site, contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(site.client()) for _ in range(2)]
        late = await stack.enter_async_context(site.client())
        assert b"101" in await late.upgrade()
        assert await silent[0].rest() == b""
        await site.counts("too_many_strangers")


async def test_connections_beyond_their_number_are_refused() -> None:
    async with serving(connections=1) as site, site.client() as inside:
        await inside.upgrade()
        async with site.client() as client:
            assert await client.rest() == b""
        inside.send(frame(TEXT, b"here"))
        async with asyncio.timeout(30):
            assert await inside.reader.readexactly(6) == b"\x81\x04here"


def test_large_messages_that_are_on_their_way_are_bounded_together() -> None:
    lobby, each = Lobby(Counter[str]().update), MESSAGE_BYTES_OF["/v1/realtime"]
    sockets = [object() for _ in range(20)]
    assert [lobby.hold(one, each) for one in sockets] == [True] * 16 + [False] * 4
    for one in sockets[:10]:
        lobby.hold(one, 0)
    assert lobby.hold(sockets[0], each)


async def test_a_long_message_is_taken_where_its_path_allows_it(site: Site) -> None:
    async with site.client() as client:
        await client.upgrade(path=b"/v1/realtime")
        client.send(frame(TEXT, b"x" * 1_000_000))
        async with asyncio.timeout(30):
            assert len(await client.reader.readexactly(1_000_010)) == 1_000_010
        client.send(frame(TEXT, b"x" * 5_000_000))
        assert await client.close_code() == 1009


def test_the_kernel_keeps_little_of_what_a_client_does_not_read() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 4 * SEND_BUFFER_BYTES


async def test_one_passes_the_turnstile_in_each_round_and_the_others_wait_in_their_order() -> None:
    turnstile, loop = Turnstile(), asyncio.get_running_loop()
    passed: list[tuple[int, int]] = []
    rounds = 0

    def count() -> None:
        nonlocal rounds
        rounds += 1
        if len(passed) < 4:
            loop.call_soon(count)

    def step(number: int) -> None:
        passed.append((number, rounds))

    loop.call_soon(count)
    at_once = [turnstile.enter(functools.partial(step, number)) for number in range(4)]
    assert at_once == [True, False, False, False]
    for _ in range(8):  # rounds
        await asyncio.sleep(0)
    assert [number for number, _ in passed] == [0, 1, 2, 3]
    assert len({round_ for _, round_ in passed}) == 4
    assert turnstile.enter(lambda: None)


async def test_a_crowd_that_asks_in_the_same_moment_is_served_to_the_last(site: Site) -> None:
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(site.client()) for _ in range(100)]
        for client in crowd:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nHi")
        for client in crowd:
            assert b"\r\nHi\r\n" in await client.rest()


async def test_who_leaves_while_waiting_to_begin_is_forgotten(site: Site) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            client = await stack.enter_async_context(site.client())
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.writer.transport.abort()
        async with site.client() as last:
            assert b"101" in await last.upgrade()


async def test_that_a_head_is_not_looked_at_yet_is_nobodys_lateness() -> None:
    async with serving(head_s=0.1) as site, site.client() as client:
        turnstile, is_late = site.lobby.turnstile, asyncio.Event()

        def crowd() -> None:
            if not is_late.is_set():
                turnstile.enter(lambda: None)  # whoever comes finds others in front, for longer than 0.1 s
                turnstile.enter(crowd)

        asyncio.get_running_loop().call_later(0.3, is_late.set)
        crowd()
        client.send(HEAD % b"/ws/chat" + b"\r\n")
        async with asyncio.timeout(30):
            assert b"101" in await client.reader.readuntil(b"\r\n\r\n")


async def test_a_handshake_that_is_refused_reaches_no_application() -> None:
    asked: list[str] = []

    def refuse() -> Response | None:
        asked.append("refuse")
        return problem(503, "busy", "nobody more")

    async with serving() as site, site.client() as client:
        site.lobby.refuse = refuse
        head = await client.upgrade()
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"retry-after: 1\r\n" in head
        assert json.loads(await client.rest())["error"]["code"] == "busy"
        async with site.client() as other:  # a request is no conversation
            other.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"200" in await other.rest()
    assert asked == ["refuse"]
