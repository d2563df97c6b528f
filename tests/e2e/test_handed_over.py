"""A session with a dialogue of its own, on real processes: a call is handed over, and answered later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.gateway.chat_protocol import Start, Tool, ToolCallEvent, TurnDone
from services.gateway.hub import Hub
from services.gateway.memory import Memory
from services.gateway.surroundings import Surroundings
from services.gateway.turn_io import TurnPolicy, Wish
from shared.messages import ChatMessage, SessionRecord, Summary, ToolUse
from shared.queues import LLM_WORK, TTS_WORK
from tests.e2e.house import House
from tests.fakes.provider import Call, FakeProvider, Reply
from tests.gateway.rig import GW, Client, Reports

pytestmark = pytest.mark.process

LOOK = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {}})
FORCED = Wish(tools=(LOOK,), tool_choice="look", hands_over=True)
FREE = Wish(tools=(LOOK,), hands_over=True, max_tokens=40, temperature=0.3)
WAIT_S = 60.0
PATIENT = TurnPolicy(
    turn_s=WAIT_S, take_up_s=WAIT_S, beat_lost_s=WAIT_S, mind_lost_s=WAIT_S, voice_lost_s=WAIT_S,
    apology_s=0.0, filler_s=0.1,
)  # fmt: skip
"""Whoever is kept waiting by the machine is not replaced: the provider has one reply for each question."""


@dataclass
class Items:
    """A dialogue that keeps calls and results, as a client of another protocol would."""

    messages: list[ChatMessage] = field(default_factory=list)
    record: SessionRecord = field(default_factory=SessionRecord)

    def asked(self, turn: int) -> list[ChatMessage]:
        return list(self.messages)

    def summarise(self, summary: Summary) -> SessionRecord:
        return self.record

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:
        said = [("user", user), ("assistant", answer)]
        self.messages += [ChatMessage(role=role, content=text) for role, text in said if text]  # type: ignore[arg-type]
        return self.record

    def forget(self, turn: int) -> SessionRecord:
        return self.record

    def prefer(self, *, language: str, voice: str) -> None:
        pass


async def test_a_call_that_was_handed_over_is_answered_behind_its_result(tmp_path: Path) -> None:
    replies = [
        Reply(tokens=(), calls=(Call(name="look", arguments='{"at": "sea"}', id="c1"),)),
        Reply(tokens=("A", " ship", "."), finish="length"),
    ]
    async with FakeProvider() as provider:
        provider.replies = replies
        home = House(tmp_path, EVA_LLM_BASE_URL=provider.base_url)
        await home.server.start()
        try:
            await asyncio.gather(home.start("llm"), home.start("tts"))
            async with home.bus() as bus:
                around = Surroundings(
                    bus=bus, gw=GW, memory=Memory(bus, ttl_s=60), observer=Reports(),
                    policy=PATIENT,
                )  # fmt: skip
                for queue in (LLM_WORK, TTS_WORK):
                    await bus.declare(queue)
                hub = Hub(around)
                await hub.subscribe()
                client, items = Client(), Items()
                async with hub.session(Start(), client, remember=False, conversation=items) as session:
                    session.respond(text="What is there?", wish=FORCED)
                    first = await client.sees(TurnDone)
                    (call,) = client.of(ToolCallEvent)
                    items.messages += [
                        ChatMessage(
                            role="assistant",
                            content="",
                            tool_calls=[ToolUse(id="c1", name="look", arguments='{"at": "sea"}')],
                        ),
                        ChatMessage(role="tool", content="a ship", tool_call_id="c1"),
                    ]
                    session.respond(text=None, wish=FREE)
                    second = await client.sees(TurnDone, 2)
        finally:
            await home.close()
        asked = [request.body for request in provider.requests if request.body.get("stream")]
    assert isinstance(first, TurnDone)
    assert isinstance(second, TurnDone)
    assert isinstance(call, ToolCallEvent)
    assert (call.call_id, call.name, call.arguments, call.by) == ("c1", "look", '{"at": "sea"}', "client")
    assert (first.calls, first.has_audio, first.text, first.is_cut_short) == (1, False, "", False)
    assert (second.calls, second.has_audio, second.text, second.is_cut_short) == (0, True, "A ship.", True)
    assert second.usage is not None
    assert (second.usage.input_tokens, second.usage.output_tokens) == (11, 3)
    assert asked[0]["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert ("tool_choice" in asked[1], asked[1]["temperature"], asked[1]["max_tokens"]) == (False, 0.3, 40)
    assert [message["role"] for message in asked[1]["messages"]] == ["system", "user", "assistant", "tool"]
    assert asked[1]["messages"][-1]["content"] == "a ship"
