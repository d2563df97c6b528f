"""What the mind is told of a session beside the newest words: persona, tools, the past or its summary."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway import phrases
from services.gateway.chat_protocol import ErrorEvent, Interrupt, Start, Token, Tool, TurnDone, UserText
from services.gateway.conversation import Conversation
from services.gateway.keeper import Keeper
from services.gateway.session import Session
from services.gateway.turn_io import Ask, Think
from services.gateway.work import Publisher
from shared import subjects
from shared.bus.memory import MemoryBroker
from shared.messages import ChatMessage, Generate, SessionRecord, Summary, ToolSpec, ToolUse
from shared.queues import LLM_WORK
from tests.gateway.rig import GW, Client, Place

LOOK = Tool(name="look", description="Looks.", parameters={"type": "object"})


async def say(session: Session, client: Client, place: Place, text: str) -> Generate:
    """Says it, waits for the end of the turn, and returns what the mind was asked."""
    session.handle(UserText(text=text, include_audio=False))
    await client.sees(TurnDone, len(client.of(TurnDone)) + 1)
    return place.workers.generated[-1]


async def summed_up(place: Place, session: Session, summary: Summary) -> None:
    """Delivers it as the worker's event, and waits until it has come."""
    await place.bus.publish(subjects.event(GW, session.key, "llm"), summary)
    await asyncio.sleep(0)  # the memory bus delivers in the loop's next round


async def test_persona_and_tools_of_the_session_reach_the_mind_and_can_be_changed(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(persona="You are Ida.", tools=[LOOK]), client) as session:
        asked = await say(session, client, place, "hello")
        assert asked.persona == "You are Ida."
        assert asked.tools == [ToolSpec(name="look", description="Looks.", parameters={"type": "object"})]
        session.handle(Start(persona="You are Max."))
        asked = await say(session, client, place, "hello")
        assert (asked.persona, asked.tools) == ("You are Max.", [])


async def test_a_client_that_comes_back_brings_its_persona_and_tools(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(session_id="s1"), client) as session:
        await say(session, client, place, "hello")
    async with place.hub.session(
        Start(session_id="s1", persona="You are Ida.", tools=[LOOK]), client
    ) as session:
        asked = await say(session, client, place, "and now")
    assert (asked.persona, [tool.name for tool in asked.tools]) == ("You are Ida.", ["look"])
    assert asked.messages[0].content == "hello"


async def test_a_summary_takes_the_place_of_what_it_covers_also_when_the_client_comes_back(
    place: Place,
) -> None:
    client = Client()
    async with place.hub.session(Start(session_id="s2"), client) as session:
        for text in ("one", "two", "three"):
            asked = await say(session, client, place, text)
        assert (len(asked.messages), asked.summary) == (5, "")
        await summed_up(place, session, Summary(turn=3, covers=2, text="They spoke of one."))
        asked = await say(session, client, place, "four")
        assert asked.summary == "They spoke of one."
        assert [message.content for message in asked.messages if message.role == "user"] == [
            "two",
            "three",
            "four",
        ]
    async with place.hub.session(Start(session_id="s2"), client) as session:
        asked = await say(session, client, place, "five")
    assert asked.summary == "They spoke of one."
    assert asked.messages[0].content == "two"


async def test_a_summary_of_a_turn_that_never_was_changes_nothing(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(), client) as session:
        await say(session, client, place, "one")
        await summed_up(place, session, Summary(turn=7, covers=2, text="Lies."))
        asked = await say(session, client, place, "two")
    assert (len(asked.messages), asked.summary) == (3, "")


@pytest.mark.parametrize("fails", ["engine_failed", "internal"])
async def test_what_eva_says_to_excuse_herself_is_not_told_to_the_mind(place: Place, fails: str) -> None:
    client = Client()
    async with place.hub.session(Start(language="en"), client) as session:
        place.workers.faults.mind_fails = fails
        session.handle(UserText(text="one"))
        await client.sees(ErrorEvent)
        assert (phrases.apology("en"), "will") in [
            (item.text, item.reuse) for item in place.workers.synthesized
        ]
        place.workers.faults.mind_fails = ""
        asked = await say(session, client, place, "two")
    assert all(phrases.apology("en") not in message.content for message in asked.messages)
    assert asked.messages[-1].content == "two"


async def test_an_answer_that_nothing_was_heard_of_is_not_told_to_the_mind(place: Place) -> None:
    client = Client()
    place.workers.faults.gate.clear()
    async with place.hub.session(Start(), client) as session:
        session.handle(UserText(text="one"))
        await client.sees(Token)
        session.handle(Interrupt(played_ms=0))
        place.workers.faults.gate.set()
        asked = await say(session, client, place, "two")
    assert [(message.role, message.content) for message in asked.messages] == [
        ("user", "one"),
        ("user", "two"),
    ]


async def test_what_was_called_in_a_turn_stands_behind_its_question_and_in_no_other_turn() -> None:
    broker = MemoryBroker()
    bus = broker.connect("gateway")
    await bus.declare(LLM_WORK)
    asked: list[Generate] = []
    subject = subjects.work("llm", GW, "s1")
    await bus.subscribe(subject, lambda _subject, message: asked.append(message))  # type: ignore[arg-type]
    past = [ChatMessage(role="user", content="hi"), ChatMessage(role="assistant", content="Hello.")]
    conversation = Conversation(SessionRecord(turns=1, messages=past))
    publisher = Publisher(bus, GW, "s1", Keeper("s1", None), conversation)
    rounds = (
        ChatMessage(role="assistant", content="", tool_calls=[ToolUse(id="a", name="look")]),
        ChatMessage(role="tool", content="rain", tool_call_id="a"),
    )
    question = Ask(text="weather?")
    await publisher.perform(
        Think(turn=2, attempt=2, ask=question, remaining_ms=9000, rounds=rounds, first_ms=7)
    )
    conversation.remember(2, "weather?", "It rains.")
    await publisher.perform(Think(turn=3, attempt=1, ask=Ask(text="oh"), remaining_ms=9000))
    await asyncio.sleep(0)
    first, second = asked
    assert first.messages == [*past, ChatMessage(role="user", content="weather?"), *rounds]
    assert first.first_ms == 7
    assert [message.content for message in second.messages] == ["hi", "Hello.", "weather?", "It rains.", "oh"]
