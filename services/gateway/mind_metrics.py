"""The mind's figures for Prometheus: by route, from the reports of turns and from what its workers know.

Counted from turns: only what a whole answer has told, so a turn that was interrupted before the model had
ended adds nothing. Read from the workers when Prometheus asks: breakers and rate limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.gateway.health import Breaker, RouteHealth
from services.gateway.turn_actions import Outcome
from services.gateway.turn_io import TurnReport
from shared.labels import MOST, OTHER, Labels
from shared.messages import RouteReport

MAX_ROUTES = MOST
"""So many routes have figures of their own, in the order of their first turns."""
FIRST_S = (0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 1.5, 2, 3, 5)
"""Around a provider's median of 100 ms, the bound of 450 ms where a filler begins, and a tail of 2 s."""
BREAKERS: tuple[Breaker, ...] = ("closed", "half_open", "open")


class MindMetrics:
    """What turns and workers tell about routes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry, self._labels = registry, Labels()

        def seconds(name: str, words: str, *labels: str) -> Histogram:
            return Histogram(name, words, labels, buckets=FIRST_S, registry=registry)

        def count(name: str, words: str, *labels: str) -> Counter:
            return Counter(name, words, labels, registry=registry)

        self._first_token = seconds(
            "eva_llm_first_token_seconds",
            "A turn taken up by the mind to the first token; connecting, hedging and retrying are in it.",
            "route",
        )
        self._first_segment = seconds(
            "eva_llm_first_segment_seconds",
            "A turn taken up by the mind to the first segment handed to the voice.",
            "route",
        )
        self._queue = seconds("eva_llm_queue_seconds", "A turn's time in the broker's queue of the mind.")
        self._connect = seconds(
            "eva_llm_connect_seconds", "Opening a connection, of the turns for which none was warm."
        )
        self._turns = count(
            "eva_llm_turns_total", "Answers, by the route that gave them; of several, the last.", "route"
        )
        self._hedges = count(
            "eva_llm_hedges_total",
            "Turns for which a second route was asked: won by it or lost; route: the one that answered.",
            "route",
            "outcome",
        )
        self._retries = count(
            "eva_llm_retries_total", "Requests made again, or on the next route, before the first token."
        )
        self._switches = count("eva_llm_switches_total", "Other routes that went on in mid-answer.")
        self._tokens = count(
            "eva_llm_tokens_total", "Tokens; the cached ones are not in the input.", "route", "kind"
        )
        self._cost = count("eva_llm_cost_usd_total", "US dollars, by the price table.", "route")

    def turn_over(self, report: RouteReport | None) -> None:
        """Counts a turn's way to its answer; None: it had none."""
        if report is None or not report.route:
            return
        route = self._labels.of(report.route)
        self._turns.labels(route).inc()
        self._queue.observe(report.queue_ms / 1000)
        if report.connect_ms > 0:
            self._connect.observe(report.connect_ms / 1000)
        first = OTHER if report.switches else route  # the route that began is not the one that is named
        if report.first_token_ms > 0:
            self._first_token.labels(first).observe(report.first_token_ms / 1000)
        if report.first_segment_ms > 0:
            self._first_segment.labels(first).observe(report.first_segment_ms / 1000)
        if report.is_hedged:
            self._hedges.labels(route, "won" if report.has_hedge_won else "lost").inc()
        self._retries.inc(max(0, report.retries))
        self._switches.inc(max(0, report.switches))
        self._spent(route, report)

    def _spent(self, route: str, report: RouteReport) -> None:
        fresh = report.input_tokens - report.cached_tokens
        for kind, count in (
            ("input", fresh), ("cached", report.cached_tokens), ("output", report.output_tokens),
        ):  # fmt: skip
            self._tokens.labels(route, kind).inc(max(0, count))
        self._cost.labels(route).inc(max(0.0, report.cost_usd))

    def watch(self, routes: Callable[[], list[RouteHealth]]) -> None:
        """Has breakers and rate limits read when they are asked for."""
        self._registry.register(_Learnt(routes))


class _Learnt(Collector):
    """Gauges of what the workers that live have learnt; a route that is gone leaves none behind."""

    def __init__(self, routes: Callable[[], list[RouteHealth]]) -> None:
        self._routes = routes

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields the gauges of now."""
        breaker = GaugeMetricFamily(
            "eva_llm_breaker_state",
            "Workers of the mind by the state of their breaker for a route.",
            labels=["route", "state"],
        )
        left = GaugeMetricFamily(
            "eva_llm_rate_limit_remaining_ratio",
            "What is left of the provider's rate limit, as the last answer told: 0..1.",
            labels=["route", "kind"],
        )
        for route in self._routes()[:MAX_ROUTES]:
            for state in BREAKERS if route.breaker else ():
                breaker.add_metric([route.route, state], route.workers.get(state, 0))
            for kind, share in (("requests", route.requests_left), ("tokens", route.tokens_left)):
                if share is not None:
                    left.add_metric([route.route, kind], share)
        yield breaker
        yield left


def from_zero(counter: Counter, values: Iterable[str]) -> None:
    """Has a counter of one label stand at 0: ``rate`` misses the event with which a series begins."""
    for value in values:
        counter.labels(value)


class SoundMetrics:
    """When a person first heard anything, and how silences were bridged."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._first_sound = Histogram(
            "eva_first_sound_seconds",
            "End of the person's turn to the first audible sound at the socket, a filler's too.",
            buckets=FIRST_S,
            registry=registry,
        )
        self._fillers = Counter(
            "eva_fillers_total",
            "Silences that were bridged, by how the turn ended.",
            ["outcome"],
            registry=registry,
        )
        from_zero(self._fillers, get_args(Outcome))

    def turn_over(self, report: TurnReport) -> None:
        """Counts a turn."""
        if report.timeline.first_sound_ms > 0:
            self._first_sound.observe(report.timeline.first_sound_ms / 1000)
        if report.timeline.fillers:
            self._fillers.labels(report.outcome).inc(report.timeline.fillers)
