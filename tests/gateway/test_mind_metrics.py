"""What Prometheus reads about routes, fillers and first sounds, as its own parser understands it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.chat_protocol import Timeline
from services.gateway.health import RouteHealth
from services.gateway.metrics import Metrics
from services.gateway.mind_metrics import MAX_ROUTES, MindMetrics
from services.gateway.turn_io import TurnReport
from shared.labels import Labels
from shared.messages import RouteReport

BIG, SMALL = "groq:big", "groq:small"


def turn(route: RouteReport | None, *, outcome: str = "completed", **timeline: float) -> TurnReport:
    return TurnReport(
        outcome=outcome, code="", is_spoken=True, is_canary=False, wanted_audio=True, has_audio=True,
        timeline=Timeline(**timeline), route=route,
    )  # fmt: skip


def figures(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample by its name and its labels' values, in the order of the labels' names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_where_the_time_of_an_answer_went_is_measured_by_route(metrics: Metrics) -> None:
    metrics.turn_over(turn(RouteReport(
        route=BIG, queue_ms=4, connect_ms=60, first_token_ms=120, first_segment_ms=180,
    )))  # fmt: skip
    metrics.turn_over(turn(RouteReport(route=SMALL, queue_ms=2, first_token_ms=90)))
    seen = figures(metrics)
    assert seen["eva_llm_turns_total", BIG] == seen["eva_llm_turns_total", SMALL] == 1
    assert seen["eva_llm_first_token_seconds_sum", BIG] == pytest.approx(0.12)
    assert seen["eva_llm_first_token_seconds_sum", SMALL] == pytest.approx(0.09)
    assert seen["eva_llm_first_segment_seconds_sum", BIG] == pytest.approx(0.18)
    assert ("eva_llm_first_segment_seconds_count", SMALL) not in seen
    assert seen["eva_llm_queue_seconds_count",] == 2
    assert seen["eva_llm_queue_seconds_sum",] == pytest.approx(0.006)
    assert seen["eva_llm_connect_seconds_count",] == 1, "a warm connection is not opened"
    assert seen["eva_llm_connect_seconds_sum",] == pytest.approx(0.06)


def test_a_turn_that_came_to_no_token_has_no_time_to_it(metrics: Metrics) -> None:
    metrics.turn_over(turn(RouteReport(route=BIG)))
    metrics.turn_over(turn(RouteReport()))
    metrics.turn_over(turn(None))
    seen = figures(metrics)
    assert seen["eva_llm_turns_total", BIG] == 1
    assert not [name for name, *_ in seen if name.startswith("eva_llm_first_token")]
    assert seen["eva_llm_queue_seconds_count",] == 1


def test_the_first_token_of_a_switched_answer_is_not_that_of_the_route_it_ended_on(metrics: Metrics) -> None:
    metrics.turn_over(turn(RouteReport(route=SMALL, first_token_ms=90, first_segment_ms=100, switches=1)))
    seen = figures(metrics)
    assert seen["eva_llm_turns_total", SMALL] == 1
    assert seen["eva_llm_first_token_seconds_count", "other"] == 1
    assert seen["eva_llm_first_segment_seconds_count", "other"] == 1
    assert ("eva_llm_first_token_seconds_count", SMALL) not in seen


def test_hedges_retries_and_switches_are_counted(metrics: Metrics) -> None:
    metrics.turn_over(turn(RouteReport(route=SMALL, is_hedged=True, has_hedge_won=True)))
    metrics.turn_over(turn(RouteReport(route=BIG, is_hedged=True, retries=1)))
    metrics.turn_over(turn(RouteReport(route=BIG, retries=2, switches=1), outcome="failed"))
    seen = figures(metrics)
    assert seen["eva_llm_hedges_total", "won", SMALL] == 1
    assert seen["eva_llm_hedges_total", "lost", BIG] == 1
    assert seen["eva_llm_retries_total",] == 3
    assert seen["eva_llm_switches_total",] == 1


def test_tokens_are_counted_once_each_and_money_is_added_up(metrics: Metrics) -> None:
    for _ in range(2):
        metrics.turn_over(turn(RouteReport(
            route=BIG, input_tokens=400, cached_tokens=256, output_tokens=20, cost_usd=0.0003,
        )))  # fmt: skip
    seen = figures(metrics)
    assert seen["eva_llm_tokens_total", "input", BIG] == 2 * (400 - 256)
    assert seen["eva_llm_tokens_total", "cached", BIG] == 2 * 256
    assert seen["eva_llm_tokens_total", "output", BIG] == 40
    assert seen["eva_llm_cost_usd_total", BIG] == pytest.approx(0.0006)


def test_a_provider_that_counts_wrong_breaks_no_counter(metrics: Metrics) -> None:
    metrics.turn_over(turn(RouteReport(route=BIG, input_tokens=5, cached_tokens=9, cost_usd=-1.0)))
    seen = figures(metrics)
    assert seen["eva_llm_tokens_total", "input", BIG] == 0
    assert seen["eva_llm_cost_usd_total", BIG] == 0


def test_self_tests_say_nothing_about_routes(metrics: Metrics) -> None:
    canary = TurnReport(
        outcome="completed", code="", is_spoken=False, is_canary=True, wanted_audio=True, has_audio=True,
        timeline=Timeline(first_sound_ms=20), route=RouteReport(route=BIG),
    )  # fmt: skip
    metrics.turn_over(canary)
    seen = figures(metrics)
    assert ("eva_llm_turns_total", BIG) not in seen
    assert seen["eva_first_sound_seconds_count",] == 0


def test_fillers_and_the_first_sound_of_any_kind_are_counted(metrics: Metrics) -> None:
    metrics.turn_over(turn(None, first_sound_ms=470, response_ms=900, fillers=1))
    metrics.turn_over(turn(None, first_sound_ms=300, response_ms=300))
    metrics.turn_over(turn(None, outcome="failed", first_sound_ms=480, fillers=2))
    metrics.turn_over(turn(None))
    seen = figures(metrics)
    assert seen["eva_fillers_total", "completed"] == 1
    assert seen["eva_fillers_total", "failed"] == 2
    assert seen["eva_first_sound_seconds_count",] == 3
    assert seen["eva_first_sound_seconds_bucket", "0.3"] == 1


def test_however_many_routes_there_were_the_labels_are_bounded(metrics: Metrics) -> None:
    for number in range(3 * MAX_ROUTES):
        metrics.turn_over(turn(RouteReport(route=f"openai:{number}")))
    metrics.turn_over(turn(RouteReport(route="openai:0")))
    counted = {key[1]: value for key, value in figures(metrics).items() if key[0] == "eva_llm_turns_total"}
    assert len(counted) == MAX_ROUTES + 1
    assert (counted["other"], counted["openai:0"]) == (2 * MAX_ROUTES, 2)


def test_a_known_route_keeps_its_label() -> None:
    labels = Labels(most=1)
    assert [labels.of(route) for route in ("a", "b", "a")] == ["a", "other", "a"]


def test_breakers_and_rate_limits_are_read_when_they_are_asked_for(metrics: Metrics) -> None:
    now: list[RouteHealth] = []
    metrics.watch_routes(lambda: now)
    assert not [key for key in figures(metrics) if key[0] == "eva_llm_breaker_state"]
    now.append(
        RouteHealth(
            route=BIG, breaker="open", workers={"open": 1, "closed": 2}, requests_left=0.5, tokens_left=0.15
        )
    )
    now.append(RouteHealth(route="companion"))
    seen = figures(metrics)
    shown = {state: seen["eva_llm_breaker_state", BIG, state] for state in ("closed", "half_open", "open")}
    assert shown == {"closed": 2, "half_open": 0, "open": 1}
    assert seen["eva_llm_rate_limit_remaining_ratio", "requests", BIG] == 0.5
    assert seen["eva_llm_rate_limit_remaining_ratio", "tokens", BIG] == 0.15
    assert not [key for key in seen if "companion" in key]
    now.clear()
    assert not [key for key in figures(metrics) if BIG in key], "a route that is gone leaves nothing behind"


def test_one_registry_takes_the_figures_of_one_mind() -> None:
    registry = CollectorRegistry()
    MindMetrics(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        MindMetrics(registry)
