"""Routes that break off in mid-answer, and answers without an end, on the real worker."""

from __future__ import annotations

import asyncio
import re

import pytest

from services.llm.companion_mind import CompanionMind
from services.llm.engine import MindFailed, Usage
from shared.messages import ChatMessage, Failed, MindDone, Synthesize, ToolUse
from tests.fakes.mind_stage import generate, stage
from tests.fakes.minds import ScriptedMind, Step
from tests.fakes.virtual_time import virtual_time

BROKEN = MindFailed("a", "stalled", fault="timeout")
LOOK = ToolUse(id="1", name="look", arguments='{"at": "sea"}')
WEATHER = ToolUse(id="2", name="weather")


# ---------------------------------------------------------------- a route breaks off


@virtual_time
async def test_another_route_goes_on_behind_what_was_spoken_and_the_rest_is_taken_back() -> None:
    a = ScriptedMind("Well, I think so. And then", 0.1, " we", BROKEN, name="a")
    b = ScriptedMind("Then we left.", Usage(input_tokens=7, output_tokens=3), name="b")
    async with stage(a, b, CompanionMind()) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["Well, I think so.", "Then we left."]
    assert [item.segment for item in at.spoken] == [0, 1]
    assert at.shown == "Well, I think so. Then we left."
    assert b.asked[0][-1] == ChatMessage(role="assistant", content="Well, I think so.")
    assert not at.done.report.is_cut_short
    assert (at.done.engine, at.done.segments, at.done.report.switches, at.done.report.route) == (
        "b",
        2,
        1,
        "b",
    )
    assert not at.done.is_degraded
    assert at.of(Failed) == []


@virtual_time
async def test_a_clause_that_is_finished_is_spoken_before_another_route_goes_on() -> None:
    a = ScriptedMind("Yes. The sea is wide and deep,", 0.01, BROKEN, name="a")
    async with stage(a, ScriptedMind("and it is cold.", name="b"), CompanionMind()) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["Yes.", "The sea is wide and deep,", "and it is cold."]
    assert at.shown == "Yes. The sea is wide and deep, and it is cold."


@virtual_time
async def test_a_route_that_broke_off_before_a_segment_is_begun_anew_elsewhere() -> None:
    a = ScriptedMind("Well I", BROKEN, name="a")
    b = ScriptedMind("Good evening.", name="b")
    async with stage(a, b, CompanionMind()) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert b.asked[0][-1].role == "user"
    assert at.segments == ["Good evening."]
    assert at.shown == "Good evening."


@virtual_time
@pytest.mark.parametrize(
    "again",
    [
        "Well I think so! And then we left.",
        "WELL, I THINK so — and then we left.",
        "I think so. And then we left.",
        "And then we left.",
    ],
)
async def test_what_the_next_route_repeats_is_not_said_twice(again: str) -> None:
    a = ScriptedMind("Well. I think so. And", BROKEN, name="a")
    async with stage(a, ScriptedMind(*re.split(r"(?= )", again), name="b"), CompanionMind()) as at:
        await at.ask(generate())
        await at.until(Synthesize, 2)
        await at.until(MindDone)
    assert at.segments[:2] == ["Well.", "I think so."]
    rest = "".join(at.segments[2:]).replace(" ", "").casefold()
    assert rest.endswith("andthenweleft.")
    assert "so" not in rest


@virtual_time
async def test_without_another_real_route_a_text_that_ends_with_a_sentence_stands() -> None:
    a = ScriptedMind("Well, I think so. And then we", BROKEN, name="a")
    async with stage(a, CompanionMind()) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["Well, I think so."]
    assert at.shown.rstrip() == "Well, I think so."
    assert (at.done.engine, at.done.is_degraded, at.done.report.switches) == ("a", False, 0)
    assert at.done.report.is_cut_short


@virtual_time
async def test_without_another_real_route_the_companion_says_that_it_lost_the_thread() -> None:
    a = ScriptedMind("Well, my dear friend, ", 0.4, "I", BROKEN, name="a")
    async with stage(a, CompanionMind()) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments[0] == "Well, my dear friend,"
    assert "lost my thread" in " ".join(at.segments)
    assert at.done.is_degraded


@virtual_time
async def test_a_break_behind_the_usage_takes_nothing_back() -> None:
    a = ScriptedMind("Yes. I do", Usage(input_tokens=1, output_tokens=2), BROKEN, name="a")
    b = ScriptedMind("No.", name="b")
    async with stage(a, b, CompanionMind()) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["Yes.", "I do"]
    assert b.asked == []


@virtual_time
async def test_all_routes_breaking_ends_in_an_honest_failure() -> None:
    minds = [ScriptedMind("Well, my dear friend, ", 0.4, "I", BROKEN, name=name) for name in "abc"]
    async with stage(*minds) as at:
        await at.ask(generate())
        await at.until(Failed)
        await asyncio.sleep(3)
        assert at.worker.facts().busy == 0
    assert at.failed.code == "engine_failed"
    assert at.of(MindDone) == []
    assert [len(mind.asked) for mind in minds] == [1, 1, 1]


@virtual_time
async def test_with_no_time_left_an_answer_in_mid_sentence_fails_honestly() -> None:
    a = ScriptedMind("Well, my dear friend, ", 1.9, BROKEN, name="a")
    b = ScriptedMind("No.", name="b")
    async with stage(a, b, CompanionMind()) as at:
        await at.ask(generate(remaining_ms=2000))
        await at.until(Failed)
    assert (at.failed.code, b.asked) == ("engine_failed", [])


@virtual_time
async def test_a_sentence_stands_where_nobody_is_left_to_go_on() -> None:
    a = ScriptedMind("Well, my friend, yes. ", BROKEN, name="a")
    async with stage(a) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["Well, my friend,", "yes."]


@virtual_time
async def test_with_no_time_left_no_other_route_is_asked() -> None:
    a = ScriptedMind("Well, my friend, yes. ", 1.9, BROKEN, name="a")
    b = ScriptedMind("No.", name="b")
    async with stage(a, b, CompanionMind()) as at:
        await at.ask(generate(remaining_ms=2000))
        await at.until(MindDone)
    assert at.segments == ["Well, my friend,", "yes."]
    assert b.asked == []


@virtual_time
async def test_a_text_only_answer_goes_on_behind_its_last_clause() -> None:
    a = ScriptedMind("Well, I thi", 0.2, BROKEN, name="a")
    b = ScriptedMind("I think so.", name="b")
    async with stage(a, b, CompanionMind()) as at:
        await at.ask(generate(audio=None))
        await at.until(MindDone)
    assert at.shown == "Well, I think so."
    assert b.asked[0][-1].content == "Well,"


@virtual_time
@pytest.mark.parametrize("steps", [("Hi there. ", 0.2, BROKEN), (1.0,), ("Hi there. ", 30.0)])
async def test_a_cancel_ends_everything_wherever_the_turn_is(steps: tuple[Step, ...]) -> None:
    a, b = ScriptedMind(*steps, name="a"), ScriptedMind(30.0, "Never.", name="b")
    async with stage(a, b, CompanionMind()) as at:
        before = len(asyncio.all_tasks())
        await at.ask(generate())
        await asyncio.sleep(0.7)
        await at.cancel(turn=1)
        await asyncio.sleep(0.1)
        count = len(at.seen)
        assert at.worker.facts().busy == 0
        assert len(asyncio.all_tasks()) == before
        await asyncio.sleep(10)
        assert len(at.seen) == count
    assert a.abandoned + b.abandoned == len(a.asked) + len(b.asked)


# ---------------------------------------------------------------- endless answers


@virtual_time
async def test_a_loop_within_a_sentence_is_ended_behind_the_last_good_clause() -> None:
    a = ScriptedMind("I think so, and ", *["the big sea and "] * 200)
    async with stage(a) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments[0] == "I think so,"
    assert " ".join(at.segments).count("big") <= 5
    assert a.abandoned == 1


@virtual_time
async def test_an_answer_is_ended_after_a_minute_of_speech_and_behind_a_clause() -> None:
    words = [f"Word{number}{'.' if number % 10 == 9 else ''} " for number in range(2000)]
    async with stage(ScriptedMind(*words), max_tokens=4000) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert 700 < len(at.shown) <= 900
    assert at.segments[-1].endswith(".")
