"""One turn on the real worker: moods, deadlines, the way of segments, the report."""

from __future__ import annotations

import pytest

from services.llm.companion_mind import CompanionMind
from services.llm.engine import MindFailed, Price, Usage
from services.llm.outlet import UNDER_WAY
from shared.messages import MindDone, Synthesize, ToolUse
from tests.fakes.mind_stage import generate, stage
from tests.fakes.minds import ScriptedMind, Step
from tests.fakes.virtual_time import virtual_time

BROKEN = MindFailed("a", "stalled", fault="timeout")
LOOK = ToolUse(id="1", name="look", arguments='{"at": "sea"}')
WEATHER = ToolUse(id="2", name="weather")


# ---------------------------------------------------------------- moods


@virtual_time
async def test_moods_travel_with_the_segments_and_nowhere_else() -> None:
    mind = ScriptedMind("Hello you", " [jo", "y] How nice to see you! ", "[sad] But I have to go.")
    async with stage(mind) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert [(item.text, item.mood) for item in at.spoken] == [
        ("Hello you", ""),
        ("How nice to see you!", "joy"),
        ("But I have to go.", "sadness"),
    ]
    assert at.shown == "Hello you How nice to see you! But I have to go."
    assert "[joy]" in mind.asked[0][0].content


@virtual_time
async def test_without_moods_the_model_is_not_told_of_them() -> None:
    mind = ScriptedMind("[joy] Hello.")
    async with stage(mind, moods=()) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert [(item.text, item.mood) for item in at.spoken] == [("Hello.", "")]
    assert "[" not in mind.asked[0][0].content


# ---------------------------------------------------------------- deadlines, timing, the report


@virtual_time
async def test_the_bound_on_the_first_segment_reaches_the_mind_less_what_was_waited() -> None:
    mind = ScriptedMind("Yes.", name="a")
    async with stage(mind, CompanionMind()) as at:
        await at.ask(generate(first_ms=3000, remaining_ms=20_000))
        await at.until(MindDone)
        await at.ask(generate(turn=2, first_ms=3000, first_segment=1, spoken="Well."))
        await at.until(MindDone, 2)
    first_token_s = mind.questions[0].first_token_s
    assert first_token_s is not None
    assert 2.5 < first_token_s <= 2.8
    assert 19.5 < mind.questions[0].remaining_s <= 20.0
    later = mind.questions[1].first_token_s
    assert later is None or later > 10


@virtual_time
async def test_a_segment_leaves_in_the_step_in_which_its_last_token_came() -> None:
    tokens = ["One fine day", ", we went", " out. We", " came back. And", " so."]
    steps: list[Step] = [step for text in tokens for step in (text, 0.03)]
    async with stage(ScriptedMind(*steps), confirm_s=0.09) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["One fine day,", "we went out.", "We came back.", "And so."]
    left = [at.when(Synthesize, index) for index in range(3)]
    assert left == [pytest.approx(when, abs=0.005) for when in (0.03, 0.06, 0.09)]


@virtual_time
async def test_a_segment_does_not_overtake_one_that_the_broker_may_have_lost() -> None:
    async with stage(ScriptedMind("One. And", 0.5, " two. And", 0.1, " three."), confirm_s=2.0) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["One.", "And two.", "And three."]
    assert at.when(Synthesize, 1) == pytest.approx(2.0, abs=0.01)


@virtual_time
async def test_the_report_tells_the_route_the_tokens_and_what_they_cost() -> None:
    a = ScriptedMind("Well, I think so. And", BROKEN, name="a")
    b = ScriptedMind(
        0.2, "then we left.", Usage(input_tokens=1000, output_tokens=10, cached_tokens=500), name="b"
    )
    a.price, b.price = Price(input=1.0, output=1.0), Price(input=2.0, output=4.0, cached=1.0)
    async with stage(a, b, CompanionMind()) as at:
        await at.ask(generate())
        await at.until(MindDone)
    report = at.done.report
    assert (report.route, report.switches) == ("b", 1)
    assert (report.input_tokens, report.cached_tokens, report.output_tokens) == (1000, 500, 10)
    assert at.done.input_tokens == 1000
    of_b = (500 * 2.0 + 500 * 1.0 + 10 * 4.0) / 1e6
    assert of_b < report.cost_usd < of_b + 1e-3
    assert report.first_token_ms == pytest.approx(at.done.first_token_ms)
    assert report.first_segment_ms >= report.first_token_ms


@virtual_time
@pytest.mark.parametrize("count", [1, 20])
async def test_a_broker_that_confirms_late_holds_up_the_end_and_not_the_segments(count: int) -> None:
    sentences = [f"Number {number} is here. " for number in range(count)]
    async with stage(ScriptedMind(*sentences), confirm_s=1.0) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert len(at.segments) == count
    assert at.when(Synthesize, min(count, UNDER_WAY) - 1) == pytest.approx(0.0, abs=0.06)
    assert at.when(MindDone) == pytest.approx(1.0 + (count - 1) // UNDER_WAY, abs=0.1)
