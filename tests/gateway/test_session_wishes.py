"""A session whose conversation is somebody else's, and turns that are asked for with wishes of their own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from services.gateway.chat_protocol import (
    AudioIn,
    AudioOut,
    ErrorEvent,
    Interrupted,
    Ready,
    Start,
    Tool,
    TurnDone,
    TurnStarted,
    UserText,
)
from services.gateway.session import Session
from services.gateway.turn_io import Wish
from services.gateway.work import MOST_WAITING, TooManyTurns
from shared.messages import ChatMessage, Final, SessionRecord, SpeechStarted, Summary, ToolUse, TurnLikely
from tests.fakes.ears import FakeEars
from tests.gateway.rig import LISTENING, Client, Place

LOOK, BUY = Tool(name="look"), Tool(name="buy")


@dataclass
class Items:
    """A dialogue that is a list of items, as other protocols have it."""

    messages: list[ChatMessage] = field(default_factory=list)
    record: SessionRecord = field(default_factory=lambda: SessionRecord(turns=7, summary="They had met."))
    told: list[tuple[int, str, str]] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    voice: str = ""

    def asked(self, turn: int) -> list[ChatMessage]:
        self.turns.append(turn)
        return list(self.messages)

    def summarise(self, summary: Summary) -> SessionRecord:
        return self.record

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:
        self.told.append((turn, user, answer))
        return self.record

    def forget(self, turn: int) -> SessionRecord:
        return self.record

    def prefer(self, *, language: str, voice: str) -> None:
        self.voice = voice


async def test_a_conversation_of_the_callers_is_asked_and_told_and_nothing_is_stored(place: Place) -> None:
    client, items = Client(), Items()
    items.messages = [
        ChatMessage(role="user", content="Hello?"),
        ChatMessage(role="assistant", content="Hi."),
    ]
    start = Start(session_id="own", voice="amy", audio_out=None)
    async with place.hub.session(start, client, remember=False, conversation=items) as session:
        ready = await client.sees(Ready)
        assert (ready.turns, ready.is_resumed) == (7, False)
        assert session.respond(text="And you?") == "own-8"
        await client.sees(TurnDone)
    (asked,) = place.workers.generated
    assert [message.content for message in asked.messages] == ["Hello?", "Hi.", "And you?"]
    assert (asked.summary, asked.turn, items.voice) == ("They had met.", 8, "amy")
    assert items.turns == [8]
    assert items.told == [(8, "And you?", "Hello there. How are you?")]
    assert await place.memory.load("own") is None


async def test_a_turn_without_a_new_question_answers_the_conversation_as_it_stands(place: Place) -> None:
    client, items = Client(), Items()
    items.messages = [
        ChatMessage(role="user", content="What is there?"),
        ChatMessage(role="assistant", content="", tool_calls=[ToolUse(id="c1", name="look")]),
        ChatMessage(role="tool", content="a ship", tool_call_id="c1"),
    ]
    async with place.hub.session(Start(), client, remember=False, conversation=items) as session:
        session.respond(text=None)
        await client.sees(TurnDone)
    assert place.workers.generated[0].messages == items.messages
    assert items.told[-1][1:] == ("", "Hello there. How are you?")


async def test_a_turn_without_a_new_question_leaves_an_ordinary_conversation_in_order(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(session_id="s1", audio_out=None), client) as session:
        session.respond(text="Hello?")
        await client.sees(TurnDone)
        session.respond(text=None)
        await client.sees(TurnDone, 2)
    record = await place.memory.load("s1")
    assert record is not None
    assert [message.role for message in record.messages] == ["user", "assistant", "assistant"]


async def test_at_double_speed_an_answer_is_heard_in_half_the_time(place: Place) -> None:
    client, heard = Client(), []
    async with place.hub.session(Start(audio_out=AudioOut(rate_hz=16000)), client) as session:
        for count, wish in enumerate((Wish(), Wish(speed=2.0)), 1):
            session.respond(text="hello", wish=wish)
            await client.sees(TurnDone, count)
            heard.append(sum(map(len, client.payloads)))
    assert [work.speed for work in place.workers.generated] == [1.0, 2.0]
    assert [work.speed for work in place.workers.synthesized] == [1.0, 1.0, 2.0, 2.0]
    usual, fast = heard[0], heard[1] - heard[0]
    assert fast == usual / 2


async def test_a_wish_goes_to_the_mind_and_what_it_leaves_open_is_the_sessions(place: Place) -> None:
    client = Client()
    start = Start(persona="You are Ida.", tools=[LOOK], audio_out=None)
    wish = Wish(
        persona="You are Max.",
        tools=(BUY,),
        tool_choice="buy",
        max_tokens=5,
        temperature=0.2,
        hands_over=True,
    )
    async with place.hub.session(start, client) as session:
        session.respond(text="one", wish=wish)
        await client.sees(TurnDone)
        session.respond(text="two", wish=Wish(persona="", tools=()))
        await client.sees(TurnDone, 2)
        session.wish = Wish(max_tokens=9)
        session.handle(UserText(text="three"))
        await client.sees(TurnDone, 3)
    told = [
        (
            work.persona,
            *(tool.name for tool in work.tools),
            work.tool_choice,
            work.max_tokens,
            work.temperature,
        )
        for work in place.workers.generated
    ]
    assert told == [
        ("You are Max.", "buy", "buy", 5, 0.2),
        ("", "auto", 0, None),
        ("You are Ida.", "look", "auto", 9, None),
    ]


async def test_voice_language_and_sound_are_the_turns_own_where_they_are_named(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(voice="amy", language="en"), client) as session:
        session.respond(text="one", voice="siwis", language="fr", wants_audio=False)
        await client.sees(TurnDone)
        session.respond(text="two")
        await client.sees(TurnDone, 2)
    first, second = place.workers.generated
    assert (first.voice, first.language, first.audio) == ("siwis", "fr", None)
    assert (second.voice, second.language, second.audio is None) == ("amy", "en", False)


@pytest.mark.parametrize("is_foreseen", [True, False])
async def test_spoken_turns_are_answered_as_the_session_wishes(place: Place, is_foreseen: bool) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(LISTENING, client) as session:
        await client.sees(Ready)
        session.wish = Wish(persona="You are Max.", max_tokens=7)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=0))
        if is_foreseen:
            await ears.say(TurnLikely(lease=1, utterance=1, text="hello eva", language="en"))
        await ears.say(Final(lease=1, utterance=1, text="hello eva", language="en", end_ms=90))
        done = await client.sees(TurnDone)
    assert done.timeline.is_speculative == is_foreseen
    assert [(work.persona, work.max_tokens) for work in place.workers.generated] == [("You are Max.", 7)]


async def test_who_asks_in_mid_answer_takes_its_place_and_can_know_before(place: Place) -> None:
    client = Client()
    place.workers.gate_mind.clear()
    async with place.hub.session(Start(), client) as session:
        assert not session.is_answering
        first = session.respond(text="one")
        assert session.is_answering
        second = session.respond(text="two")
        place.workers.gate_mind.set()
        await client.sees(TurnDone)
    assert [started.turn_id for started in client.of(TurnStarted)] == [first, second]
    assert [(end.turn_id, end.reason) for end in client.of(Interrupted)] == [(first, "message")]


def ask_without_end(session: Session) -> None:
    for _ in range(MOST_WAITING + 1):
        session.respond(text="again")


async def test_more_turns_than_the_broker_takes_are_refused_and_begin_nothing(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(audio_in=AudioIn()), client) as session:
        with pytest.raises(TooManyTurns):
            ask_without_end(session)
        begun = len(client.of(TurnStarted))
        session.handle(UserText(text="again"))
        assert (client.of(ErrorEvent)[-1].code, client.of(ErrorEvent)[-1].retry_after_ms) == ("busy", 1000)
        assert len(client.of(TurnStarted)) == begun
