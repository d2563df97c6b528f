"""The answer of a chat completion, as a whole and in chunks, as the ``openai`` package's types have it."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from services.gateway.chat_protocol import Timeline, ToolCallEvent, TurnDone, Usage
from services.gateway.openai_audio_ids import transcript_of
from services.gateway.openai_chat_answer import Chunks, Heading, Prose, Replaced, Stops, completion, usage_of

HEAD = Heading("T", "gpt-4o", 1000)
CALLS = [ToolCallEvent(turn_id="t", call_id="c1", name="look", arguments='{"at":"sky"}')]


def done(text: str = "Hello.", **fields: Any) -> TurnDone:
    return TurnDone(turn_id="t", text=text, has_audio=False, timeline=Timeline(), engines={}, **fields)


def strict(answer: object) -> ChatCompletion:
    return ChatCompletion.model_validate(msgspec.to_builtins(answer), strict=True)


def test_a_whole_answer_is_what_the_package_expects() -> None:
    usage = Usage(input_tokens=11, cached_tokens=3, output_tokens=2)
    answer = strict(completion(HEAD, done(usage=usage), [], audio=None, read_bytes=9))
    assert (answer.id, answer.created, answer.model) == ("chatcmpl-T", 1000, "gpt-4o")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello.", "stop")
    assert answer.choices[0].message.audio is None
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        11,
        2,
        13,
    )


def test_calls_are_told_with_the_words_before_them_if_there_are_any() -> None:
    answer = strict(completion(HEAD, done("", calls=1), CALLS, audio=None, read_bytes=0)).choices[0]
    assert (answer.finish_reason, answer.message.content) == ("tool_calls", None)
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].model_dump() == {
        "id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'},
    }  # fmt: skip
    assert strict(completion(HEAD, done("I look."), CALLS, audio=None, read_bytes=0)).choices[
        0
    ].message.content == ("I look.")


def test_an_answer_that_is_sound_has_its_words_beside_it() -> None:
    message = strict(completion(HEAD, done(), [], audio=b"RIFF", read_bytes=0)).choices[0].message
    assert message.content is None
    assert message.audio is not None
    assert base64.b64decode(message.audio.data) == b"RIFF"
    assert (message.audio.transcript, message.audio.expires_at) == ("Hello.", 87_400)
    assert transcript_of(message.audio.id, 1000, param="") == "Hello."


def test_an_answer_that_was_cut_says_so_and_tokens_that_nobody_told_are_estimated() -> None:
    cut = completion(HEAD, done(is_cut_short=True), [], audio=None, read_bytes=0)
    assert cut.choices[0].finish_reason == "length"
    usage = usage_of(done("Hello there"), 41)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 3, 14)
    assert usage_of(done(usage=Usage(input_tokens=0, output_tokens=0)), 4).prompt_tokens == 1


@pytest.mark.parametrize("has_usage", [False, True])
def test_all_chunks_are_what_the_package_expects(*, has_usage: bool) -> None:
    chunks = Chunks(HEAD, has_usage=has_usage)
    told = [
        chunks.text("Hel"), chunks.text("lo."), chunks.transcript("Hello"), chunks.transcript(" there."),
        chunks.sound(b"\1\0"), chunks.calls(CALLS), *chunks.end("tool_calls"),
        chunks.usage(usage_of(done(), 4)),
    ]  # fmt: skip
    parsed = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in told]
    deltas = [chunk.choices[0].delta for chunk in parsed[:-1]]
    assert [delta.role for delta in deltas] == ["assistant"] + [None] * 7
    assert [delta.content for delta in deltas[:2]] == ["Hel", "lo."]
    assert deltas[4].audio is not None
    assert deltas[4].audio.data == base64.b64encode(b"\1\0").decode()
    assert deltas[6].audio is not None
    assert deltas[6].audio.id is not None
    assert transcript_of(deltas[6].audio.id, 1000, param="") == "Hello there."
    assert [chunk.choices[0].finish_reason for chunk in parsed[:-1]] == [None] * 7 + ["tool_calls"]
    assert all(("usage" in chunk) == has_usage for chunk in told[:-1])
    assert parsed[-1].choices == []
    assert Chunks(HEAD, has_usage=False).end("stop")[0]["choices"][0]["delta"] == {"role": "assistant"}


def test_text_that_is_begun_anew_goes_on_where_it_says_the_same_again() -> None:
    prose = Prose()
    assert [prose.put(0, "Hello"), prose.put(5, " there")] == ["Hello", " there"]
    assert [prose.put(0, ""), prose.put(0, "Hell"), prose.put(4, "o there. Bye.")] == ["", "", ". Bye."]
    with pytest.raises(Replaced):
        prose.put(0, "Good")


@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=4), st.data())
def test_what_stands_before_the_first_stop_sequence_is_sent_however_the_text_is_cut(
    text: str, sequences: list[str], data: st.DataObject
) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    cuts = [0, *places, len(text)]
    stops = Stops(sequences)
    sent = "".join(stops.feed(text[a:b]) for a, b in itertools.pairwise(cuts)) + stops.rest()
    found = [(at + len(each), at) for each in sequences if (at := text.find(each)) >= 0]
    assert stops.is_reached == bool(found)
    assert sent == (text[: min(found)[1]] if found else text)
    assert not found or stops.feed("more") == ""
