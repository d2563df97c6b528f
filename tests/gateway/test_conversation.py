from __future__ import annotations

import pytest

from services.gateway import phrases
from services.gateway.conversation import KEPT, MAX_BYTES, MAX_MESSAGES, MAX_SUMMARY_CHARS, Conversation
from shared.messages import ChatMessage, SessionRecord, Summary


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


def test_an_exchange_whose_question_comes_back_later_leaves_nothing() -> None:
    conversation = Conversation()
    conversation.remember(1, "hi", "hello there")
    conversation.remember(2, "a train", "which day?")
    assert said(conversation.forget(2)) == ["u:hi", "a:hello there"]
    assert said(conversation.forget(1)) == ["u:hi", "a:hello there"], "it is not the newest"
    after = conversation.remember(3, "a train to Paris", "done")
    assert said(after) == ["u:hi", "a:hello there", "u:a train to Paris", "a:done"]


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
        assert len(conversation.record.messages) <= MAX_MESSAGES
    assert len(conversation.record.messages) > KEPT * MAX_MESSAGES - 2
    assert conversation.record.messages[-1].content == "a399"


def test_the_beginning_stays_the_same_for_many_turns_and_is_never_an_answer() -> None:
    conversation = Conversation()
    first, moved = "", 0
    for turn in range(1, 400):
        conversation.remember(turn, f"q{turn}", "" if turn % 7 == 0 else f"a{turn}")
        begins = conversation.record.messages[0]
        assert begins.role == "user"
        moved += begins.content != first
        first = begins.content
    assert moved < 400 / 15


def test_room_is_made_once_when_the_same_turn_is_remembered_again() -> None:
    conversation = Conversation()
    for turn in range(1, 51):
        conversation.remember(turn, f"q{turn}", f"a{turn}")
    conversation.remember(51, "q51", "a51 and more")
    before = conversation.record.messages[:-2]
    conversation.remember(51, "q51", "a51")
    assert conversation.record.messages[:-2] == before
    assert conversation.forget(51).messages == before


def test_an_exchange_that_fills_the_memory_alone_leaves_nothing_before_it() -> None:
    conversation = Conversation()
    conversation.remember(1, "hi", "hello")
    assert said(conversation.remember(2, "long", "x" * MAX_BYTES)) == ["u:long", "a:" + "x" * MAX_BYTES]


# ---------------------------------------------------------------- summaries


def talked(turns: int) -> Conversation:
    conversation = Conversation()
    for turn in range(1, turns + 1):
        conversation.asked(turn)
        conversation.remember(turn, f"q{turn}", f"a{turn}")
    return conversation


def test_a_summary_stands_for_the_messages_that_it_covers() -> None:
    conversation = talked(4)
    record = conversation.summarise(Summary(turn=4, covers=4, text=" They spoke of trains. "))
    assert said(record) == ["u:q3", "a:a3", "u:q4", "a:a4"]
    assert record.summary == "They spoke of trains."
    assert said(conversation.remember(4, "q4", "a")) == ["u:q3", "a:a3", "u:q4", "a:a"]
    assert said(conversation.forget(4)) == ["u:q3", "a:a3"]
    assert conversation.remember(5, "q5", "a5").summary == "They spoke of trains."


def test_a_summary_that_comes_turns_later_covers_what_it_covered_then() -> None:
    conversation = talked(3)
    for turn in (4, 5):
        conversation.asked(turn)
        conversation.remember(turn, f"q{turn}", f"a{turn}")
    assert said(conversation.summarise(Summary(turn=3, covers=2, text="Old.")))[0] == "u:q2"


def test_what_has_gone_meanwhile_is_not_taken_from_what_stayed() -> None:
    conversation = talked(4)
    conversation.summarise(Summary(turn=3, covers=2, text="First."))
    assert said(conversation.summarise(Summary(turn=4, covers=4, text="Both.")))[0] == "u:q3"
    record = conversation.summarise(Summary(turn=4, covers=2, text="Less."))
    assert (said(record)[0], record.summary) == ("u:q3", "Both.")


def test_a_turn_that_is_asked_again_counts_from_where_it_was_first_asked() -> None:
    conversation = talked(4)
    conversation.asked(5)
    conversation.summarise(Summary(turn=4, covers=2, text="First."))
    conversation.asked(5)
    assert said(conversation.summarise(Summary(turn=5, covers=4, text="Both.")))[0] == "u:q3"


@pytest.mark.parametrize(
    "summary",
    [
        Summary(turn=4, covers=2, text="  "),
        Summary(turn=4, covers=2, text="x" * (MAX_SUMMARY_CHARS + 1)),
        Summary(turn=4, covers=0, text="Nothing."),
        Summary(turn=4, covers=-3, text="Less than nothing."),
        Summary(turn=4, covers=7, text="The newest question too."),
        Summary(turn=9, covers=2, text="Of a turn that never was."),
    ],
)
def test_a_summary_that_says_nothing_or_covers_what_it_cannot_is_ignored(summary: Summary) -> None:
    record = talked(4).summarise(summary)
    assert (len(record.messages), record.summary) == (8, "")


def test_a_summary_of_a_turn_long_ago_comes_too_late() -> None:
    assert talked(20).summarise(Summary(turn=4, covers=2, text="Old.")).summary == ""
    assert talked(20).summarise(Summary(turn=5, covers=2, text="Old.")).summary == "Old."


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
