"""The gateway's figures for Prometheus, in a registry of their own; no label names a person or a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.gateway.broker_metrics import BrokerMetrics, Told
from services.gateway.health import RouteHealth
from services.gateway.interruption import Verdict
from services.gateway.mind_metrics import MindMetrics, SoundMetrics, from_zero
from services.gateway.turn_actions import Outcome
from services.gateway.turn_io import CutIn, Judged, Note, Paused, Speculated, TurnReport
from shared.gpu_metrics import Card, GpuMetrics
from shared.messages import Stage
from shared.metrics import BUCKETS_S, of_process, page

TAKING_TURNS_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.5, 2, 5)
"""Around the 150 ms within which EVA pauses, and the 600 ms within which she decides."""
OPENMETRICS = "application/openmetrics-text"


class Metrics:
    """All metrics of the process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        of_process(registry)
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
        self._interruptions = Counter(
            "eva_interruptions_total",
            "Decisions about speech into EVA's turn, by what it was taken for.",
            ["verdict"],
            registry=registry,
        )
        self._pauses = Histogram(
            "eva_pause_seconds",
            "First sound of speech into EVA's turn at the gateway to the pause of her playback.",
            buckets=TAKING_TURNS_S,
            registry=registry,
        )
        self._decisions = Histogram(
            "eva_interruption_decision_seconds",
            "First sound of speech into EVA's turn at the gateway to the decision what it is.",
            buckets=TAKING_TURNS_S,
            registry=registry,
        )
        self._cut_ins = Counter(
            "eva_cut_ins_total",
            "Turns that were taken from a person who was not done: they went on within 2 s.",
            registry=registry,
        )
        self._speculations = Counter(
            "eva_speculations_total",
            "Answers begun before the end of the person's turn was decided, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        for counter in (self._turns, self._canaries):
            from_zero(counter, get_args(Outcome))
        from_zero(self._interruptions, get_args(Verdict))
        from_zero(self._speculations, ("used", "dropped"))
        self._mind, self._sound = MindMetrics(registry), SoundMetrics(registry)
        self._gpu = GpuMetrics(registry)

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

    def watch_routes(self, routes: Callable[[], list[RouteHealth]]) -> None:
        """Has the breakers and rate limits of the routes to a language model read when they are asked for."""
        self._mind.watch(routes)

    def watch_cards(self, cards: Callable[[], list[Card]]) -> None:
        """Has the figures of the workers' GPUs read when they are asked for."""
        self._gpu.watch(cards)

    def watch_broker(self, told: Told) -> None:
        """Has what the broker's servers told read when it is asked for."""
        self._registry.register(BrokerMetrics(told))

    def turn_over(self, report: TurnReport) -> None:
        """Counts a turn."""
        if report.is_canary:
            self._canaries.labels(report.outcome).inc()
            return
        self._turns.labels(report.outcome).inc()
        self._mind.turn_over(report.route)
        self._sound.turn_over(report)
        timeline = report.timeline
        if report.outcome == "completed" and report.has_audio:
            exemplar = {"trace_id": report.trace_id} if report.trace_id else None
            self._response.observe(timeline.response_ms / 1000, exemplar)
            for stage in ("endpoint", "stt", "llm", "tts", "send"):
                self._stage.labels(stage).observe(getattr(timeline, f"{stage}_ms") / 1000)

    def noted(self, note: Note) -> None:
        """Counts what happened about taking turns."""
        match note:
            case Paused(after_s=after_s):
                self._pauses.observe(after_s)
            case Judged(verdict=verdict, after_s=after_s):
                self._interruptions.labels(verdict).inc()
                self._decisions.observe(after_s)
            case CutIn():
                self._cut_ins.inc()
            case Speculated(is_used=is_used):
                self._speculations.labels("used" if is_used else "dropped").inc()

    def error(self, code: str) -> None:
        """Counts an error that a client was told."""
        self._errors.labels(code).inc()

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """Returns what Prometheus reads, and its content type, as an ``Accept`` header wants them."""
        return page(self._registry, accept)

    def render(self) -> bytes:
        """Returns the text that Prometheus reads."""
        return self.page()[0]
