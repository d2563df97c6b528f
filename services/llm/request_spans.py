"""Each request to a provider as a span, in the words of OpenTelemetry's conventions for generative AI.

https://github.com/open-telemetry/semantic-conventions-genai: nothing of what was asked or answered is told.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.llm.race import Entry
from shared import trace
from shared.messages import MindDone
from shared.stage_span import unix_s
from shared.trace import Span, Tracer, Value


def record_requests(tracer: Tracer, entries: Iterable[Entry], *, now_s: float) -> None:
    """Tells of the requests of one search, which are all over; ``now_s`` by the monotonic clock."""
    context = trace.current()
    if not tracer.is_on or context is None:
        return
    for entry in entries:
        ended_s = now_s if entry.ended_s is None else entry.ended_s
        tracer.record(
            Span(
                name=f"chat {entry.mind.model}".rstrip(),
                context=context.child(),
                parent_id=context.span_id,
                began_s=unix_s(entry.began_s),
                ended_s=unix_s(ended_s),
                kind="client",
                attributes=_attributes(entry),
                error=entry.fault,
            )
        )


def _attributes(entry: Entry) -> dict[str, Value]:
    known: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": entry.mind.name,
        "gen_ai.request.model": entry.mind.model,
        "gen_ai.request.stream": True,
        "eva.route": entry.route,
        "eva.is_hedge": entry.is_hedge,
        "eva.is_dropped": entry.is_dropped,
        "eva.connect_ms": 1000 * entry.opened.connect_s,
    }
    if entry.first_s is not None:
        known["gen_ai.response.time_to_first_chunk"] = entry.first_s - entry.began_s
    if entry.usage is not None:
        known["gen_ai.usage.input_tokens"] = entry.usage.input_tokens
        known["gen_ai.usage.output_tokens"] = entry.usage.output_tokens
    return known


def told(done: MindDone) -> dict[str, Value]:
    """What a span says of an answer that was told to its end."""
    return {
        "eva.engine": done.engine,
        "eva.model": done.model,
        "eva.is_degraded": done.is_degraded,
        "eva.first_token_ms": done.first_token_ms,
        "eva.first_segment_ms": done.first_segment_ms,
        "eva.segments": done.segments,
    }
