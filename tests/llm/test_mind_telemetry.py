"""What the mind's worker counts of its turns, and the spans that it tells of them."""

from __future__ import annotations

import asyncio

import pytest

from services.llm.engine import MindFailed, Usage
from services.llm.route import HEDGE_MAX_S
from shared.instruments import Instruments
from shared.messages import Failed, MindDone, Synthesize
from shared.metrics import StageMetrics
from shared.trace import TraceContext, within
from tests.fakes.mind_stage import generate, stage
from tests.fakes.minds import ScriptedMind
from tests.fakes.tracer import Kept
from tests.fakes.virtual_time import virtual_time
from tests.shared.metrics_rules import families

HERE = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", is_sampled=True)
ROUNDING_S = 1e-3
"""Of a span's times: the worker's clock is virtual here, and spans tell real time."""


def ended(metrics: StageMetrics) -> dict[str, float]:
    """How many turns have ended how."""
    found = families(metrics.page("")[0].decode())["eva_stage_duration_seconds"]
    return {
        sample.labels["outcome"]: sample.value for sample in found.samples if sample.name.endswith("_count")
    }


def value(metrics: StageMetrics, name: str, **labels: str) -> float | None:
    for family in families(metrics.page("")[0].decode()).values():
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


@virtual_time
async def test_turns_are_counted_by_how_they_ended_and_failures_by_their_code() -> None:
    metrics = StageMetrics("llm")
    broken = MindFailed("scripted", "gone", fault="broken")
    for steps, outcome in (((0.25, "Hello."), "completed"), ((broken,), "failed")):
        async with stage(ScriptedMind(*steps), instruments=Instruments(meter=metrics)) as at:
            await at.ask(generate())
            await at.until(MindDone if outcome == "completed" else Failed)
    assert ended(metrics) == {"completed": 1, "failed": 1, "cancelled": 0}
    assert value(metrics, "eva_stage_errors_total", reason="engine_failed") == 1
    assert value(metrics, "eva_stage_first_output_seconds_sum") == pytest.approx(0.25)
    assert value(metrics, "eva_stage_first_output_seconds_count") == 1
    assert value(metrics, "eva_stage_queue_wait_seconds_count") == 2


@virtual_time
async def test_a_turn_that_is_cancelled_counts_as_such_and_so_does_its_first_token() -> None:
    metrics = StageMetrics("llm")
    mind = ScriptedMind(0.1, "Hello there. ", 10.0, "More.")
    async with stage(mind, instruments=Instruments(meter=metrics)) as at:
        await at.ask(generate())
        await at.until(Synthesize)
        await at.cancel(1)
        await asyncio.sleep(1)
        assert ended(metrics) == {"completed": 0, "failed": 0, "cancelled": 1}
        assert value(metrics, "eva_stage_first_output_seconds_count") == 1


@virtual_time
async def test_a_self_test_is_no_turn_of_these_figures() -> None:
    metrics = StageMetrics("llm")
    async with stage(ScriptedMind("Hello."), instruments=Instruments(meter=metrics)) as at:
        await at.ask(generate(is_canary=True))
        await at.until(MindDone)
    assert ended(metrics) == {"completed": 0, "failed": 0, "cancelled": 0}


@virtual_time
async def test_each_request_to_a_provider_is_a_span_within_that_of_the_turn() -> None:
    kept = Kept()
    slow = ScriptedMind(HEDGE_MAX_S + 5.0, "late", name="slow")
    quick = ScriptedMind(0.1, "Hello there.", 0.2, Usage(input_tokens=7, output_tokens=3), name="quick")
    async with stage(slow, quick, instruments=Instruments(tracer=kept)) as at:
        with within(HERE):
            await at.ask(generate())
        await at.until(MindDone)
        await at.until(Synthesize)
    (turn,), (first,), (second,) = (
        kept.named(name) for name in ("llm", "chat slow-model", "chat quick-model")
    )
    assert (turn.parent_id, turn.context.trace_id) == (HERE.span_id, HERE.trace_id)
    assert first.parent_id == second.parent_id == turn.context.span_id
    assert second.began_s - first.began_s == pytest.approx(HEDGE_MAX_S, abs=ROUNDING_S)
    assert second.ended_s - second.began_s == pytest.approx(0.3, abs=ROUNDING_S)
    assert (first.attributes["eva.is_dropped"], second.attributes["eva.is_dropped"]) == (True, False)
    assert (first.attributes["eva.is_hedge"], second.attributes["eva.is_hedge"]) == (False, True)
    assert second.attributes["gen_ai.provider.name"] == "quick"
    assert second.attributes["gen_ai.request.model"] == "quick-model"
    assert second.attributes["gen_ai.usage.input_tokens"] == 7
    assert second.attributes["gen_ai.usage.output_tokens"] == 3
    assert second.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.1)
    assert "gen_ai.response.time_to_first_chunk" not in first.attributes
    assert turn.attributes["eva.outcome"] == "completed"


@virtual_time
async def test_a_request_that_failed_says_why_and_a_turn_without_a_trace_has_no_spans() -> None:
    kept = Kept()
    refused = MindFailed("a", "no", fault="rate_limited", status=429)
    for context in (None, HERE):
        minds = ScriptedMind(refused, name="a"), ScriptedMind("Hello.", name="b")
        async with stage(*minds, instruments=Instruments(tracer=kept)) as at:
            with within(context):
                await at.ask(generate())
            await at.until(MindDone)
        assert bool(kept.spans) is (context is not None)
    assert [span.error for span in kept.named("chat a-model")] == ["rate_limited"]
    assert [span.error for span in kept.named("chat b-model")] == [""]


@virtual_time
async def test_segments_go_to_the_voice_within_the_span_of_the_mind() -> None:
    kept, seen = Kept(), list[str]()
    async with stage(ScriptedMind("Hello there."), instruments=Instruments(tracer=kept)) as at:
        with within(HERE):
            await at.ask(generate())
        await at.until(MindDone)
        seen += [item.traceparent for item in at.broker.queues["eva-tts"]._stored.values()]
    (turn,) = kept.named("llm")
    assert seen == [turn.context.traceparent]
