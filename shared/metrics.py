"""A worker's figures for Prometheus, in a registry of its own: docs/metrics.md says what each of them is.

In the hot path there are counters only; what is true now (slots, engines, GPUs) is read from the worker's
facts when Prometheus asks. No label names a worker, a person or a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shared.gpu_metrics import card_gauges, cards_of
from shared.labels import MOST, Labels
from shared.messages import EngineFact, Facts, Stage, State
from shared.meter import Outcome
from shared.version import VERSION

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5)
"""Dense where people feel the difference, and long enough to read a slow tail."""
STATES: tuple[State, ...] = ("starting", "ready", "degraded", "failed", "draining")
OUTCOMES: tuple[Outcome, ...] = ("completed", "failed", "cancelled")


def of_process(registry: CollectorRegistry) -> None:
    """Adds what every service tells: its version, and the process's CPU, memory and files."""
    ProcessCollector(registry=registry)
    build = Gauge("eva_build_info", "The running version.", ["version"], registry=registry)
    build.labels(VERSION).set(1)


def page(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Returns all figures and their content type, as an ``Accept`` header wants them.

    Exemplars are in OpenMetrics' format only.
    """
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class StageMetrics:
    """A ``Meter`` for Prometheus."""

    def __init__(self, stage: Stage) -> None:
        self.lag_s = 0.0
        self._registry = registry = CollectorRegistry()
        self.registry: CollectorRegistry | None = registry
        of_process(registry)
        first_output = Histogram(
            "eva_stage_first_output_seconds",
            "Work of a stage taken up to the first of what is waited for.",
            ["stage"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        duration = Histogram(
            "eva_stage_duration_seconds",
            "Work of a stage taken up to its end, by how it ended.",
            ["stage", "outcome"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        waited = Histogram(
            "eva_stage_queue_wait_seconds",
            "Time of work in its queue.",
            ["stage"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        redelivered = Counter(
            "eva_stage_redeliveries_total",
            "Items that another worker had before.",
            ["stage"],
            registry=registry,
        )
        self._errors = Counter(
            "eva_stage_errors_total", "Work that failed, by its code.", ["stage", "reason"], registry=registry
        )
        stages = ["endpoint", stage] if stage == "stt" else [stage]
        self._first = {name: first_output.labels(name) for name in stages}
        self._first[""] = self._first[stage]
        self._ended = {outcome: duration.labels(stage, outcome) for outcome in OUTCOMES}
        self._waited, self._redelivered = waited.labels(stage), redelivered.labels(stage)
        self._stage, self._reasons = stage, Labels()

    def taken_up(self, waited_s: float, *, delivery: int = 1) -> None:
        """Work was begun after so long in its queue."""
        self._waited.observe(waited_s)
        if delivery > 1:
            self._redelivered.inc()

    def first_output(self, seconds: float, stage: str = "") -> None:
        """The first of what is waited for came after so long."""
        self._first[stage].observe(seconds)

    def ended(self, seconds: float, outcome: Outcome) -> None:
        """Work has ended, so long after it was taken up."""
        self._ended[outcome].observe(seconds)

    def failed(self, reason: str) -> None:
        """Work has failed."""
        self._errors.labels(self._stage, self._reasons.of(reason)).inc()

    def watch(self, facts: Callable[[], Facts]) -> None:
        """Has what is true now read from a worker's facts."""
        self._registry.register(_Told(facts, lambda: self.lag_s))

    def page(self, accept: str) -> tuple[bytes, str]:
        """Returns all figures and their content type, as an ``Accept`` header wants them."""
        return page(self._registry, accept)


class _Told(Collector):
    """Gauges of what a worker's facts say now."""

    def __init__(self, facts: Callable[[], Facts], lag_s: Callable[[], float]) -> None:
        self._facts, self._lag_s = facts, lag_s

    def collect(self) -> Iterator[Metric]:
        """Yields the gauges of now."""
        facts = self._facts()
        stage: list[str] = [facts.stage]
        for name, words, value in (
            ("eva_stage_inflight", "Work in hand.", facts.busy),
            ("eva_stage_slots", "Work that may be in hand at the same time.", facts.slots),
            (
                "eva_stage_gpu_missing",
                "1 while cuda was asked for and the engine in use computes elsewhere.",
                is_gpu_missing(facts),
            ),
            ("eva_event_loop_lag_seconds", "How late the last second's beat was.", self._lag_s()),
        ):
            yield _family(name, words, ["stage"], [(stage, value)])
        serving = [fact for fact in facts.engines if fact.state == "serving"]
        yield _family(
            "eva_model_info",
            "What serves now; always 1.",
            ["stage", "provider", "model", "device"],
            ((labels, 1) for labels in _served(facts.stage, serving)),
        )
        yield _family(
            "eva_worker_state",
            "1 for the state that the worker is in.",
            ["stage", "state"],
            (([facts.stage, state], facts.state == state) for state in STATES),
        )
        yield from card_gauges(cards_of([facts]))

    def describe(self) -> list[Metric]:
        """Nothing is asked before the worker can tell."""
        return []


def is_gpu_missing(facts: Facts) -> bool:
    """Whether a GPU was asked for and the engine in use computes elsewhere."""
    serving = next((fact for fact in facts.engines if fact.state == "serving"), None)
    is_wanted = facts.device_wanted.startswith("cuda")
    return is_wanted and serving is not None and not serving.device.startswith("cuda")


def _served(stage: Stage, serving: Iterable[EngineFact]) -> list[list[str]]:
    """Returns the labels of what serves, none of them twice."""
    served = {(fact.name.partition(":")[0], fact.model, fact.device) for fact in serving}
    return [[stage, *labels] for labels in sorted(served)[:MOST]]


def _family(
    name: str, words: str, labels: list[str], samples: Iterable[tuple[list[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family
