"""Functions of the client's and of a server's, in turns of real processes with a real provider's socket."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from services.gateway.chat_protocol import (
    ErrorEvent,
    SegmentEvent,
    Tool,
    ToolCallEvent,
    ToolResult,
    TurnDone,
)
from tests.e2e.house import ROOT, House, house
from tests.e2e.talker import Talker, talker
from tests.fakes.provider import Call, FakeProvider, Reply

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
BRIDGE = "One moment."
LOOK = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {}})


@dataclass
class Place:
    provider: FakeProvider
    home: House

    def will(self, *replies: Reply) -> None:
        """Says how the model answers from now on."""
        self.provider.replies = list(replies)

    @property
    def told(self) -> list[Any]:
        """The messages of the newest request."""
        messages: list[Any] = self.provider.questions[-1].body["messages"]
        return messages

    @property
    def offered(self) -> list[str]:
        """The functions that the newest request offers."""
        return [tool["function"]["name"] for tool in self.provider.questions[-1].body.get("tools", [])]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("home")
    server = {
        "command": sys.executable,
        "args": ["-m", "tests.fakes.mcp_server", "--tools", "weather"],
        "cwd": str(ROOT),
        "timeoutS": 10,
    }
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"test": server}}))
    async with (
        FakeProvider(is_steady=True) as provider,
        house(
            folder,
            with_models=False,
            EVA_LLM_BASE_URL=provider.base_url,
            EVA_LLM_MCP=str(folder / "mcp.json"),
        ) as home,
    ):
        yield Place(provider, home)


async def give(person: Talker, call: ToolCallEvent, output: str) -> None:
    await person.socket.send(ToolResult(call_id=call.call_id, output=output))


def said(done: TurnDone) -> tuple[str, bool]:
    """The model's words, and whether they were heard; a slow machine is slow to give a function's result."""
    return unbridged(done.text), done.has_audio


def unbridged(text: str) -> str:
    return text.replace(f" {BRIDGE}", "").replace(f"{BRIDGE} ", "")


async def test_a_function_of_the_clients_is_called_and_the_answer_goes_on_with_its_result(
    place: Place,
) -> None:
    place.will(
        Reply(
            tokens=("Let", " me", " look", "."),
            calls=(Call(name="look", arguments='{"at": "sea"}', id="c1"),),
        ),
        Reply(tokens=("A", " ship", "!")),
    )
    async with talker(place.home.url, tools=[LOOK]) as person:
        turn = await person.type("What is there?")
        call = await person.hears(ToolCallEvent)
        assert (call.turn_id, call.name, call.arguments, call.by) == (turn, "look", '{"at": "sea"}', "client")
        assert "look" in place.offered
        await give(person, call, "a ship")
        assert said(await person.done(turn)) == ("Let me look. A ship!", True)
        segments = [event.text for event in person.of(SegmentEvent) if event.text != BRIDGE]
        assert segments == ["Let me look.", "A ship!"]
        assistant, tool = place.told[-2:]
        assert (assistant["role"], unbridged(assistant["content"])) == ("assistant", "Let me look.")
        assert (tool["role"], tool["tool_call_id"], tool["content"]) == ("tool", "c1", "a ship")

        await give(person, call, "another ship")
        error = await person.hears(ErrorEvent)
        assert (error.code, error.param, error.turn_id) == ("invalid_request", "call_id", None)
        place.will(Reply())
        await person.ask("And now?")
        assert all(message["role"] != "tool" for message in place.told), "it does not outlive its turn"


async def test_parallel_calls_may_return_in_any_order(place: Place) -> None:
    calls = (Call(name="look", id="c1"), Call(name="look", id="c2"))
    place.will(Reply(tokens=(), calls=calls), Reply(tokens=("Two", " ships", ".")))
    async with talker(place.home.url, tools=[LOOK]) as person:
        turn = await person.type("What is there?")
        second = await person.hears(ToolCallEvent, count=2)
        await give(person, second, "two")
        await give(person, person.of(ToolCallEvent)[0], "one")
        assert said(await person.done(turn)) == ("Two ships.", True)
        assert [(each["tool_call_id"], each["content"]) for each in place.told[-2:]] == [
            ("c1", "one"),
            ("c2", "two"),
        ]


async def test_while_a_function_takes_long_eva_asks_for_a_moment(place: Place) -> None:
    place.will(Reply(tokens=(), calls=(Call(name="look", id="c1"),)), Reply(tokens=("A", " ship", ".")))
    async with talker(place.home.url, tools=[LOOK]) as person:
        turn = await person.type("What is there?")
        call = await person.hears(ToolCallEvent)
        await person.hears(SegmentEvent, where=lambda event: event.text == BRIDGE)
        await give(person, call, "a ship")
        assert (await person.done(turn)).text == f"{BRIDGE} A ship."
        assert {header.segment for header, _ in person.audio(turn) if header.segment >= 0} == {0, 1}


async def test_a_function_of_a_server_is_run_by_eva(place: Place) -> None:
    async with talker(place.home.url) as person:
        place.will(Reply())
        await person.ask("Are you there?")
        while "weather" not in place.offered:  # the server is connected to beside the turns
            await person.ask("Are you there?")
        place.will(
            Reply(tokens=(), calls=(Call(name="weather", arguments='{"city": "Paris"}', id="c1"),)),
            Reply(tokens=("It", " is", " sunny", ".")),
        )
        turn = await person.type("How is the weather in Paris?")
        assert said(await person.done(turn)) == ("It is sunny.", True)
        assert place.told[-1]["content"] == "It is sunny in Paris."
        call = person.of(ToolCallEvent)[-1]
        assert (call.turn_id, call.name, call.by) == (turn, "weather", "server")
