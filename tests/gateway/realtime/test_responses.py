"""One response on the wire, from what EVA tells of its turn; judged by the package's own types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.chat_protocol import (
    AudioEvent,
    ErrorEvent,
    Filler,
    Interrupted,
    SegmentEvent,
    ServerEvent,
    SpokenWord,
    Token,
    ToolCallEvent,
    Usage,
    WordsEvent,
)
from services.gateway.realtime.endings import Cut, Ending, Terminal, ending_of
from services.gateway.realtime.events import RateLimit, encode
from services.gateway.realtime.items import Items
from services.gateway.realtime.message import pieces
from services.gateway.realtime.responses import Responding, Wanted
from services.gateway.realtime.session_types import Pcmu
from tests.gateway.realtime.desk import TIMELINE, done, sound
from tests.gateway.realtime.strict import judged

TURN = "sid-1"
COMPLETED = Ending(status="completed", usage=Usage(input_tokens=5, cached_tokens=2, output_tokens=3))


@dataclass
class Told:
    """A response, and what its client was told."""

    responding: Responding
    events: list[dict[str, Any]] = field(default_factory=list)

    def take(self, *events: ServerEvent, payload: bytes = b"") -> list[str]:
        """EVA tells this; returns the types of what the client is told."""
        before = len(self.events)
        for event in events:
            self.responding.expect(event)
            self.events += [judged(encode(told)) for told in self.responding.take(event, payload)]
        return [event["type"] for event in self.events[before:]]

    def end(self, ending: Ending = COMPLETED) -> dict[str, Any]:
        """The turn ends; returns the response as it is told."""
        limits = (RateLimit(name="tokens", limit=9, remaining=8, reset_seconds=2.0),)
        self.events += [judged(encode(told)) for told in self.responding.end(ending, limits)]
        assert self.events[-1]["type"] == "rate_limits.updated"
        response: dict[str, Any] = self.events[-2]["response"]
        return response

    def text(self) -> str:
        """All deltas of transcript or text."""
        deltas = ("response.output_text.delta", "response.output_audio_transcript.delta")
        return "".join(event["delta"] for event in self.events if event["type"] in deltas)


def begun(modality: Literal["text", "audio"] = "audio", items: Items | None = None, **more: Any) -> Told:
    """A response that has begun."""
    conversation_id = "conv_1" if items is not None else None
    wanted = Wanted(id="resp_1", modality=modality, conversation_id=conversation_id, **more)
    told = Told(Responding(wanted, items))
    told.events += [judged(encode(event)) for event in told.responding.begin()]
    return told


def segment(number: int, text: str) -> SegmentEvent:
    return SegmentEvent(turn_id=TURN, segment=number, text=text)


def call(name: str = "look", call_id: str = "call_1") -> ToolCallEvent:
    return ToolCallEvent(turn_id=TURN, call_id=call_id, name=name, arguments='{"a": 1}')


def test_a_spoken_response_writes_what_goes_to_the_voice_and_not_what_the_model_writes() -> None:
    told = begun(items=Items(), metadata={"a": "b"}, format=Pcmu(), voice="marin", max_output_tokens=5)
    assert told.take(Token(turn_id=TURN, text="1 apple")) == []
    assert told.take(segment(0, "One apple.")) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
    ]
    assert told.take(segment(1, "Two.")) == ["response.output_audio_transcript.delta"]
    assert told.take(sound(TURN)[0], payload=b"\0\0") == ["response.output_audio.delta"]
    assert told.take(Filler(turn_id=TURN, text="hmm")) == []
    response = told.end()
    assert told.text() == "One apple. Two."
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "One apple. Two."}]
    assert response["usage"]["input_token_details"]["cached_tokens"] == 2
    assert (response["metadata"], response["max_output_tokens"]) == ({"a": "b"}, 5)
    assert response["audio"] == {"output": {"format": {"type": "audio/pcmu"}, "voice": "marin"}}
    assert told.responding.end(COMPLETED) == [], "it ends once"


def test_a_filler_is_heard_and_not_written() -> None:
    told = begun()
    told.responding.expect(sound(TURN)[0])
    told.take(sound(TURN, segment=-1)[0], payload=b"\0\0")
    assert told.end()["output"][0]["content"] == [{"type": "output_audio", "transcript": ""}]
    assert "conversation.item.added" not in [event["type"] for event in told.events], "it is out of band"


def test_a_call_is_told_beside_what_is_still_being_said() -> None:
    items = Items()
    told = begun(items=items)
    told.take(segment(0, "One moment."))
    types = told.take(call(), call("see", "call_2"))
    assert types[:6] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    told.take(sound(TURN)[0], payload=b"\0\0")
    response = told.end()
    assert [item["type"] for item in response["output"]] == ["message", "function_call", "function_call"]
    assert [item["status"] for item in response["output"]] == ["completed"] * 3
    ready = [event for event in told.events if event["type"] == "response.function_call_arguments.done"]
    assert [(event["name"], event["output_index"]) for event in ready] == [("look", 1), ("see", 2)]
    assert told.responding.message_id == response["output"][0]["id"]


def test_a_call_alone_is_a_response_without_a_message() -> None:
    told = begun()
    told.take(call())
    assert [item["type"] for item in told.end()["output"]] == ["function_call"]
    assert told.responding.message_id is None


def test_a_message_that_nobody_was_told_of_is_in_no_conversation() -> None:
    items = Items()
    told = begun(items=items)
    told.responding.expect(segment(0, "One."))
    assert len(items) == 1
    assert told.end(Ending(status="cancelled", reason="turn_detected"))["output"] == []
    assert len(items) == 0
    aside = begun()
    aside.responding.expect(segment(0, "One."))
    assert aside.end()["output"] == []


def test_a_text_that_is_begun_anew_alike_goes_on_and_one_that_differs_is_another_message() -> None:
    told = begun("text", items=Items())
    told.responding.expect(Token(turn_id=TURN, text="It"))
    told.take(Token(turn_id=TURN, text="It is", at=0), Token(turn_id=TURN, text=" blue", at=5))
    assert told.take(Token(turn_id=TURN, text="", at=0)) == []
    assert told.take(Token(turn_id=TURN, text="It is", at=0)) == []
    told.take(Token(turn_id=TURN, text=" blue today.", at=5))
    assert told.text() == "It is blue today."
    told.take(Token(turn_id=TURN, text="No: red.", at=0))
    response = told.end()
    assert [(item["status"], item["content"][0]["text"]) for item in response["output"]] == [
        ("incomplete", "It is blue today."), ("completed", "No: red."),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.text("ab ", min_size=1, max_size=4), st.integers(0, 6)), max_size=12))
def test_whatever_is_taken_back_each_message_says_what_its_deltas_said(steps: list[tuple[str, int]]) -> None:
    told, text = begun("text"), ""
    for more, back in steps:
        at = max(0, len(text) - back)
        text = text[:at] + more
        told.take(Token(turn_id=TURN, text=more, at=at))
    said: dict[str, str] = {}
    for event in told.events:
        if event["type"] == "response.output_text.delta":
            said[event["item_id"]] = said.get(event["item_id"], "") + event["delta"]
    response = told.end()
    assert {item["id"]: item["content"][0]["text"] for item in response["output"]} == said
    if text and response["output"]:
        assert response["output"][-1]["content"][0]["text"].startswith(text)


def words(number: int, *spoken: tuple[int, int, float]) -> WordsEvent:
    times = [
        SpokenWord(text="", begin=begin, end=end, start_ms=0.0, end_ms=end_ms)
        for begin, end, end_ms in spoken
    ]
    return WordsEvent(turn_id=TURN, segment=number, words=times)


def test_where_the_client_cuts_the_sound_the_text_is_cut_at_the_word() -> None:
    items = Items()
    told = begun(items=items)
    assert told.take(words(0, (0, 3, 200.0))) == [], "there is nothing yet"
    told.take(segment(0, "One two."))
    told.take(words(0, (0, 3, 300.0), (4, 7, 600.0)), words(7, (0, 3, 1.0)))
    told.take(sound(TURN, 700)[0], payload=b"\0\0")
    told.take(segment(1, "Three four."), words(1, (0, 5, 1000.0), (6, 10, 1400.0)))
    told.take(sound(TURN, 800)[0], payload=b"\0\0")
    item_id = told.responding.message_id
    assert item_id is not None
    items.truncate(item_id, 0, 1100)
    told.end()
    (part,) = items.retrieve(item_id).content  # type: ignore[union-attr] # it is a message
    assert part.transcript == "One two. Three"  # type: ignore[union-attr] # it is spoken


@pytest.mark.parametrize(
    ("event", "cut", "expected"),
    [
        (done(TURN), None, ("completed", None, "")),
        (done(TURN), "turn_detected", ("cancelled", "turn_detected", "")),
        (done(TURN, is_cut_short=True), None, ("incomplete", "max_output_tokens", "")),
        ("speech", None, ("cancelled", "turn_detected", "")),
        ("client", None, ("cancelled", "client_cancelled", "")),
        ("message", None, ("cancelled", "client_cancelled", "")),
        ("closed", None, ("failed", None, "session_closed")),
        ("closed", "client_cancelled", ("cancelled", "client_cancelled", "")),
        (ErrorEvent(code="llm_slow", message="m", turn_id=TURN), None, ("failed", None, "llm_slow")),
        (
            ErrorEvent(code="llm_slow", message="m", turn_id=TURN),
            "client_cancelled",
            ("cancelled", "client_cancelled", ""),
        ),
    ],
)
def test_how_a_turn_ended_is_how_its_response_ended(
    event: Terminal | str, cut: Cut | None, expected: tuple[str, str | None, str]
) -> None:
    if isinstance(event, str):
        event = Interrupted(turn_id=TURN, reason=event, heard="", timeline=TIMELINE)  # type: ignore[arg-type]
    ending = ending_of(event, cut)
    assert (ending.status, ending.reason, ending.code) == expected
    told = begun()
    told.take(segment(0, "One."))
    response = told.end(ending)
    assert response["status"] == response["status_details"]["type"] == expected[0]
    assert response["output"][0]["status"] == ("completed" if expected[0] == "completed" else "incomplete")
    assert response["usage"]["total_tokens"] >= 0


@pytest.mark.parametrize(
    ("form", "rate_hz", "width"), [("pcm", 24000, 2), ("mulaw", 8000, 1), ("alaw", 8000, 1)]
)
def test_sound_leaves_in_pieces_of_a_tenth_of_a_second_and_nothing_of_it_is_lost(
    form: Any, rate_hz: int, width: int
) -> None:
    payload = bytes(range(256)) * 100
    payload = payload[: len(payload) // width * width]
    ms = 1000 * len(payload) / width / rate_hz
    event = AudioEvent(
        turn_id=TURN, segment=0, seq=0, format=form, rate_hz=rate_hz, duration_ms=ms, size_bytes=len(payload)
    )
    cut = pieces(event, payload)
    assert b"".join(part for _, part in cut) == payload
    assert sum(piece.duration_ms for piece, _ in cut) == pytest.approx(ms)
    assert all(piece.duration_ms <= 100.001 and piece.size_bytes == len(part) for piece, part in cut)
    assert all(len(part) % width == 0 for _, part in cut)
