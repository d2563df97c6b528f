"""Trace contexts: as headers have them, as work inherits them, and one for each turn."""

from __future__ import annotations

import asyncio
import time

import pytest

from shared import trace
from shared.messages import Facts
from shared.meter import UNMETERED
from shared.stage_span import stage_span, unix_s
from shared.trace import UNTRACED, Span, TraceContext, TurnTraces, headers, parse, root_span, within
from tests.fakes.tracer import Kept

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HERE = TraceContext(TRACE, SPAN, is_sampled=True)


@pytest.mark.parametrize("is_sampled", [True, False])
def test_a_context_comes_back_from_its_header(*, is_sampled: bool) -> None:
    context = TraceContext(TRACE, SPAN, is_sampled)
    assert context.traceparent == f"00-{TRACE}-{SPAN}-0{int(is_sampled)}"
    assert parse(context.traceparent) == context


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_no_header_of_this_form_is_no_context(said: str | None) -> None:
    assert parse(said) is None


def test_a_later_version_may_say_more() -> None:
    assert parse(f"01-{TRACE}-{SPAN}-01-more") == HERE


def test_each_turn_of_each_session_has_a_trace_of_its_own_that_can_be_asked_for_again() -> None:
    one, other = TurnTraces(is_sampled=True), TurnTraces(is_sampled=True)
    seen = [traces.of(turn) for traces in (one, other) for turn in (1, 2, 70_000)]
    assert len({context.trace_id for context in seen}) == len(seen)
    assert one.of(2) == seen[1]
    for context in seen:
        assert parse(context.traceparent) == context
        assert context.span_id == root_span(context.trace_id)


async def test_tasks_that_begin_inside_stand_in_the_same_trace_and_those_outside_in_none() -> None:
    async def where() -> dict[str, str]:
        await asyncio.sleep(0)
        return headers()

    before = asyncio.create_task(where())
    with within(HERE):
        inside = asyncio.create_task(where())
        with within(None):
            assert trace.current() is None
    assert await inside == {"traceparent": HERE.traceparent}
    assert await before == {}
    assert headers() == {}


def test_work_of_a_stage_is_a_span_in_the_trace_that_it_came_with_and_what_it_enqueues_is_a_part_of_it() -> (
    None
):
    kept = Kept()
    with within(HERE), stage_span(kept, "tts", delivery=2, waited_s=0.25) as notes:
        told = parse(headers()["traceparent"])
        notes.attributes["eva.segment"], notes.error = 3, "engine_failed"
    (span,) = kept.spans
    assert told == span.context == HERE.child(span.context.span_id)
    assert span.context.span_id != SPAN
    assert (span.parent_id, span.name, span.kind, span.error) == (SPAN, "tts", "consumer", "engine_failed")
    assert span.began_s <= span.ended_s
    assert (span.attributes["eva.queue_ms"], span.attributes["eva.delivery"]) == (250, 2)
    assert span.attributes["eva.segment"] == 3


def test_a_part_lies_within_its_span_to_the_microsecond() -> None:
    kept, parts = Kept(), []
    for _ in range(200):
        with within(HERE), stage_span(kept, "llm", delivery=1, waited_s=0):
            parts.append((unix_s(time.monotonic()), unix_s(time.monotonic())))
    for span, (began_s, ended_s) in zip(kept.spans, parts, strict=True):
        assert span.began_s <= began_s <= ended_s <= span.ended_s
    assert unix_s(time.monotonic()) >= kept.spans[-1].ended_s - 1, "outside a span it is now all the same"


def test_work_is_told_that_raises_too() -> None:
    kept = Kept()
    with pytest.raises(KeyError), within(HERE), stage_span(kept, "llm", delivery=1, waited_s=0):
        raise KeyError
    assert [span.name for span in kept.spans] == ["llm"]


def test_who_collects_nothing_leaves_the_context_as_it_is() -> None:
    with within(HERE), stage_span(UNTRACED, "llm", delivery=1, waited_s=0):
        assert trace.current() == HERE
    kept = Kept()
    with stage_span(kept, "llm", delivery=1, waited_s=0):
        assert trace.current() is None
    assert kept.spans == []


def test_nothing_comes_of_what_nobody_wants_to_know() -> None:
    span = Span(name="turn", context=HERE, parent_id="", began_s=0, ended_s=1)
    UNTRACED.record(span)
    UNTRACED.close()
    UNMETERED.taken_up(1.0)
    UNMETERED.first_output(1.0)
    UNMETERED.ended(1.0, "completed")
    UNMETERED.failed("expired")
    UNMETERED.watch(lambda: Facts(stage="llm", worker="w", state="ready", pid=1))
    assert UNMETERED.page("")[0] == b""
    assert UNMETERED.registry is None
