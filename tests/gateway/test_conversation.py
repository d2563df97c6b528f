from __future__ import annotations

import pytest

from services.gateway import phrases
from services.gateway.conversation import MAX_BYTES, MAX_MESSAGES, Conversation
from shared.messages import ChatMessage, SessionRecord


def said(record: SessionRecord) -> list[str]:
    return [f"{message.role[0]}:{message.content}" for message in record.messages]


def test_a_turn_that_was_cut_short_replaces_what_it_had() -> None:
    conversation = Conversation()
    conversation.remember(1, "hi", "hello there")
    conversation.remember(2, "more", "one two three")
    assert said(conversation.remember(2, "more", "one two")) == [
        "u:hi",
        "a:hello there",
        "u:more",
        "a:one two",
    ]
    assert conversation.record.turns == 2


def test_an_answer_of_which_nothing_was_heard_is_not_remembered() -> None:
    assert said(Conversation().remember(1, "hi", "")) == ["u:hi"]


def test_a_resumed_conversation_goes_on() -> None:
    record = SessionRecord(turns=4, messages=[ChatMessage(role="user", content="before")])
    conversation = Conversation(record)
    conversation.prefer(language="fr", voice="siwis")
    after = conversation.remember(5, "now", "yes")
    assert said(after) == ["u:before", "u:now", "a:yes"]
    assert (after.turns, after.language, after.voice) == (5, "fr", "siwis")


def test_the_memory_of_an_endless_conversation_is_bounded() -> None:
    conversation = Conversation()
    for turn in range(1, 400):
        conversation.remember(turn, f"q{turn}", f"a{turn}")
    assert len(conversation.record.messages) == MAX_MESSAGES
    assert conversation.record.messages[-1].content == "a399"


def test_a_conversation_of_long_messages_fits_into_a_message_of_the_bus() -> None:
    conversation = Conversation()
    for turn in range(1, 60):
        conversation.remember(turn, f"{turn} " + "é" * 4000, "b" * 4000)
    messages = conversation.record.messages
    assert sum(len(message.content.encode()) for message in messages) <= MAX_BYTES
    assert messages[-2].content.startswith("59 ")


@pytest.mark.parametrize("say", [phrases.apology, phrases.misheard, phrases.unsupported_language])
def test_eva_speaks_for_herself_in_french_and_english(say: object) -> None:
    assert say("fr") != say("en") == say("de") != ""  # type: ignore[operator]
