"""A turn that is not known to be over runs nothing: a function of the worker's waits until it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from services.llm.engine import Piece, Question
from shared.messages import Failed, MindDone, ToolCall, ToolSpec, ToolUse
from tests.fakes.mind_stage import generate, stage
from tests.fakes.minds import ScriptedMind
from tests.fakes.toolboxes import ScriptedToolbox
from tests.fakes.virtual_time import virtual_time

LOOK = ToolUse(id="1", name="look")
BUY = ToolUse(id="2", name="buy")


class Caller(ScriptedMind):
    """Calls these functions until it has results."""

    def __init__(self, *uses: ToolUse) -> None:
        super().__init__("A ship.")
        self._uses = uses

    async def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        if any(message.role == "tool" for message in question.messages):
            yield "A ship."
        else:
            for use in self._uses:
                yield use


@virtual_time
async def test_a_speculative_turn_that_needs_a_function_of_the_workers_says_so_and_runs_none() -> None:
    toolbox = ScriptedToolbox(look=(0.1, "a ship"))
    async with stage(Caller(BUY, LOOK), toolbox=toolbox) as at:
        await at.ask(generate(is_speculative=True, tools=[ToolSpec(name="buy")]))
        await at.until(Failed)
        assert (at.failed.code, toolbox.called) == ("needs_tools", [])
        assert not at.of(ToolCall)
        await at.ask(generate(turn=2, is_speculative=False))
        await at.until(MindDone)
        assert toolbox.called == [LOOK]


@virtual_time
async def test_a_call_of_the_clients_is_told_all_the_same_for_the_gateway_holds_it() -> None:
    async with stage(Caller(BUY)) as at:
        await at.ask(generate(is_speculative=True, tools=[ToolSpec(name="buy")]))
        await at.until(MindDone)
        assert at.done.tool_calls == 1
