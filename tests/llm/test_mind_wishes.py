"""What the client wishes of an answer, on the real worker and at the providers' sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from services.llm.companion_mind import CompanionMind
from services.llm.engine import CutShort, Mind, MindFailed, Piece, Question, Usage
from services.llm.guard import Guard
from shared.messages import ChatMessage, MindDone, ToolSpec, ToolUse
from tests.fakes.mind_stage import generate, stage
from tests.fakes.minds import ScriptedMind, Step
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.toolboxes import ScriptedToolbox
from tests.fakes.virtual_time import virtual_time
from tests.llm.test_providers import BOTH, Make, closing

ASK = [ChatMessage(role="user", content="Hello?")]
LOOK, BUY = ToolSpec(name="look"), ToolSpec(name="buy")
NAMED = {"type": "function", "function": {"name": "look"}}


async def pieces_of(mind: Mind, question: Question) -> list[Piece]:
    async with contextlib.aclosing(mind.stream(question)) as pieces:
        return [piece async for piece in pieces]


@BOTH
@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (Question(messages=ASK), {}),
        (Question(messages=ASK, tools=[LOOK]), {}),
        (Question(messages=ASK, tools=[LOOK], tool_choice="required"), {"tool_choice": "required"}),
        (Question(messages=ASK, tools=[LOOK], tool_choice="look"), {"tool_choice": NAMED}),
        (Question(messages=ASK, tool_choice="none", temperature=0.0), {"temperature": 0.0}),
        (Question(messages=ASK, temperature=1.5), {"temperature": 1.5}),
    ],
)
async def test_each_provider_is_told_what_is_wished_for_and_nothing_else(
    make: Make, question: Question, asked: dict[str, Any]
) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        await pieces_of(mind, question)
        body = provider.requests[0].body
        assert {key: body[key] for key in ("tool_choice", "temperature") if key in body} == asked
        assert ("tools" in body) == bool(question.tools)


@BOTH
async def test_the_longest_answer_is_the_wish_of_one_question_and_its_end_is_told(make: Make) -> None:
    async with FakeProvider(Reply(finish="length")) as provider, closing(make(provider.root)) as mind:
        pieces = await pieces_of(mind, Question(messages=ASK, max_tokens=7))
        body = provider.requests[0].body
        assert body.get("max_completion_tokens", body.get("max_tokens")) == 7
        assert pieces.count(CutShort()) == 1
        assert isinstance(pieces[-1], Usage)


async def test_the_companion_counts_words() -> None:
    whole = await pieces_of(CompanionMind(), Question(messages=ASK))
    assert CutShort() not in whole
    assert await pieces_of(CompanionMind(), Question(messages=ASK, max_tokens=len(whole))) == whole
    assert await pieces_of(CompanionMind(), Question(messages=ASK, max_tokens=3)) == [*whole[:3], CutShort()]


def test_a_guard_tells_length_from_other_ends() -> None:
    long, stuck = Guard(10), Guard(1000)
    long.allow("one two three four five six seven eight nine ten " * 3)
    for _ in range(4):
        stuck.is_stuck("again")
    assert (long.is_over, long.is_full) == (True, True)
    assert (stuck.is_over, stuck.is_full) == (True, False)


class Caller(ScriptedMind):
    """Follows another script at each question."""

    def __init__(self, *scripts: tuple[Step, ...]) -> None:
        super().__init__(*scripts[0], name="caller")
        self.scripts = list(scripts)

    def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        if self.scripts:
            self.steps = self.scripts.pop(0)
        return super().stream(question)


@virtual_time
@pytest.mark.parametrize(
    ("choice", "tools", "offered"),
    [
        ("auto", [LOOK, BUY], ["look", "buy", "weather"]),
        ("none", [LOOK, BUY], []),
        ("required", [LOOK, BUY], ["look", "buy"]),
        ("required", [], ["weather"]),
        ("buy", [LOOK, BUY], ["buy"]),
        ("unknown", [LOOK], []),
    ],
)
async def test_only_what_may_be_called_is_offered(
    choice: str, tools: list[ToolSpec], offered: list[str]
) -> None:
    mind = Caller(("Hello.",))
    async with stage(mind, toolbox=ScriptedToolbox(weather=(0.1, "sun"))) as at:
        await at.ask(generate(tools=tools, tool_choice=choice, temperature=0.5, max_tokens=9))
        await at.until(MindDone)
    (question,) = mind.questions
    assert [tool.name for tool in question.tools] == offered
    assert (question.tool_choice, question.temperature, question.max_tokens) == (choice, 0.5, 9)


@virtual_time
@pytest.mark.parametrize(("choice", "then"), [("required", "auto"), ("weather", "auto")])
async def test_behind_the_results_of_the_workers_own_functions_the_model_is_free(
    choice: str, then: str
) -> None:
    mind = Caller((ToolUse(id="1", name="weather"),), ("It is sunny.",))
    async with stage(mind, toolbox=ScriptedToolbox(weather=(0.1, "sun"))) as at:
        await at.ask(generate(tool_choice=choice))
        await at.until(MindDone)
    assert [question.tool_choice for question in mind.questions] == [choice, then]
    assert at.segments == ["It is sunny."]


@virtual_time
@pytest.mark.parametrize(("wished", "configured", "asked"), [(0, 400, 0), (50, 400, 50), (1000, 400, 400)])
async def test_a_wish_for_a_longer_answer_ends_at_the_workers_own_bound(
    wished: int, configured: int, asked: int
) -> None:
    mind = ScriptedMind("Hello.")
    async with stage(mind, max_tokens=configured) as at:
        await at.ask(generate(max_tokens=wished))
        await at.until(MindDone)
    assert mind.questions[0].max_tokens == asked
    assert not at.done.is_cut_short


@virtual_time
@pytest.mark.parametrize(
    ("steps", "wished"), [(("Hello there.", CutShort()), 0), (("many words more " * 30,), 16)]
)
async def test_an_answer_that_ends_at_its_longest_is_reported_as_cut_short(
    steps: tuple[Step, ...], wished: int
) -> None:
    async with stage(ScriptedMind(*steps)) as at:
        await at.ask(generate(max_tokens=wished))
        await at.until(MindDone)
    assert at.done.is_cut_short


@virtual_time
@pytest.mark.parametrize(
    ("wished", "route"), [("second", "second"), ("", "first"), ("unknown", "first"), ("broken", "first")]
)
async def test_the_route_that_is_wished_for_answers_if_it_can(wished: str, route: str) -> None:
    broken = ScriptedMind(MindFailed("broken", "is down", fault="refused"), name="broken")
    minds = [ScriptedMind("Hello.", name="first"), ScriptedMind("Hello.", name="second"), broken]
    async with stage(*minds, CompanionMind()) as at:
        await at.ask(generate(model=wished))
        await at.until(MindDone)
    assert at.done.report is not None
    assert at.done.report.route == route
