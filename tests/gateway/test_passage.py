"""The short way for whole messages: what the application gets and sends is what uvicorn's own way carries."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from websockets.frames import Frame, Opcode

from services.gateway.lobby import Lobby
from services.gateway.passage import SEND, TAKE, WAITING_BYTES
from services.gateway.server import make_server
from services.gateway.wire_frames import BINARY, TEXT, Message

HEAD = (
    b"GET /ws/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
Heard = list[str | bytes]


class Wire(asyncio.Transport):
    """A connection whose other end is the test."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_read, self.is_over = True, False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return self.is_over

    def close(self) -> None:
        self.is_over = True


async def opened(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> tuple[Any, Wire]:
    """Returns a connection that has become a WebSocket, and its transport."""
    server = make_server(app, Lobby(lambda _: None))
    server.config.load()
    connection = server.config.ws_protocol_class(  # type: ignore[misc, call-arg]
        config=server.config, server_state=server.server_state, app_state={}
    )
    wire = Wire()
    connection.connection_made(wire)
    connection.data_received(HEAD)
    async with asyncio.timeout(30):
        while not wire.writes:  # noqa: ASYNC110 - the application accepts in a task of its own
            await asyncio.sleep(0)
    wire.writes.clear()
    return connection, wire


class Listener:
    """An application that takes what comes, once it may."""

    def __init__(self) -> None:
        self.heard: Heard = []
        self.may_hear, self.is_told = asyncio.Event(), asyncio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await self.may_hear.wait()
        while (message := await receive())["type"] == "websocket.receive":
            said = message.get("text")
            self.heard.append(message["bytes"] if said is None else said)
        self.is_told.set()


def sent(message: str | bytes) -> bytes:
    text = isinstance(message, str)
    content = message.encode() if isinstance(message, str) else message
    return Frame(Opcode.TEXT if text else Opcode.BINARY, content).serialize(mask=True)


messages = st.lists(
    st.one_of(
        st.sampled_from([0, 1, 125, 126, 960, 4087, 4088, 4089, 9000]).map(bytes),
        st.sampled_from([0, 125, 126, 960]).map("x".__mul__),
    ),
    max_size=6,
)


@given(messages=messages, cuts=st.lists(st.integers(0, 30_000)), pings=st.booleans(), is_burst=st.booleans())
def test_messages_arrive_as_they_were_sent_wherever_they_are_cut(
    messages: Heard, cuts: list[int], pings: bool, is_burst: bool
) -> None:
    async def run() -> Heard:
        listener = Listener()
        listener.may_hear.set()
        connection, _ = await opened(listener)
        between = Frame(Opcode.PING, b"p").serialize(mask=True) if pings else b""
        frames = [sent(message) + between for message in messages]
        data = b"".join(frames)
        whole = {sum(map(len, frames[:number])) for number in range(len(frames) + 1)}
        whole = {0, len(data)} if is_burst else whole
        at = sorted({cut for cut in cuts if cut < len(data)} | whole)
        for begin, end in itertools.pairwise(at):
            connection.data_received(data[begin:end])
        connection.data_received(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        async with asyncio.timeout(30):
            await listener.is_told.wait()
        return listener.heard

    assert asyncio.run(run()) == messages


async def test_a_whole_message_within_one_in_pieces_is_a_mistake_as_ever() -> None:
    listener = Listener()
    listener.may_hear.set()
    connection, wire = await opened(listener)
    connection.data_received(Frame(Opcode.BINARY, bytes(960), fin=False).serialize(mask=True))
    connection.data_received(sent(bytes(960)))
    async with asyncio.timeout(30):
        await listener.is_told.wait()
    assert listener.heard == []
    assert b"".join(wire.writes)[2:4] == (1002).to_bytes(2, "big")


async def test_nothing_more_is_read_for_an_application_that_falls_behind_until_it_has_taken_all() -> None:
    listener = Listener()
    connection, wire = await opened(listener)
    fed = 0
    while wire.is_read:
        connection.data_received(sent(bytes(960)))
        fed += 960
        assert fed < 2 * WAITING_BYTES
    assert fed > WAITING_BYTES
    listener.may_hear.set()
    async with asyncio.timeout(30):
        while not wire.is_read:  # noqa: ASYNC110 - until the application has taken all
            await asyncio.sleep(0)
    assert sum(map(len, listener.heard)) == fed
    connection.connection_lost(None)


@pytest.mark.parametrize("is_gone", [False, True])
async def test_several_messages_leave_in_one_go_or_the_client_is_known_to_be_gone(is_gone: bool) -> None:
    may_send, came_of_it = asyncio.Event(), asyncio.Event()
    raised: list[OSError] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await may_send.wait()
        try:
            await scope["extensions"][SEND]["send"]([(TEXT, b"one"), (BINARY, b"two")])
        except OSError as error:
            raised.append(error)
        came_of_it.set()
        await receive()

    connection, wire = await opened(app)
    if is_gone:
        connection.data_received(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        wire.writes.clear()
    may_send.set()
    async with asyncio.timeout(30):
        await came_of_it.wait()
    assert bool(raised) == is_gone
    assert wire.writes == ([] if is_gone else [b"\x81\x03one\x82\x03two"])
    connection.connection_lost(None)


class Taker(Listener):
    """An application that takes sound at once where it may, and receives the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.received: Heard = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][TAKE]["take"](self.take)

        async def received() -> Any:
            message = await receive()
            if message["type"] == "websocket.receive":
                said = message.get("text")
                self.received.append(message["bytes"] if said is None else said)
            return message

        await super().__call__(scope, received, send)

    def take(self, message: str | bytes) -> bool:
        if isinstance(message, bytes):
            self.heard.append(message)
        return isinstance(message, bytes)


async def test_what_is_taken_at_once_and_what_is_received_keep_their_order() -> None:
    taker = Taker()
    connection, _ = await opened(taker)
    said: Heard = [bytes([number]) * 960 for number in range(4)]
    connection.data_received(sent(said[0]))
    connection.data_received(sent("x" * 200))
    connection.data_received(sent(said[1]))  # what stands in front of it has not been received
    assert (taker.heard, taker.received) == ([said[0]], [])
    taker.may_hear.set()
    async with asyncio.timeout(30):
        while taker.received != ["x" * 200, said[1]]:  # noqa: ASYNC110 - the application has its own task
            await asyncio.sleep(0)
    third = sent(said[2])
    connection.data_received(third[:7])
    connection.data_received(third[7:] + sent(said[3]))
    assert taker.heard == [said[0], "x" * 200, *said[1:]]
    assert taker.received == ["x" * 200, said[1]]
    connection.connection_lost(None)


async def test_nothing_is_sent_at_once_to_a_client_that_takes_nothing_or_is_gone() -> None:
    ways: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        ways.append(scope["extensions"][SEND]["send_now"])
        await send({"type": "websocket.accept"})
        await receive()

    connection, wire = await opened(app)
    (send_now,) = ways

    def told(item: str) -> list[Message]:
        return [(TEXT, item.encode()), (BINARY, b"two")]

    assert send_now(told, "one")
    connection.pause_writing()
    assert not send_now(told, "three")
    connection.resume_writing()
    assert send_now(told, "four")
    assert wire.writes == [b"\x81\x03one\x82\x03two", b"\x81\x04four\x82\x03two"]
    connection.data_received(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
    assert not send_now(told, "five")
    connection.connection_lost(None)


async def test_nothing_is_taken_at_once_any_more_when_the_application_has_closed() -> None:
    heard: Heard = []
    may_close, is_closed = asyncio.Event(), asyncio.Event()

    def take(message: str | bytes) -> bool:
        heard.append(message)
        return True

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][TAKE]["take"](take)
        await receive()
        await send({"type": "websocket.accept"})
        await may_close.wait()
        await send({"type": "websocket.close", "code": 1000})
        is_closed.set()

    connection, _ = await opened(app)
    connection.data_received(sent(bytes(960)))
    may_close.set()
    async with asyncio.timeout(30):
        await is_closed.wait()
    connection.data_received(sent(bytes(961)))
    assert heard == [bytes(960)]
    connection.connection_lost(None)
