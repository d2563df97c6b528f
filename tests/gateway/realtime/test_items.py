import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.conversation import Dialogue
from services.gateway.realtime.cut import SpokenTo, heard
from services.gateway.realtime.events import ItemCreate, ItemDone, ItemRetrieved, RealtimeError, encode, parse
from services.gateway.realtime.given import MAX_ITEM_BYTES
from services.gateway.realtime.item_types import (
    FunctionCallItem,
    InputAudio,
    InputText,
    MessageItem,
    OutputAudio,
    OutputText,
)
from services.gateway.realtime.items import Created, Items
from shared.messages import ChatMessage, SessionRecord, Summary
from shared.messages.mind import ToolUse
from tests.gateway.realtime.strict import judged


def create(items: Items, previous: str | None = None, **item: Any) -> Created:
    event = parse(
        json.dumps({"type": "conversation.item.create", "previous_item_id": previous, "item": item})
    )
    assert isinstance(event, ItemCreate)
    return items.create(event.item, event.previous_item_id)


def say(items: Items, text: str, *, item_id: str | None = None, previous: str | None = None) -> Created:
    content = [{"type": "input_text", "text": text}]
    return create(items, previous, type="message", role="user", id=item_id, content=content)


def answer(items: Items, item_id: str, text: str, audio_ms: float = 1000.0) -> None:
    """EVA answers aloud in the turn that the mind was last asked in."""
    item = MessageItem(id=item_id, role="assistant", status="in_progress", content=())
    items.place(item)
    items.sounded(item_id, audio_ms)
    items.settle(
        MessageItem(id=item_id, role="assistant", status="completed", content=(OutputAudio(transcript=text),))
    )


def told(items: Items, turn: int = 99) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in items.asked(turn)]


def code_of(action: Any, *arguments: Any) -> tuple[str | None, str | None]:
    with pytest.raises(RealtimeError) as raised:
        action(*arguments)
    return raised.value.detail.code, raised.value.detail.param


def test_it_is_what_a_session_asks_of_its_conversation() -> None:
    dialogue: Dialogue = Items()
    assert dialogue.asked(1) == []


def test_items_stand_where_the_client_puts_them() -> None:
    items = Items()
    assert items.last_id is None
    assert say(items, "b", item_id="b").previous_item_id is None
    assert say(items, "d", item_id="d").previous_item_id == "b"
    assert say(items, "c", item_id="c", previous="b").previous_item_id == "b"
    assert say(items, "a", item_id="a", previous="root").previous_item_id is None
    assert [text for _, text in told(items)] == ["a", "b", "c", "d"]
    assert (items.last_id, len(items)) == ("d", 4)


def test_a_client_without_ids_is_given_some() -> None:
    items = Items()
    ids = {say(items, "x").item.id for _ in range(3)}
    assert len(ids) == 3


def test_what_cannot_be_put_there_is_refused_and_changes_nothing() -> None:
    items = Items()
    say(items, "x", item_id="x")
    assert code_of(lambda: say(items, "x", item_id="x")) == ("item_create_duplicate_item_id", "item.id")
    assert code_of(lambda: say(items, "y", previous="gone")) == (
        "item_create_invalid_previous_item_id",
        "previous_item_id",
    )
    lost: dict[str, Any] = {"type": "function_call_output", "call_id": "c", "output": "4"}
    assert code_of(lambda: create(items, **lost)) == ("invalid_tool_call_id", "item.call_id")
    assert len(items) == 1


CONTENT: list[tuple[str, dict[str, Any], Any]] = [
    ("system", {"type": "input_text", "text": "x"}, InputText(text="x")),
    ("user", {"text": "x"}, InputText(text="x")),
    ("user", {"type": "input_audio", "audio": "AAAA"}, InputAudio()),
    ("user", {"type": "input_audio", "transcript": "x"}, InputAudio(transcript="x")),
    ("assistant", {"type": "output_text", "text": "x"}, OutputText(text="x")),
    ("assistant", {"type": "output_audio", "transcript": "x"}, OutputAudio(transcript="x")),
]


@pytest.mark.parametrize(("role", "part", "expected"), CONTENT, ids=range(len(CONTENT)))
def test_what_a_message_may_hold(role: str, part: dict[str, Any], expected: Any) -> None:
    made = create(Items(), type="message", role=role, content=[part])
    assert isinstance(made.item, MessageItem)
    assert made.item.content == (expected,)
    judged(encode(ItemDone(previous_item_id=None, item=made.item)))


LONG = "x" * (MAX_ITEM_BYTES + 1)
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"role": "user", "content": [{"type": "text", "text": "x"}]}, "invalid_value", "item.content[0].type"),
    ({"role": "user", "content": [{"type": "input_image"}]}, "invalid_value", "item.content[0].type"),
    ({"role": "system", "content": [{"type": "input_audio"}]}, "invalid_value", "item.content[0].type"),
    ({"role": "user", "content": [{}]}, "missing_required_parameter", "item.content[0].text"),
    (
        {"role": "user", "content": [{"type": "input_audio"}]},
        "missing_required_parameter",
        "item.content[0].audio",
    ),
    (
        {"role": "assistant", "content": [{"type": "output_audio"}]},
        "missing_required_parameter",
        "item.content[0].transcript",
    ),
    ({"role": "user", "content": [{"text": LONG}]}, "string_above_max_length", "item.content[0].text"),
    ({"role": "user", "id": "x" * 129, "content": []}, "string_above_max_length", "item.id"),
]


@pytest.mark.parametrize(("item", "code", "param"), REFUSED, ids=range(len(REFUSED)))
def test_what_a_message_may_not_hold(item: dict[str, Any], code: str, param: str) -> None:
    assert code_of(lambda: create(Items(), type="message", **item)) == (code, param)


def test_sound_that_the_client_gives_is_handed_on_to_be_transcribed() -> None:
    items = Items()
    part = {"type": "input_audio", "audio": "AAEC"}
    made = create(items, type="message", role="user", id="i", content=[part, {"text": "and"}])
    assert (made.audio, told(items)) == (b"\x00\x01\x02", [("user", "and")])
    items.transcribed("i", "Hello")
    items.transcribed("gone", "?")
    assert told(items) == [("user", "Hello and")]


def test_an_item_is_retrieved_as_it_stands_and_deleted_for_good() -> None:
    items = Items()
    say(items, "x", item_id="x")
    assert judged(encode(ItemRetrieved(item=items.retrieve("x"))))["item"]["content"][0]["text"] == "x"
    items.delete("x")
    assert code_of(items.retrieve, "x") == ("item_retrieve_invalid_item_id", "item_id")
    assert code_of(items.delete, "x") == ("item_delete_invalid_item_id", "item_id")
    assert code_of(items.truncate, "x", 0, 0) == ("item_truncate_invalid_item_id", "item_id")


def test_what_was_deleted_or_withdrawn_does_not_come_back() -> None:
    items = Items()
    answer(items, "a", "Hello.")
    items.withdraw("a")
    items.withdraw("a")
    items.settle(MessageItem(id="a", role="assistant", content=(OutputText(text="Hello."),)))
    items.sounded("a", 5.0)
    items.belong("a", 1)
    assert len(items) == 0


MARKS = (SpokenTo(200.0, 5), SpokenTo(500.0, 10), SpokenTo(900.0, 16))
CUTS: list[tuple[float, tuple[SpokenTo, ...], str]] = [
    (1000, MARKS, "Well, this is it."),
    (1001, MARKS, "Well, this is it."),
    (600, MARKS, "Well, this"),
    (500, MARKS, "Well, this"),
    (199, MARKS, ""),
    (0, (), ""),
    (400, (), "Well,"),
    (590, (), "Well, this"),
    (20, (), ""),
    (999, (), "Well, this is"),
]


@pytest.mark.parametrize(("at_ms", "marks", "left"), CUTS, ids=range(len(CUTS)))
def test_the_words_behind_a_cut_are_gone(at_ms: float, marks: tuple[SpokenTo, ...], left: str) -> None:
    items = Items()
    answer(items, "a", "Well, this is it.")
    items.sounded("a", 1000.0, marks)
    assert items.truncate("a", 0, at_ms) == min(at_ms, 1000)
    item = items.retrieve("a")
    assert isinstance(item, MessageItem)
    assert item.content == (OutputAudio(transcript=left),)
    assert told(items) == ([("assistant", left)] if left else [])


def test_a_cut_stays_a_cut_when_the_item_is_completed_later_or_cut_again() -> None:
    items = Items()
    answer(items, "a", "one two three four")
    assert items.truncate("a", 0, 800) == 800
    answered = MessageItem(id="a", role="assistant", content=(OutputAudio(transcript="one two three four"),))
    items.settle(answered)
    assert told(items) == [("assistant", "one two three")]
    assert code_of(items.truncate, "a", 0, 900) == ("invalid_value", "audio_end_ms")
    assert items.truncate("a", 0, 500) == 500
    assert told(items) == [("assistant", "one two")]


def test_what_is_no_sound_of_evas_cannot_be_cut() -> None:
    items = Items()
    say(items, "x", item_id="u")
    answer(items, "a", "Hello.")
    create(items, type="function_call", id="f", name="f", arguments="{}")
    assert code_of(items.truncate, "u", 0, 0) == ("unsupported_content_type", "item_id")
    assert code_of(items.truncate, "f", 0, 0) == ("unsupported_content_type", "item_id")
    assert code_of(items.truncate, "a", 1, 0) == ("invalid_value", "content_index")
    assert code_of(items.truncate, "a", 0, -1) == ("integer_below_min_value", "audio_end_ms")
    assert code_of(items.truncate, "a", 0, 1002) == ("invalid_value", "audio_end_ms")


def test_an_answer_without_sound_yet_is_cut_to_nothing() -> None:
    items = Items()
    part = OutputAudio()
    items.place(
        MessageItem(id="a", role="assistant", status="in_progress", content=(part, OutputText(text="t")))
    )
    assert items.truncate("a", 0, 0) == 0
    items.settle(MessageItem(id="a", role="assistant", content=(OutputAudio(transcript="Hello."),)))
    assert told(items) == []


def test_a_cut_item_that_becomes_something_else_stands_as_it_is() -> None:
    items = Items()
    answer(items, "a", "Hello.")
    items.truncate("a", 0, 0)
    items.settle(FunctionCallItem(id="a", call_id="c", name="f", arguments="{}"))
    assert isinstance(items.retrieve("a"), FunctionCallItem)


@given(st.text(max_size=40), st.floats(0, 2000), st.floats(0, 2000))
def test_whoever_hears_longer_hears_no_less(text: str, first_ms: float, second_ms: float) -> None:
    shorter, longer = (
        heard(text, (), until_ms=until_ms, audio_ms=1500.0) for until_ms in sorted((first_ms, second_ms))
    )
    assert longer.startswith(shorter)
    assert text.startswith(longer)


def test_the_mind_is_told_all_but_the_turns_own_items() -> None:
    items = Items()
    say(items, "Hello.")
    assert told(items, 1) == [("user", "Hello.")]
    answer(items, "a", "Hi.")
    assert told(items, 1) == [("user", "Hello.")]
    items.place(MessageItem(id="u", role="user", content=(InputAudio(transcript="How are you?"),)))
    items.belong("u", 2)
    assert told(items, 2) == [("user", "Hello."), ("assistant", "Hi.")]
    items.place(MessageItem(id="b", role="assistant", status="in_progress", content=(OutputText(text="W"),)))
    assert told(items, 3) == [("user", "Hello."), ("assistant", "Hi."), ("user", "How are you?")]


def test_words_that_were_not_heard_are_told_to_nobody() -> None:
    items = Items()
    items.asked(1)
    answer(items, "a", "One two three.")
    answer(items, "b", "Four five.")
    record = items.remember(1, "", "One two three. Four")
    assert told(items) == [("assistant", "One two three."), ("assistant", "Four")]
    assert (record.turns, [message.content for message in record.messages]) == (1, ["One two three.", "Four"])
    items.remember(1, "", "One")
    assert told(items) == [("assistant", "One")]
    items.remember(1, "", "One two three. Four five.")
    assert told(items)[1] == ("assistant", "Four five.")
    items.remember(1, "", "One two")
    items.truncate("a", 0, 0)
    assert told(items) == []


def test_a_question_that_comes_back_is_told_once_whatever_was_thought_ahead_and_dropped() -> None:
    items = Items()
    items.place(MessageItem(id="q1", role="user", content=(InputAudio(transcript="what is"),)))
    items.belong("q1", 1)
    items.asked(1)
    items.forget(1)
    assert items.asked(2) == [], "it is thought of ahead"
    assert items.asked(3) == [], "and asked"
    items.remember(3, "what is the time", "Noon.")
    assert [message.content for message in items.asked(4)] == ["what is"]
    items.forget(4)
    items.belong("q1", 5)
    items.forget(5)
    items.remember(5, "what is", "")
    assert [message.content for message in items.asked(6)] == ["what is"], "it was not asked again"


def test_a_question_that_comes_back_belongs_to_the_next_turn() -> None:
    items = Items()
    items.asked(1)
    items.place(MessageItem(id="u", role="user", content=(InputAudio(transcript="I want"),)))
    items.belong("u", 1)
    items.forget(1)
    assert told(items, 2) == []
    items.remember(2, "I want tea", "")
    assert told(items, 3) == [("user", "I want")]


def call(items: Items, call_id: str, output: str | None = None) -> None:
    items.place(FunctionCallItem(id=f"f{call_id}", call_id=call_id, name="f", arguments="{}"))
    if output is not None:
        result(items, call_id, output)


def result(items: Items, call_id: str, output: str) -> None:
    create(items, type="function_call_output", call_id=call_id, output=output, id=f"o{call_id}")


def test_calls_are_told_with_their_results_and_never_without() -> None:
    items = Items()
    say(items, "?")
    call(items, "1")
    call(items, "2")
    call(items, "3")
    result(items, "1", "one")
    result(items, "2", "two")
    say(items, "!")
    call(items, "4", "four")
    uses = [ToolUse(id=call_id, name="f", arguments="{}") for call_id in ("1", "2", "4")]
    assert items.asked(9) == [
        ChatMessage(role="user", content="?"),
        ChatMessage(role="assistant", content="", tool_calls=uses[:2]),
        ChatMessage(role="tool", content="one", tool_call_id="1"),
        ChatMessage(role="tool", content="two", tool_call_id="2"),
        ChatMessage(role="user", content="!"),
        ChatMessage(role="assistant", content="", tool_calls=uses[2:]),
        ChatMessage(role="tool", content="four", tool_call_id="4"),
    ]
    items.delete("f4")
    assert items.asked(9)[-1] == ChatMessage(role="user", content="!")


def test_a_call_that_the_client_tells_is_given_an_id_of_its_own() -> None:
    made = create(Items(), type="function_call", name="f", arguments="{}")
    assert isinstance(made.item, FunctionCallItem)
    assert made.item.call_id.startswith("call_")


def test_the_oldest_go_first_and_at_once() -> None:
    items = Items(max_items=10)
    for number in range(11):
        say(items, str(number), item_id=str(number))
    assert [text for _, text in told(items)] == ["5", "6", "7", "8", "9", "10"]


def test_a_new_item_at_the_beginning_is_not_the_one_that_goes() -> None:
    items = Items(max_items=4)
    for number in range(4):
        say(items, str(number), item_id=str(number))
    say(items, "first", item_id="first", previous="root")
    say(items, "second", item_id="second", previous="first")
    assert [text for _, text in told(items)][:2] == ["first", "second"]


def test_many_words_are_too_many_too() -> None:
    items = Items()
    for number in range(3):
        say(items, "x" * 40_000, item_id=str(number))
    assert [len(text) for _, text in told(items)] == [40_000]


def test_a_summary_stands_for_what_it_covers_while_the_client_keeps_its_items() -> None:
    items = Items()
    for number in range(4):
        say(items, str(number), item_id=str(number))
    items.asked(1)
    say(items, "new")
    assert items.summarise(Summary(turn=1, covers=3, text=" It counted. ")).summary == "It counted."
    assert told(items) == [("user", "3"), ("user", "new")]
    assert items.retrieve("0").id == "0"
    items.delete("3")
    for useless in (
        Summary(turn=1, covers=2, text="Older."),
        Summary(turn=7, covers=2, text="Of no turn."),
        Summary(turn=1, covers=4, text=" "),
        Summary(turn=1, covers=4, text="x" * 5000),
        Summary(turn=1, covers=-1, text="Nothing."),
    ):
        assert items.summarise(useless).summary == "It counted."


def test_a_summary_of_long_ago_comes_too_late() -> None:
    items = Items()
    say(items, "x")
    for turn in range(1, 19):
        items.asked(turn)
    assert items.summarise(Summary(turn=1, covers=1, text="Late.")).summary == ""


def test_a_stored_conversation_goes_on() -> None:
    items = Items()
    say(items, "Hello.")
    items.asked(1)
    answer(items, "a", "Hi.")
    call(items, "1", "one")
    items.prefer(language="fr", voice="siwis")
    record = items.remember(1, "Hello.", "Hi.")
    again = Items(record)
    assert told(again) == [("user", "Hello."), ("assistant", "Hi.")]
    assert (again.record.turns, again.record.language, again.record.voice) == (1, "fr", "siwis")
    assert Items(SessionRecord(messages=[ChatMessage(role="user", content="")])).last_id is None


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("say", "answer", "call", "delete", "truncate", "remember", "ask")),
        st.integers(0, 8),
        st.sampled_from((None, "root", "0", "5")),
    ),
    max_size=30,
)


@given(ACTIONS)
def test_whatever_happens_every_item_is_told_right_and_every_call_has_its_result(
    actions: list[tuple[str, int, str | None]],
) -> None:
    items = Items(max_items=12)
    for action, number, previous in actions:
        try:
            _do(items, action, number, previous)
        except RealtimeError as error:
            assert error.detail.code  # noqa: PT017 - some of them are refused, and some are not
    messages = items.asked(99)
    given_calls = [use.id for message in messages for use in message.tool_calls]
    assert given_calls == [message.tool_call_id for message in messages if message.role == "tool"]
    assert len(items) <= 13
    for number in range(9):
        try:
            item = items.retrieve(str(number))
        except RealtimeError:
            continue
        judged(encode(ItemDone(previous_item_id=None, item=item)))


def _do(items: Items, action: str, number: int, previous: str | None) -> None:
    match action:
        case "say":
            say(items, f"word {number}", item_id=str(number), previous=previous)
        case "answer":
            answer(items, str(number), "One two three four.")
        case "call":
            items.place(FunctionCallItem(id=str(number), call_id=str(number), name="f", arguments="{}"))
            create(items, previous, type="function_call_output", call_id=str(number), output="x")
        case "delete":
            items.delete(str(number))
        case "truncate":
            items.truncate(str(number), 0, number * 120)
        case "remember":
            items.remember(number, "", "One two")
        case _:
            items.asked(number)
