"""Work of a stage as a span in the trace that it came with."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from shared import trace
from shared.messages import Stage
from shared.trace import Span, Tracer, Value


@dataclass
class Notes:
    """What is to be said of a span; nobody's words."""

    attributes: dict[str, Value] = field(default_factory=dict)
    error: str = ""
    """A code; empty: it went well."""


_to_unix_s: ContextVar[float] = ContextVar("eva_to_unix_s")


def unix_s(monotonic_s: float) -> float:
    """Returns when that was, in Unix time; within a span by that span's clock: no part begins before it."""
    offset_s = _to_unix_s.get(None)
    return monotonic_s + (time.time() - time.monotonic() if offset_s is None else offset_s)


@contextlib.contextmanager
def stage_span(tracer: Tracer, stage: Stage, *, delivery: int, waited_s: float) -> Iterator[Notes]:
    """A job of the stage's queue is done inside; the work that is enqueued there is a part of it."""
    notes, came_with = Notes(), trace.current()
    if not tracer.is_on or came_with is None:
        yield notes
        return
    own, now_s = came_with.child(), time.monotonic()
    token = _to_unix_s.set(time.time() - now_s)
    began_s = unix_s(now_s)
    try:
        with trace.within(own):
            yield notes
    finally:
        ended_s = unix_s(time.monotonic())
        _to_unix_s.reset(token)
        tracer.record(
            Span(
                name=stage,
                context=own,
                parent_id=came_with.span_id,
                began_s=began_s,
                ended_s=ended_s,
                kind="consumer",
                attributes={
                    "eva.stage": stage,
                    "eva.queue_ms": 1000 * waited_s,
                    "eva.delivery": delivery,
                    "messaging.system": "nats",
                    "messaging.operation.type": "process",
                    "messaging.destination.template": f"eva.v1.work.{stage}.{{gateway}}.{{session}}",
                    **notes.attributes,
                },
                error=notes.error,
            )
        )
