"""A language model's server on loopback, with faults on demand.

It speaks OpenAI's chat completions (``/v1/…``) and Groq's path (``/openai/v1/…``) over real sockets. Each
request is answered by the next of ``replies``, the last one again and again, or by what its model has in
``faults``; ``traces`` say how long each model takes to its first token. What was asked is kept in
``requests``, and what became of it is counted.

EVA asks again where a worker of hers stood still: the same once more, or for the rest of the answer. A
provider that ``is_steady`` gives the answer that it gave before, and what it was asked stands in
``questions`` once: a test on real processes need not know whether one of them was kept waiting.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from eva.place import free_port
from tests.fakes.provider_latency import Trace
from tests.fakes.provider_limits import RateLimits
from tests.fakes.provider_replies import (
    FAULTS,
    STALL_S,
    Call,
    Reply,
    Request,
    body_of,
    error_body,
    question_of,
    whole,
)

__all__ = [
    "FAULTS",
    "STALL_S",
    "Call",
    "FakeProvider",
    "RateLimits",
    "Reply",
    "Request",
    "Trace",
    "black_hole",
    "refusing_port",
]

Headers = tuple[tuple[str, str], ...]
_SICK = Trace(seed=0, spells="always")


class FakeProvider:
    """The server; ``async with FakeProvider() as provider``."""

    def __init__(
        self,
        *replies: Reply,
        models: tuple[str, ...] = ("test-model",),
        models_status: int = 200,
        is_steady: bool = False,
    ) -> None:
        self._is_steady = is_steady
        self.replies = list(replies) or [Reply()]
        self.models = models
        self.models_status = models_status
        self.faults: dict[str, Reply] = {}
        """By model: instead of the next of ``replies``."""
        self.traces: dict[str, Trace] = {}
        """By model: how long it takes to the first token, where the reply does not say so itself."""
        self.sick: set[str] = set()
        """Models that are in a sick spell, whatever their trace says."""
        self.turn: int | None = None
        """Which turn of the traces it is; None: each request of a model is its next turn."""
        self.limits: RateLimits | None = None
        """Of the account, told in all answers; None: it says nothing of limits."""
        self.requests: list[Request] = []
        self.questions: list[Request] = []
        """Those requests that took the next of the replies, not the same one again."""
        self.asked: collections.Counter[str] = collections.Counter()
        """Streamed requests by model."""
        self.cancelled = 0
        """Streamed requests whose client went before the answer's end."""
        self.connections = 0
        """That were ever made."""
        self.listings = 0
        self.listing_s = 0.0
        """How long a list of models takes."""
        self.warm_ups = 0
        """Chat completions that were not to be streamed; they use up no reply."""
        self.load_s = 0.0
        """How long they take."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def replies(self) -> list[Reply]:
        """What is still to be answered; whoever assigns them begins anew."""
        return self._replies

    @replies.setter
    def replies(self, replies: list[Reply]) -> None:
        self._replies = replies
        self._given: dict[str, Reply] = {}
        """By question."""

    @property
    def root(self) -> str:
        """For Groq's SDK."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """For OpenAI's SDK."""
        return f"{self.root}/v1"

    @property
    def open_connections(self) -> int:
        """That are there now."""
        return len(self._connections)

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

    async def deserted(self) -> None:
        """Waits until nobody is connected."""
        while self._connections:
            await asyncio.wait(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connections += 1
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
            await asyncio.sleep(self.listing_s)
            listing = {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
            _send_json(writer, self.models_status, listing)
            return True
        if not path.endswith("/v1/chat/completions"):
            _send_json(writer, 404, error_body(404))
            return True
        request = Request(path=path, headers=headers, body=json.loads(raw))
        if not request.body.get("stream"):
            self.warm_ups += 1
            await asyncio.sleep(self.load_s)
            _send_json(writer, self.replies[0].status, whole("Hi"))
            return True
        return await self._completion(reader, writer, request)

    async def _completion(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request
    ) -> bool:
        self.requests.append(request)
        reply = self._reply(request)
        self.asked[request.model] += 1
        is_whole = False
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(_watch(reader, request))
                is_whole = await _send(writer, reply, request, self._limit_headers())
                watch.cancel()
        except* ConnectionError:  # whoever goes with bytes unread resets the connection
            request.is_gone.set()
        self.cancelled += request.is_gone.is_set() and not is_whole
        return is_whole and not request.is_gone.is_set()

    def _reply(self, request: Request) -> Reply:
        """Returns how this request is answered."""
        if (wait_s := self._exceeded(request)) is not None:
            return Reply(status=429, headers=(("retry-after", f"{wait_s:.0f}"),))
        if (fault := self.faults.get(request.model)) is not None:
            return fault
        question = question_of(request.body) if self._is_steady else ""
        reply = self._given.get(question) or self._next(request)
        if question:
            self._given[question] = reply
        trace = _SICK if request.model in self.sick else self.traces.get(request.model)
        if trace is None or reply.first_delay_s:
            return reply
        turn = self.asked[request.model] if self.turn is None else self.turn
        return dataclasses.replace(reply, first_delay_s=trace.first_token_s(turn))

    def _next(self, request: Request) -> Reply:
        self.questions.append(request)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def _exceeded(self, request: Request) -> float | None:
        if self.limits is None:
            return None
        words = sum(len(str(message.get("content"))) for message in request.body["messages"])
        return self.limits.take(words // 4 + 1, asyncio.get_running_loop().time())

    def _limit_headers(self) -> Headers:
        return self.limits.headers(asyncio.get_running_loop().time()) if self.limits else ()


async def _watch(reader: asyncio.StreamReader, request: Request) -> None:
    if not await reader.read(1):
        request.is_gone.set()


async def _send(writer: asyncio.StreamWriter, reply: Reply, request: Request, limits: Headers) -> bool:
    """Returns whether the answer came to its proper end."""
    await request.wait(reply.head_delay_s)
    if request.is_gone.is_set():
        return False
    if reply.status != 200:
        _send_json(writer, reply.status, error_body(reply.status), (*limits, *reply.headers))
        return True
    lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream", "transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in (*limits, *reply.headers)]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    async with contextlib.aclosing(body_of(reply, request)) as events:
        async for event in events:
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


def _send_json(writer: asyncio.StreamWriter, status: int, body: Any, headers: Headers = ()) -> None:
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
    return free_port("127.0.0.1", 0)
