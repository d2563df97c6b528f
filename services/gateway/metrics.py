"""The gateway's figures for Prometheus, in a registry of their own; no label names a person or a session."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from services.gateway.turn_io import TurnReport
from shared.messages import Stage

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5)
"""Dense where people feel the difference, and long enough to read a slow tail."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All metrics of the process."""

    def __init__(self, *, version: str) -> None:
        self._registry = registry = CollectorRegistry()
        self._response = Histogram(
            "eva_turn_response_seconds",
            "End of the person's turn to the first audible sound at the socket.",
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._stage = Histogram(
            "eva_stage_seconds",
            "Part of a stage in the response time of a turn.",
            ["stage"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._turns = Counter("eva_turns_total", "Turns, by how they ended.", ["outcome"], registry=registry)
        self._canaries = Counter(
            "eva_canary_turns_total", "Self-tests, by how they ended.", ["outcome"], registry=registry
        )
        self._errors = Counter("eva_errors_total", "Errors told to clients.", ["code"], registry=registry)
        build = Gauge("eva_build_info", "The running version.", ["version"], registry=registry)
        build.labels(version).set(1)

    def watch_sessions(self, count: Callable[[], int]) -> None:
        """Has the number of open sessions read when it is asked for."""
        gauge = Gauge("eva_sessions_active", "Clients that are connected now.", registry=self._registry)
        gauge.set_function(count)

    def watch_stage(self, stage: Stage, is_up: Callable[[], bool], gauge: Gauge | None = None) -> Gauge:
        """Has a stage's readiness read when it is asked for; returns the gauge for the next stage."""
        gauge = gauge or Gauge(
            "eva_stage_ready", "1 while a worker of the stage is ready.", ["stage"], registry=self._registry
        )
        gauge.labels(stage).set_function(is_up)
        return gauge

    def turn_over(self, report: TurnReport) -> None:
        """Counts a turn."""
        if report.is_canary:
            self._canaries.labels(report.outcome).inc()
            return
        self._turns.labels(report.outcome).inc()
        timeline = report.timeline
        if report.outcome == "completed" and report.has_audio:
            self._response.observe(timeline.response_ms / 1000)
            for stage in ("endpoint", "stt", "llm", "tts", "send"):
                self._stage.labels(stage).observe(getattr(timeline, f"{stage}_ms") / 1000)

    def error(self, code: str) -> None:
        """Counts an error that a client was told."""
        self._errors.labels(code).inc()

    def render(self) -> bytes:
        """Returns the text that Prometheus reads."""
        return generate_latest(self._registry)
