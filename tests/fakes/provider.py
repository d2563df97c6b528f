"""A language model's server on loopback, with faults on demand.

It speaks OpenAI's chat completions (``/v1/…``) and Groq's path (``/openai/v1/…``) over real sockets. Each
request is answered by the next of ``replies``, the last one again and again; what was asked is kept in
``requests``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

STALL_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How one chat completion goes."""

    tokens: tuple[str, ...] = ("Hello", " there", ".", " How", " are", " you", "?")
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    first_delay_s: float = 0.0
    """Before the first token; ``STALL_S`` is a provider that falls silent."""
    delay_s: float = 0.0
    """Before each other token."""
    stall_after: int | None = None
    """Falls silent behind so many tokens."""
    cut_after: int | None = None
    """Closes the connection behind so many tokens."""
    error_after: int | None = None
    """Sends an error object behind so many tokens."""
    groq_error_after: int | None = None
    """Sends ``x_groq.error`` behind so many tokens."""
    raw: bytes | None = None
    """Instead of everything else: this body."""
    slice_bytes: int = 0
    """Sends the body in slices of so many bytes, also in the middle of a character."""


@dataclass(kw_only=True)
class Request:
    """What was asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    is_gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has closed the connection before the answer's end."""


class FakeProvider:
    """The server; ``async with FakeProvider() as provider``."""

    def __init__(
        self, *replies: Reply, models: tuple[str, ...] = ("test-model",), models_status: int = 200
    ) -> None:
        self.replies = list(replies) or [Reply()]
        self.models = models
        self.models_status = models_status
        self.requests: list[Request] = []
        self.listings = 0
        self.warm_ups = 0
        """Chat completions that were not to be streamed; they use up no reply."""
        self.load_s = 0.0
        """How long they take."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def root(self) -> str:
        """For Groq's SDK."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """For OpenAI's SDK."""
        return f"{self.root}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Goes away; the port refuses from then on."""
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False: the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split()[1]
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if path.endswith("/v1/models"):
            self.listings += 1
            listing = {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
            _send_json(writer, self.models_status, listing)
            return True
        if not path.endswith("/v1/chat/completions"):
            _send_json(writer, 404, {"error": {"message": "no such path"}})
            return True
        request = Request(path=path, headers=headers, body=json.loads(raw))
        if not request.body.get("stream"):
            self.warm_ups += 1
            await asyncio.sleep(self.load_s)
            _send_json(writer, self.replies[0].status, _whole("Hi"))
            return True
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply.status != 200:
            _send_json(writer, reply.status, {"error": {"message": "no", "code": "fault"}}, reply.headers)
            return True
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        is_whole = False
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(_watch(reader, request))
                is_whole = await _stream(writer, reply, request)
                watch.cancel()
        except* ConnectionError:  # whoever goes with bytes unread resets the connection
            request.is_gone.set()
        return is_whole and not request.is_gone.is_set()


async def _watch(reader: asyncio.StreamReader, request: Request) -> None:
    if not await reader.read(1):
        request.is_gone.set()


async def _stream(writer: asyncio.StreamWriter, reply: Reply, request: Request) -> bool:
    """Returns whether the answer came to its proper end."""
    async for event in _events(reply, request):
        size = reply.slice_bytes or len(event)
        for start in range(0, len(event), size):
            part = event[start : start + size]
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
            if reply.slice_bytes:
                await asyncio.sleep(0)
    if reply.cut_after is not None or request.is_gone.is_set():
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _events(reply: Reply, request: Request) -> AsyncIterator[bytes]:
    if reply.raw is not None:
        yield reply.raw
        return
    yield _event(_chunk({"role": "assistant", "content": ""}))
    for count, token in enumerate((*reply.tokens, "")):
        await _wait(
            STALL_S if count == reply.stall_after else reply.delay_s if count else reply.first_delay_s,
            request,
        )
        if request.is_gone.is_set() or count == reply.cut_after:
            return
        if count == reply.error_after:
            yield _event({"error": {"message": "overloaded", "type": "server_error"}})
            return
        if count == reply.groq_error_after:
            yield _event({**_chunk({}), "x_groq": {"id": "req_1", "error": "over_capacity"}})
            return
        if token:
            yield _event(_chunk({"content": token}))
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": len(reply.tokens),
        "total_tokens": 11 + len(reply.tokens),
    }
    yield _event({**_chunk({}, finish="stop"), "x_groq": {"id": "req_1", "usage": usage}})
    if request.body.get("stream_options", {}).get("include_usage"):
        yield _event({**_chunk({}), "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


async def _wait(seconds: float, request: Request) -> None:
    if seconds:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(request.is_gone.wait(), seconds)


def _chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "test-model",
        "choices": [choice],
    }


def _whole(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "test-model",
        "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
    }


def _event(data: Any) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def _send_json(
    writer: asyncio.StreamWriter, status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()
) -> None:
    payload = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(payload)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port that neither accepts nor refuses: its backlog is full. Yields the port."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def refusing_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
