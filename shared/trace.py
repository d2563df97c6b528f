"""Traces: one for each turn, a span for each stage, told from process to process by W3C trace context. Pure.

A span is recorded when it is over, so nothing is kept open while work goes on: work needs just the
``TraceContext`` that it stands in. That of the work in hand is a context variable: tasks that begin there
have it too, and the bus gives it to the work that they enqueue (header ``traceparent``, lower case:
https://www.w3.org/TR/trace-context/). Frames and chunks of sound carry none.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

HEADER = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16

Kind = Literal["server", "internal", "client", "consumer"]
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where work stands: the trace, and the span that it is a part of."""

    trace_id: str
    """32 hexadecimal digits, lower case."""
    span_id: str
    """16 of them."""
    is_sampled: bool = False
    """Whether somebody collects the trace."""

    @property
    def traceparent(self) -> str:
        """As a header has it."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    def child(self, span_id: str = "") -> TraceContext:
        """Returns the context of a span within this one; its id is drawn if empty."""
        return TraceContext(self.trace_id, span_id or secrets.token_hex(8), self.is_sampled)


def parse(traceparent: str | None) -> TraceContext | None:
    """Reads a header; None: there is none, or it is none of this form."""
    match = _FORM.fullmatch(traceparent or "")
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    is_wrong = version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN
    return None if is_wrong else TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


class TurnTraces:
    """The traces of one session's turns: ids of 16 bytes that nobody can guess, the same when asked again."""

    def __init__(self, *, is_sampled: bool = False) -> None:
        self._seed, self._is_sampled = secrets.token_bytes(16), is_sampled

    def of(self, turn: int) -> TraceContext:
        """Returns where a turn's work stands: in the turn's own span."""
        digest = hashlib.blake2b(turn.to_bytes(8, "big"), digest_size=16, key=self._seed).hexdigest()
        return TraceContext(digest, root_span(digest), self._is_sampled)


def root_span(trace_id: str) -> str:
    """Returns the id of the span that a whole turn is: whoever knows the trace knows it."""
    return trace_id[16:]


_current: ContextVar[TraceContext | None] = ContextVar("eva_trace", default=None)


def current() -> TraceContext | None:
    """Returns where the work in hand stands; None: in no trace."""
    return _current.get()


@contextlib.contextmanager
def within(context: TraceContext | None) -> Iterator[None]:
    """Work that is done or begun inside stands there."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def headers() -> dict[str, str]:
    """Returns what goes with work that is enqueued here."""
    context = _current.get()
    return {} if context is None else {HEADER: context.traceparent}


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A piece of work that is over. No attribute holds a person's words."""

    name: str
    context: TraceContext
    parent_id: str
    """Of the span that it is a part of; empty: it is the whole trace."""
    began_s: float
    """Unix time."""
    ended_s: float
    kind: Kind = "internal"
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str = ""
    """A code; empty: it went well."""


class Tracer(Protocol):
    """Collects spans."""

    is_on: bool
    """Whether spans go anywhere; what they would say need not be put together otherwise."""

    def record(self, span: Span) -> None:
        """Takes a span, if its trace is collected; must not block."""

    def close(self) -> None:
        """Sends what is left; may block for some seconds."""


class _Untraced:
    is_on = False

    def record(self, span: Span) -> None:
        pass

    def close(self) -> None:
        pass


UNTRACED: Tracer = _Untraced()
"""Collects nothing."""
