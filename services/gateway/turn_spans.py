"""A turn's own spans, and those of the stages that the gateway alone can see. Pure.

The turn is the root of its trace. Endpoint and ears come before anybody knows that there is a turn, so they
are told from its timeline, as is the sending; the mind and the voice tell theirs themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.gateway.turn_io import TurnReport
from shared.trace import Span, TraceContext, Value, root_span


def turn_spans(report: TurnReport, *, ended_s: float) -> Iterator[Span]:
    """Yields the spans of a turn that ended now: ``ended_s``, Unix time."""
    timeline = report.timeline
    root = TraceContext(report.trace_id, root_span(report.trace_id), is_sampled=True)
    asked_s = ended_s - timeline.total_ms / 1000
    decided_s = asked_s - timeline.stt_ms / 1000
    spoke_until_s = decided_s - timeline.endpoint_ms / 1000
    yield Span(
        name="turn",
        context=root,
        parent_id="",
        began_s=spoke_until_s,
        ended_s=ended_s,
        kind="server",
        attributes=_of_turn(report),
        error=report.code if report.outcome == "failed" else "",
    )
    if report.is_spoken:
        yield _part("endpoint", root, spoke_until_s, decided_s)
        yield _part("stt", root, decided_s, asked_s, _of_ears(report))
    if report.has_audio:
        sent_s = asked_s + (timeline.llm_ms + timeline.tts_ms) / 1000
        yield _part("send", root, sent_s, sent_s + timeline.send_ms / 1000)


def _part(
    name: str, root: TraceContext, began_s: float, ended_s: float, attributes: dict[str, Value] | None = None
) -> Span:
    return Span(
        name=name,
        context=root.child(),
        parent_id=root.span_id,
        began_s=began_s,
        ended_s=ended_s,
        attributes={"eva.stage": name, **(attributes or {})},
    )


def _of_turn(report: TurnReport) -> dict[str, Value]:
    timeline = report.timeline
    return {
        "eva.outcome": report.outcome,
        "eva.is_spoken": report.is_spoken,
        "eva.is_canary": report.is_canary,
        "eva.is_speculative": timeline.is_speculative,
        "eva.has_audio": report.has_audio,
        "eva.response_ms": timeline.response_ms,
        "eva.first_sound_ms": timeline.first_sound_ms,
        "eva.attempts": timeline.attempts,
        "eva.repeats": timeline.repeats,
        "eva.fillers": timeline.fillers,
    }


def _of_ears(report: TurnReport) -> dict[str, Value]:
    ears = report.engines.get("stt")
    return (
        {}
        if ears is None
        else {"eva.engine": ears.engine, "eva.model": ears.model, "eva.device": ears.device}
    )
