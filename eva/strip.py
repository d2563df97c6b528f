"""One line that says where a turn's time went. Pure."""

from __future__ import annotations

from services.gateway.chat_protocol import EngineReport, Timeline
from shared.messages import RouteReport

_PARTS = ("endpoint", "stt", "llm", "tts", "send")
_STAGES = {"stt": "ears", "llm": "mind", "tts": "voice"}


def strip(timeline: Timeline) -> str:
    """Returns ``endpoint 512 · stt 84 · llm 3 · tts 21 · send 1 → 621 ms``; a typed turn has no first two."""
    is_spoken = timeline.endpoint_ms > 0 or timeline.stt_ms > 0
    names = _PARTS if is_spoken else _PARTS[2:]
    parts = " · ".join(f"{name} {getattr(timeline, f'{name}_ms'):.0f}" for name in names)
    notes = ""
    if timeline.attempts > 1:
        notes += f", {timeline.attempts} attempts"
    if timeline.repeats:
        notes += f", {timeline.repeats} repeated"
    if timeline.fillers:
        notes += f", bridged as of {timeline.first_sound_ms:.0f} ms"
    return f"{parts} → {timeline.response_ms:.0f} ms{notes}"


def way(report: RouteReport | None) -> str:
    """Returns ``way groq:big: queue 1 · connect 60 · first token 98 · first segment 117 ms, 1 retry``.

    Connecting is part of the first token's time, and shown where no connection was warm. Empty: nobody told.
    """
    if report is None or not report.route:
        return ""
    parts = [f"queue {report.queue_ms:.0f}"]
    if report.connect_ms > 0:
        parts.append(f"connect {report.connect_ms:.0f}")
    parts += [f"first token {report.first_token_ms:.0f}", f"first segment {report.first_segment_ms:.0f} ms"]
    notes = []
    if report.is_hedged:
        notes.append("hedged, and the hedge won" if report.has_hedge_won else "hedged in vain")
    notes += [_times(report.retries, "retry", "retries")] if report.retries else []
    notes += [_times(report.switches, "switch", "switches")] if report.switches else []
    notes += ["cut short"] if report.is_cut_short else []
    return ", ".join([f"way {report.route}: {' · '.join(parts)}", *notes])


def _times(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def served_by(engines: dict[str, EngineReport]) -> str:
    """Returns ``ears sphinx en-us (cpu, degraded) · mind companion · voice piper amy (cuda:0)``."""
    return " · ".join(
        f"{name} {describe(engines[stage])}" for stage, name in _STAGES.items() if stage in engines
    )


def describe(report: EngineReport) -> str:
    """Returns an engine's name with its model, device and whether it is a makeshift."""
    name = " ".join(part for part in (report.engine, report.model) if part)
    notes = [part for part in (report.device, "degraded" if report.is_degraded else "") if part]
    return f"{name} ({', '.join(notes)})" if notes else name
