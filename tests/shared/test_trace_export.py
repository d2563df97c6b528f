"""Spans on their way to an OpenTelemetry collector: over real HTTP, and only where somebody asked for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shared.instruments import make_tracer
from shared.trace import UNTRACED, Span, TraceContext
from shared.trace_export import OtlpTracer
from tests.fakes.collector import collecting

TRACE, TURN, PART = "4bf92f3577b34da6a3ce929d0e0e4736", "a3ce929d0e0e4736", "00f067aa0ba902b7"


def span(name: str, own: str, parent: str, *, is_sampled: bool = True, error: str = "") -> Span:
    return Span(
        name=name,
        context=TraceContext(TRACE, own, is_sampled),
        parent_id=parent,
        began_s=1000.25,
        ended_s=1000.5,
        kind="client" if parent else "server",
        attributes={"eva.stage": "tts", "eva.queue_ms": 1.5, "eva.is_cached": False, "eva.segment": 2},
        error=error,
    )


async def test_spans_come_to_the_collector_with_their_times_parents_and_attributes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        tracer = make_tracer("tts")
        tracer.record(span("turn", TURN, ""))
        tracer.record(span("tts", PART, TURN, error="engine_failed"))
        tracer.record(span("unwanted", PART, TURN, is_sampled=False))
        told = await collector.until(lambda spans: len(spans) >= 2)
        tracer.close()
    turn, part = sorted(told, key=lambda one: one.name == "tts")
    assert (turn.name, turn.service, turn.trace_id, turn.span_id, turn.parent_id) == (
        "turn", "eva-tts", TRACE, TURN, "",
    )  # fmt: skip
    assert (part.name, part.parent_id, part.kind, part.is_error) == ("tts", TURN, "CLIENT", True)
    assert (part.began_s, part.ended_s) == (1000.25, 1000.5)
    assert part.attributes == {
        "eva.stage": "tts", "eva.queue_ms": 1.5, "eva.is_cached": False, "eva.segment": 2,
        "error.type": "engine_failed",
    }  # fmt: skip
    assert not turn.is_error
    assert len(told) == 2


def test_a_name_that_the_operator_gives_goes_before_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert named(OtlpTracer("eva-llm", version="1")) == "eva-llm"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "my-mind")
    assert named(OtlpTracer("eva-llm", version="1")) == "my-mind"


def named(tracer: OtlpTracer) -> object:
    return tracer._resource.attributes["service.name"]


@pytest.mark.parametrize(
    "variables", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}]
)
def test_nobody_collects_what_nobody_asked_for(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert make_tracer("llm") is UNTRACED


@pytest.mark.parametrize("service", ["llm", "stt", "tts"])
def test_a_service_loads_neither_library_before_somebody_asks_for_figures_or_traces(service: str) -> None:
    code = (
        f"import sys, services.{service}.__main__\n"
        "from shared.instruments import make_instruments\n"
        f"make_instruments('{service}', metrics_port=0)\n"
        "print([name for name in ('opentelemetry', 'prometheus_client') if name in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert said.stdout.strip() == "[]"
