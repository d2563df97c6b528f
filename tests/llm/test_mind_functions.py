"""Functions that the model calls, on the real worker: run by it, or told to the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from services.llm.engine import MindFailed, Piece, Question
from services.llm.rounds import HOLD_ON, HOLD_ON_S, MOST_ROUNDS
from shared.messages import ChatMessage, Failed, MindDone, Synthesize, ToolCall, ToolSpec, ToolUse
from shared.queues import TTS_WORK
from tests.fakes.mind_stage import generate, stage
from tests.fakes.minds import ScriptedMind, Step
from tests.fakes.toolboxes import ScriptedToolbox
from tests.fakes.virtual_time import virtual_time

BROKEN = MindFailed("a", "stalled", fault="timeout")
LOOK = ToolUse(id="1", name="look", arguments='{"at": "sea"}')
WEATHER = ToolUse(id="2", name="weather")


# ---------------------------------------------------------------- functions


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
async def test_functions_of_the_worker_run_side_by_side_and_the_model_goes_on_with_their_results() -> None:
    mind = Caller(("Let me look.", LOOK, WEATHER), ("It is sunny.",))
    toolbox = ScriptedToolbox(look=(0.5, "a ship"), weather=(0.5, "sunny"))
    async with stage(mind, toolbox=toolbox) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["Let me look.", "It is sunny."]
    assert at.when(MindDone) == pytest.approx(0.5, abs=0.1)
    assert mind.asked[1][-3:] == [
        ChatMessage(role="assistant", content="Let me look.", tool_calls=[LOOK, WEATHER]),
        ChatMessage(role="tool", content="a ship", tool_call_id="1"),
        ChatMessage(role="tool", content="sunny", tool_call_id="2"),
    ]
    told = [message for message in at.of(ToolCall) if isinstance(message, ToolCall)]
    assert [(call.call.name, call.by, call.result) for call in told] == [
        ("look", "server", "a ship"),
        ("weather", "server", "sunny"),
    ]
    assert {tool.name for tool in mind.questions[0].tools} == {"look", "weather"}
    assert (at.done.tool_calls, at.shown) == (0, "Let me look. It is sunny.")
    assert (toolbox.opened, toolbox.closed) == (1, 1)


@virtual_time
async def test_functions_of_the_client_are_told_and_the_results_of_the_others_with_them() -> None:
    mind = Caller((LOOK, WEATHER))
    tools = [ToolSpec(name="weather")]
    async with stage(mind, toolbox=ScriptedToolbox(look=(0.1, "a ship"), weather=(0.1, "no"))) as at:
        await at.ask(generate(tools=tools))
        await at.until(MindDone)
    told = [message for message in at.of(ToolCall) if isinstance(message, ToolCall)]
    assert [(call.call, call.by, call.result) for call in told] == [
        (LOOK, "server", "a ship"),
        (WEATHER, "client", ""),
    ]
    assert (at.done.tool_calls, at.done.segments, at.segments) == (1, 0, [])
    assert len(mind.asked) == 1
    assert [tool.name for tool in mind.questions[0].tools] == ["weather", "look"]


@virtual_time
@pytest.mark.parametrize("language", ["en", "fr"])
async def test_a_function_that_takes_long_is_bridged_once_with_a_word(language: str) -> None:
    mind = Caller((LOOK,), (LOOK,), ("It is there.",))
    async with stage(mind, toolbox=ScriptedToolbox(look=(2.0, "a ship"))) as at:
        await at.ask(generate(language=language))
        await at.until(MindDone)
    assert at.segments == [HOLD_ON[language], "It is there."]
    assert at.when(Synthesize) == pytest.approx(HOLD_ON_S, abs=0.05)
    assert at.shown == f"{HOLD_ON[language]} It is there."
    assert [item.segment for item in at.spoken] == [0, 1]
    assert mind.asked[2][-1].role == "tool"


@virtual_time
async def test_no_function_of_the_worker_runs_before_the_person_has_finished() -> None:
    toolbox = ScriptedToolbox(look=(0.1, "a ship"))
    async with stage(Caller((LOOK,)), toolbox=toolbox) as at:
        await at.ask(generate(is_speculative=True))
        await at.until(Failed)
    assert at.failed.code == "needs_tools"
    assert (toolbox.called, at.of(ToolCall)) == ([], [])


@virtual_time
async def test_a_function_that_nobody_has_is_told_to_the_model() -> None:
    mind = Caller((LOOK,), ("I cannot.",))
    async with stage(mind) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert mind.asked[1][-1] == ChatMessage(
        role="tool", content="There is no function look.", tool_call_id="1"
    )
    assert at.segments == ["I cannot."]


@virtual_time
async def test_a_model_that_only_calls_functions_must_answer_in_the_end() -> None:
    mind = Caller((LOOK,))
    async with stage(mind, toolbox=ScriptedToolbox(look=(0.0, "a ship"))) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert len(mind.asked) == MOST_ROUNDS + 1
    assert mind.questions[-1].tools == ()
    assert at.segments == ["Okay."]


@virtual_time
async def test_a_cancel_ends_a_function_that_runs() -> None:
    toolbox = ScriptedToolbox(look=(20.0, "a ship"))
    async with stage(Caller((LOOK,)), toolbox=toolbox) as at:
        await at.ask(generate())
        await asyncio.sleep(2)
        await at.cancel(turn=1)
        await asyncio.sleep(0.1)
        assert at.worker.facts().busy == 0
        assert toolbox.abandoned == 1


@virtual_time
async def test_a_broker_that_refuses_the_word_in_between_ends_the_turn_honestly() -> None:
    toolbox = ScriptedToolbox(look=(20.0, "a ship"))
    async with stage(Caller((LOOK,)), toolbox=toolbox) as at:
        await at.bus.declare(type(TTS_WORK)(name=TTS_WORK.name, subject=TTS_WORK.subject, capacity=0))
        await at.ask(generate())
        await at.until(Failed)
    assert at.failed.code == "busy"
    assert toolbox.abandoned == 1
