"""What the loopback provider sends: one reply as server-sent events, and the faults by their names."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.llm.prompt import bare

STALL_S = 3600.0
LONG_LINE_BYTES = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a function within a reply."""

    name: str
    arguments: str = "{}"
    id: str = ""
    """Empty: none is sent."""
    pieces: int = 1
    """In how many chunks its arguments come."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How one chat completion goes."""

    tokens: tuple[str, ...] = ("Hello", " there", ".", " How", " are", " you", "?")
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    head_delay_s: float = 0.0
    """Before the status line."""
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
    calls: tuple[Call, ...] = ()
    """Behind the tokens."""
    cached_tokens: int = 0
    is_endless: bool = False
    """Says its tokens again and again."""
    has_done: bool = True
    """Sends ``[DONE]``."""
    has_finish: bool = True
    """Says in the last chunk that it has finished."""
    finish: str = ""
    """Why; empty: for calls or because all was said."""
    stays_open: bool = False
    """Does not end the stream behind everything."""
    raw: bytes | None = None
    """Instead of everything else: this body."""
    line_bytes: int = 0
    """Instead of everything else: one line of so many bytes, and then silence."""
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

    @property
    def model(self) -> str:
        """Whom it is for."""
        return str(self.body.get("model", ""))

    async def wait(self, seconds: float) -> None:
        """Waits, no longer than the client does."""
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.is_gone.wait(), seconds)


FAULTS: Final[Mapping[str, Reply]] = {
    "429, come back in 1 s": Reply(status=429, headers=(("retry-after", "1"),)),
    "429, come back in 10 min": Reply(status=429, headers=(("retry-after", "600"),)),
    "500": Reply(status=500),
    "503": Reply(status=503),
    "no answer at all": Reply(head_delay_s=STALL_S),
    "200, then silence": Reply(first_delay_s=STALL_S),
    "stall in mid-answer": Reply(stall_after=4),
    "connection cut in mid-answer": Reply(cut_after=4),
    "error in mid-answer": Reply(error_after=4),
    "Groq's error in mid-answer": Reply(groq_error_after=4),
    "garbage": Reply(raw=b"data: {not json\n\n"),
    "no UTF-8": Reply(raw=b"data: \xff\xfe\n\n"),
    "characters in halves": Reply(tokens=("Où ", "ça ? ", "你好", " 😊"), slice_bytes=3),
    "no [DONE]": Reply(has_done=False),
    "no end of the stream": Reply(has_done=False, stays_open=True),
    "a line of 10 MB": Reply(line_bytes=LONG_LINE_BYTES),
    "endless repetition": Reply(tokens=("Again", " and", " again", ". "), delay_s=0.001, is_endless=True),
    "empty answer": Reply(tokens=()),
}
"""The wrong turns that a provider can take once it is reached; ``provider.black_hole`` is one that is not."""


async def body_of(reply: Reply, request: Request) -> AsyncGenerator[bytes, None]:
    """Yields the stream, event by event, as long as the client is there."""
    if reply.raw is not None:
        yield reply.raw
        return
    if reply.line_bytes:
        yield b'data: {"choices":[{"delta":{"content":"'
        for _ in range(reply.line_bytes // 65_536 + 1):
            yield b"x" * 65_536
        await request.wait(STALL_S)
        return
    yield _event(_chunk({"role": "assistant", "content": ""}))
    async with contextlib.aclosing(_told(reply, request)) as told:
        async for event in told:
            yield event
    if request.is_gone.is_set() or _is_broken(reply):
        return
    for delta in _calls(reply.calls):
        yield _event(_chunk({"tool_calls": [delta]}))
    for event in _ended(reply, request):
        yield event
    if reply.stays_open:
        await request.wait(STALL_S)


def question_of(body: dict[str, Any]) -> str:
    """Returns what is asked, whether for the first time or again for what is missing of the answer."""
    messages = [{**each, "content": each["content"] or ""} for each in body["messages"]]
    plain = [{**each, "content": bare(each["content"])} for each in messages]
    *before, newest = plain
    goes_on = newest["role"] == "assistant" and plain != messages  # it is noted that this was said already
    return json.dumps(before if goes_on else plain)


def whole(text: str) -> dict[str, Any]:
    """Returns a completion that is not streamed."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "length"}
    return {**_chunk({}), "object": "chat.completion", "choices": [choice]}


def error_body(status: int) -> dict[str, Any]:
    """Returns what stands in an answer with this status."""
    kinds = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
    return {"error": {"message": "no", "type": "fault", "code": kinds.get(status, "fault")}}


async def _told(reply: Reply, request: Request) -> AsyncGenerator[bytes, None]:
    tokens: Iterable[str] = itertools.cycle(reply.tokens) if reply.is_endless else (*reply.tokens, "")
    for count, token in enumerate(tokens):
        await request.wait(
            STALL_S if count == reply.stall_after else reply.delay_s if count else reply.first_delay_s
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


def _is_broken(reply: Reply) -> bool:
    places = (reply.cut_after, reply.error_after, reply.groq_error_after)
    return any(place is not None and place <= len(reply.tokens) for place in places)


def _calls(calls: Iterable[Call]) -> Iterable[dict[str, Any]]:
    for index, call in enumerate(calls):
        size = -(-len(call.arguments) // call.pieces) or 1
        first = {"name": call.name, "arguments": call.arguments[:size]}
        begin: dict[str, Any] = {"index": index, "type": "function", "function": first}
        yield {**begin, "id": call.id} if call.id else begin
        for start in range(size, len(call.arguments), size):
            yield {"index": index, "function": {"arguments": call.arguments[start : start + size]}}


def _ended(reply: Reply, request: Request) -> Iterable[bytes]:
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": len(reply.tokens),
        "total_tokens": 11 + len(reply.tokens),
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
    }
    if reply.has_finish:
        finish = reply.finish or ("tool_calls" if reply.calls else "stop")
        yield _event({**_chunk({}, finish=finish), "x_groq": {"id": "req_1", "usage": usage}})
        if request.body.get("stream_options", {}).get("include_usage"):
            yield _event({**_chunk({}), "choices": [], "usage": usage})
    if reply.has_done:
        yield b"data: [DONE]\n\n"


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "test-model",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def _event(data: Any) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
