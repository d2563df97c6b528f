"""Spans to an OpenTelemetry collector, over HTTP with protobuf; the one place that knows that library.

Batches are sent by a thread of the library's, which drops spans that it has no room for. Where to, how often
and with which headers OpenTelemetry's own variables say (``OTEL_EXPORTER_OTLP_ENDPOINT`` and so on:
https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
"""

from __future__ import annotations

import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.trace import Span

CLOSE_S = 2.0
"""How long what is left may take to be sent at the end."""
_KINDS = {
    "server": SpanKind.SERVER,
    "internal": SpanKind.INTERNAL,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}


class OtlpTracer:
    """A ``Tracer``. ``service``: ``eva-llm`` for example, unless ``OTEL_SERVICE_NAME`` says otherwise."""

    is_on = True

    def __init__(self, service: str, *, version: str, exporter: SpanExporter | None = None) -> None:
        own = Resource({"service.name": service, "service.version": version})
        self._resource = own.merge(_named())
        self._scope = InstrumentationScope("eva", version)
        self._batches = BatchSpanProcessor(exporter or OTLPSpanExporter())

    def record(self, span: Span) -> None:
        """Takes a span, if its trace is collected."""
        if span.context.is_sampled:
            self._batches.on_end(self._readable(span))

    def close(self) -> None:
        """Sends what is left; blocks for ``CLOSE_S`` at most."""
        ending = threading.Thread(target=self._batches.shutdown, name="traces-end", daemon=True)
        ending.start()  # a collector that hangs is waited for no longer than that
        ending.join(CLOSE_S)

    def _readable(self, span: Span) -> ReadableSpan:
        trace_id = int(span.context.trace_id, 16)
        parent = _context(trace_id, span.parent_id, is_remote=True) if span.parent_id else None
        attributes = {**span.attributes, **({"error.type": span.error} if span.error else {})}
        return ReadableSpan(
            name=span.name,
            context=_context(trace_id, span.context.span_id),
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
            start_time=round(1e9 * span.began_s),
            end_time=round(1e9 * span.ended_s),
            instrumentation_scope=self._scope,
        )


def _named() -> Resource:
    """Returns what OpenTelemetry's variables say about the process."""
    named = Resource.create().attributes
    unknown = str(named.get("service.name", "")).startswith("unknown_service")
    return Resource({key: value for key, value in named.items() if not (unknown and key == "service.name")})


def _context(trace_id: int, span_id: str, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED))
