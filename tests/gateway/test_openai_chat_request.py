"""What a chat completion may ask for, and the conversation that its messages are."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from services.gateway.chat_protocol import Tool
from services.gateway.openai_audio_ids import new_id
from services.gateway.openai_chat_body import ChatWish
from services.gateway.openai_chat_request import (
    MAX_BYTES,
    GivenDialogue,
    checked,
    recordings,
    talk_of,
    wish_of,
)
from services.gateway.turn_io import Wish
from shared.errors import BadInput
from shared.messages import ChatMessage, SessionRecord, Summary, ToolUse

NOW = 1000.0
HI = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LOOK = {"type": "function", "function": {"name": "look", "description": None}}
SOUND = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}


def wish(*messages: Any, **fields: Any) -> ChatWish:
    body = {"model": "m", "messages": list(messages) or [HI], **fields}
    return msgspec.json.decode(msgspec.json.encode(body), type=ChatWish)


def sound(data: bytes = b"RIFF") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def refused(asked: ChatWish) -> tuple[str, str | None]:
    with pytest.raises(BadInput) as caught:
        wish_of(asked, talk_of(checked(asked), ["heard"] * len(recordings(asked)), NOW))
    return caught.value.code, caught.value.param


def test_the_last_words_of_the_user_are_the_question_and_the_rest_was_before() -> None:
    talk = talk_of(
        wish(
            {"role": "system", "content": "You are a gardener."},
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            HI,
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}, words("Hm.")]},
            {"role": "user", "content": [words("a"), words("b")]},
        ),
        [],
        NOW,
    )  # fmt: skip
    assert (talk.persona, talk.question) == ("You are a gardener.\n\nBe brief.", "a\nb")
    assert talk.before == (
        ChatMessage(role="user", content="hi"),
        ChatMessage(role="assistant", content="No.\nHm."),
    )


def test_behind_the_results_of_functions_no_new_question_stands() -> None:
    talk = talk_of(
        wish(
            HI,
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "blue"},
        ),
        [],
        NOW,
    )
    assert (talk.persona, talk.question) == (None, None)
    assert talk.before[1:] == (
        ChatMessage(role="assistant", content="", tool_calls=[ToolUse(id="c1", name="look")]),
        ChatMessage(role="tool", content="blue", tool_call_id="c1"),
    )


def test_recordings_stand_in_the_text_as_what_was_heard_in_them() -> None:
    asked = wish(
        {"role": "user", "content": [sound(b"one"), {"type": "text", "text": "and"}]},
        {"role": "user", "content": [sound(b"two")]},
    )
    assert recordings(asked) == [b"one", b"two"]
    talk = talk_of(asked, ["first", "second"], NOW)
    assert (talk.before[0].content, talk.question) == ("first\nand", "second")


def test_an_earlier_answer_is_named_by_its_id() -> None:
    said = {"role": "assistant", "audio": {"id": new_id("Hello.", 2000)}}
    assert talk_of(wish(HI, said, HI), [], NOW).before[1].content == "Hello."
    assert refused(wish(HI, {"role": "assistant", "audio": {"id": "audio_x"}})) == (
        "invalid_request", "messages[1].audio.id",
    )  # fmt: skip


def test_what_is_wished_for_of_the_answer() -> None:
    asked = wish(tools=[LOOK], tool_choice={"type": "function", "function": {"name": "look"}}, max_tokens=9)
    talk = talk_of(checked(asked), [], NOW)
    assert wish_of(asked, talk) == Wish(
        tools=(Tool(name="look"),), tool_choice="look", max_tokens=9, hands_over=True
    )
    asked = wish(max_tokens=9, max_completion_tokens=8, temperature=0.5)
    assert wish_of(asked, talk) == Wish(tools=(), max_tokens=8, temperature=0.5, hands_over=True)
    asked = wish(tools=[LOOK], tool_choice="required", stop="x")
    assert (wish_of(asked, talk).tool_choice, asked.stops) == ("required", ["x"])


BAD: list[tuple[ChatWish, tuple[str, str | None]]] = [
    (wish(model=" "), ("invalid_request", "model")),
    (ChatWish(model="m", messages=[]), ("invalid_request", "messages")),
    (wish(functions=[]), ("unsupported_parameter", "functions")),
    (wish(function_call="auto"), ("unsupported_parameter", "function_call")),
    (wish(web_search_options={}), ("unsupported_parameter", "web_search_options")),
    (wish(response_format={"type": "json_object"}), ("unsupported_value", "response_format.type")),
    (wish(logprobs=True), ("unsupported_value", "logprobs")),
    (wish(n=2), ("unsupported_value", "n")),
    (wish(max_tokens=0), ("invalid_request", "max_tokens")),
    (wish(max_completion_tokens=-1), ("invalid_request", "max_completion_tokens")),
    (wish(temperature=2.1), ("invalid_request", "temperature")),
    (wish(stop=["a", "b", "c", "d", "e"]), ("invalid_request", "stop")),
    (wish(stop=""), ("invalid_request", "stop")),
    (wish(stream_options={"include_usage": True}), ("invalid_request", "stream_options")),
    (wish(modalities=["audio"]), ("invalid_request", "audio")),
    (wish(**SOUND, stream=True), ("unsupported_value", "audio.format")),
    (wish(**SOUND, stop="x"), ("unsupported_value", "stop")),
    (wish({"role": "user"}), ("invalid_request", "messages[0].content")),
    (wish({"role": "assistant"}), ("invalid_request", "messages[0].content")),
    (
        wish({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
        ("unsupported_value", "messages[0].content[0].type"),
    ),
    (
        wish({"role": "system", "content": [sound()]}),
        ("unsupported_value", "messages[0].content[0].type"),
    ),
    (
        wish({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "%"}}]}),
        ("invalid_request", "messages[0].content[0].input_audio.data"),
    ),
    (
        wish({"role": "user", "content": [sound(b"")]}),
        ("invalid_request", "messages[0].content[0].input_audio.data"),
    ),
    (wish({"role": "user", "content": [sound()] * 9}), ("invalid_request", "messages")),
    (
        wish({"role": "tool", "tool_call_id": "c1", "content": "x"}),
        ("invalid_request", "messages[0].tool_call_id"),
    ),
    (wish({"role": "assistant", "tool_calls": [CALL]}), ("invalid_request", "messages")),
    (wish({"role": "assistant", "tool_calls": [CALL]}, HI), ("invalid_request", "messages[1]")),
    (wish({"role": "user", "content": "x" * MAX_BYTES}), ("context_length_exceeded", "messages")),
    (wish(tools=[{"type": "custom"}]), ("unsupported_value", "tools[0].type")),
    (wish(tools=[LOOK, {"type": "function"}]), ("invalid_request", "tools[1].function.name")),
    (wish(tools=[LOOK, LOOK]), ("invalid_request", "tools")),
    (wish(tool_choice="sometimes"), ("invalid_request", "tool_choice")),
    (wish(tool_choice="required"), ("invalid_request", "tool_choice")),
    (
        wish(tools=[LOOK], tool_choice={"type": "function", "function": {"name": "see"}}),
        ("invalid_request", "tool_choice"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "said"), BAD)
def test_what_cannot_be_done_is_refused_by_name(asked: ChatWish, said: tuple[str, str | None]) -> None:
    assert refused(asked) == said


def test_what_has_no_effect_is_accepted() -> None:
    asked = wish(
        top_p=0.9, seed=1, user="u", metadata={"a": "b"}, store=False, logit_bias={}, logprobs=False, n=1,
        response_format={"type": "text"}, reasoning_effort="low", stream=None, tools=None, tool_choice="none",
        **SOUND,
    )  # fmt: skip
    assert wish_of(checked(asked), talk_of(asked, [], NOW)).tool_choice == "none"


def test_a_conversation_that_is_brought_along_is_kept_by_nobody() -> None:
    before = [ChatMessage(role="user", content="hi")]
    dialogue = GivenDialogue(before)
    dialogue.prefer(language="fr", voice="x")
    dialogue.remember(1, "a", "b")
    dialogue.forget(1)
    dialogue.summarise(Summary(turn=1, covers=1, text="x"))
    assert (dialogue.asked(1), dialogue.record) == (before, SessionRecord())
