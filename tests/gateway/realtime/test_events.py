import functools
import json
from typing import Any, get_args

import msgspec
import openai.types.realtime as types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.gateway.realtime import events
from services.gateway.realtime.event_base import RealtimeEvent
from services.gateway.realtime.events import (
    AnyClientEvent,
    Append,
    AudioDelta,
    ErrorDetail,
    ErrorEvent,
    GivenMessage,
    ItemAdded,
    ItemCreate,
    ItemTruncate,
    RealtimeError,
    Response,
    ResponseCreate,
    ResponseDone,
    ResponseError,
    ResponseUsage,
    SessionUpdate,
    StatusDetails,
    encode,
    event_id_of,
    parse,
)
from services.gateway.realtime.item_types import InputAudio, InputText, MessageItem, OutputAudio, OutputText
from services.gateway.realtime.parsing import MAX_EVENT_BYTES
from services.gateway.realtime.session import as_wire, initial
from tests.gateway.realtime.strict import TYPES, judged

SERVER_EVENTS = sorted(
    (
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, RealtimeEvent) and kind is not RealtimeEvent
    ),
    key=lambda kind: kind.__name__,
)
NOT_SENT = {
    # of the beta, or of other transports
    *("conversation.item.created", "output_audio_buffer.started", "output_audio_buffer.stopped"),
    "input_audio_buffer.dtmf_event_received",
    # EVA tells no speakers apart, and runs MCP servers herself
    "conversation.item.input_audio_transcription.segment",
    *(name for name in TYPES if "mcp" in name),
}
SESSIONS = st.sampled_from(("realtime", "transcription")).map(
    lambda kind: as_wire(initial("sess_1", model="gpt-realtime", expires_at=1_800_000_000, kind=kind))
)
TEXTS = st.text(max_size=20)


PARTS = {
    "system": st.builds(InputText, text=TEXTS),
    "user": st.builds(InputText, text=TEXTS) | st.builds(InputAudio, transcript=st.none() | TEXTS),
    "assistant": st.builds(OutputText, text=TEXTS) | st.builds(OutputAudio, transcript=st.none() | TEXTS),
}
MESSAGES = st.sampled_from(sorted(PARTS)).flatmap(
    lambda role: st.builds(
        MessageItem,
        id=TEXTS,
        status=st.sampled_from(("completed", "incomplete", "in_progress")),
        role=st.just(role),
        content=st.lists(PARTS[role], max_size=2).map(tuple),
    )
)


@functools.cache
def made(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any event of a kind, out of the types of its fields."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(kind):
        fields[field.name] = SESSIONS if field.name == "session" else _of(field.type)
    return st.builds(kind, **fields)


@functools.cache
def _of(kind: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one a kind
    if kind is MessageItem:
        return MESSAGES
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return made(kind)
    arguments = get_args(kind)
    if kind is float:
        return st.floats(min_value=0, max_value=1e6)
    if kind is int:
        return st.integers(0, 2**31)
    if arguments and "tuple" in str(kind):
        return st.lists(_of(arguments[0]), max_size=3).map(tuple)
    if arguments and "Literal" not in str(type(kind)) and "Union" in str(type(kind)):
        return st.one_of([_of(argument) for argument in arguments])
    if kind is msgspec.UnsetType:
        return st.just(msgspec.UNSET)
    return st.from_type(kind)


@pytest.mark.parametrize("kind", SERVER_EVENTS, ids=lambda kind: kind.__struct_config__.tag or kind.__name__)
@settings(max_examples=10)
@given(data=st.data())
def test_every_event_that_is_sent_is_one_of_the_openai_package(kind: type[Any], data: st.DataObject) -> None:
    event = data.draw(made(kind))
    frame = judged(encode(event))
    assert frame["type"] == kind.__struct_config__.tag


def test_all_server_events_of_the_package_are_sent_or_are_left_out_for_a_reason() -> None:
    sent = {str(kind.__struct_config__.tag) for kind in SERVER_EVENTS}
    assert sent | NOT_SENT == TYPES
    assert not sent & NOT_SENT


def test_each_frame_has_an_event_id_of_its_own() -> None:
    event = events.BufferCleared()
    ids = {json.loads(encode(event))["event_id"] for _ in range(100)}
    assert len(ids) == 100


def test_sound_is_written_in_base64() -> None:
    event = AudioDelta(response_id="r", item_id="i", output_index=0, delta=b"\x00\x01\xff")
    assert judged(encode(event))["delta"] == "AAH/"


def test_a_spoken_item_without_a_transcript_says_so() -> None:
    item = MessageItem(id="item_1", role="user", content=(InputAudio(),))
    frame = judged(encode(ItemAdded(previous_item_id=None, item=item)))
    assert frame["previous_item_id"] is None
    assert frame["item"]["content"] == [{"type": "input_audio", "transcript": None}]


def test_a_failed_response_tells_why_and_what_it_used() -> None:
    response = Response(
        id="resp_1",
        status="failed",
        status_details=StatusDetails(
            type="failed", error=ResponseError(type="server_error", code="llm_unavailable")
        ),
        usage=ResponseUsage.of(input_tokens=10, cached_tokens=4, output_tokens=2),
    )
    told = judged(encode(ResponseDone(response=response)))["response"]
    assert told["status_details"]["error"] == {"type": "server_error", "code": "llm_unavailable"}
    assert told["usage"]["total_tokens"] == 12
    assert told["usage"]["input_token_details"]["cached_tokens"] == 4


CLIENT_EVENTS: list[dict[str, Any]] = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}},
    {"type": "session.update", "session": {"type": "transcription"}, "event_id": "e1"},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "output_audio_buffer.clear"},
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "id": "i",
            "object": "realtime.item",
            "status": "completed",
            "content": [{"type": "input_audio", "audio": "AAAA", "transcript": "Hi"}],
        },
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "c", "output": "4"},
    },
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 120},
    {"type": "response.create"},
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "output_modalities": ["text"],
            "instructions": "x",
            "metadata": {"a": "b"},
            "max_output_tokens": "inf",
            "tool_choice": {"type": "function", "name": "f"},
            "tools": [{"type": "function", "name": "f", "description": "", "parameters": {}}],
            "audio": {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}},
            "input": [{"type": "message", "role": "user", "content": []}],
        },
    },
    {"type": "response.cancel", "response_id": "r"},
    {"type": "response.cancel"},
]


@pytest.mark.parametrize("event", CLIENT_EVENTS, ids=lambda event: event["type"])
def test_what_the_openai_package_types_as_a_client_event_is_read(event: dict[str, Any]) -> None:
    TypeAdapter(types.RealtimeClientEventParam).validate_python(event)
    assert parse(json.dumps(event)).__struct_config__.tag == event["type"]
    assert parse(json.dumps(event).encode()) == parse(json.dumps(event))


def test_all_client_events_of_the_package_are_known() -> None:
    theirs = get_args(types.RealtimeClientEventParam)
    assert len(theirs) == len(get_args(AnyClientEvent)) == 11
    assert {event["type"] for event in CLIENT_EVENTS} == {
        kind.__struct_config__.tag for kind in get_args(AnyClientEvent)
    }


def test_null_is_as_if_the_field_were_absent() -> None:
    event = {"type": "response.create", "event_id": None, "response": {"instructions": None, "input": None}}
    parsed = parse(json.dumps(event))
    assert isinstance(parsed, ResponseCreate)
    assert parsed.response is not None
    assert (parsed.event_id, parsed.response.instructions, parsed.response.input) == (None, None, None)


def test_what_is_read_is_as_it_was_sent() -> None:
    assert parse('{"type": "input_audio_buffer.append", "audio": "AAH/"}') == Append(audio=b"\x00\x01\xff")
    assert parse('{"type": "session.update", "session": {"a": [1]}, "x": 1}') == SessionUpdate(
        session={"a": [1]}
    )
    truncate = (
        '{"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1.5}'
    )
    assert parse(truncate) == ItemTruncate(item_id="i", content_index=0, audio_end_ms=1.5)
    created = parse(json.dumps(CLIENT_EVENTS[6]))
    assert isinstance(created, ItemCreate)
    assert isinstance(created.item, GivenMessage)
    assert created.previous_item_id == "root"


DEEP = "[" * 100_000
MISTAKES = [
    ("{", "invalid_json", None, None),
    (DEEP, "missing_required_parameter", "type", None),
    ('{"type": "session.update", "session": {"a": ' + '{"a": ' * 100_000, "invalid_json", None, None),
    ("[]", "missing_required_parameter", "type", None),
    ('{"event_id": "e"}', "missing_required_parameter", "type", "e"),
    ('{"type": 3, "event_id": 4}', "invalid_type", "type", None),
    ('{"type": "hello", "event_id": "e"}', "invalid_value", "type", "e"),
    ('{"type": "transcription_session.update", "event_id": "e"}', "invalid_value", "type", "e"),
    ('{"type": "session.update", "event_id": "e"}', "missing_required_parameter", "session", "e"),
    ('{"type": "session.update", "session": []}', "invalid_type", "session", None),
    ('{"type": "input_audio_buffer.append", "audio": "%"}', "invalid_value", "audio", None),
    ('{"type": "input_audio_buffer.append", "audio": 3}', "invalid_type", "audio", None),
    (
        '{"type": "conversation.item.create", "item": {"type": "mcp_call"}}',
        "invalid_value",
        "item.type",
        None,
    ),
    ('{"type": "conversation.item.create", "item": {}}', "missing_required_parameter", "item.type", None),
    (
        '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [3]}}',
        "invalid_type",
        "item.content[0]",
        None,
    ),
    (
        '{"type": "response.create", "response": {"conversation": "mine"}}',
        "invalid_value",
        "response.conversation",
        None,
    ),
    (" " * (MAX_EVENT_BYTES + 1), "event_too_large", None, None),
]


@pytest.mark.parametrize(("frame", "code", "param", "event_id"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_told_with_its_code_its_place_and_the_event_that_it_is_in(
    frame: str, code: str, param: str | None, event_id: str | None
) -> None:
    with pytest.raises(RealtimeError) as raised:
        parse(frame)
    detail = raised.value.detail
    assert (detail.type, detail.code, detail.param, detail.event_id) == (
        "invalid_request_error",
        code,
        param,
        event_id,
    )
    judged(encode(ErrorEvent(error=detail)))


def test_who_speaks_the_beta_is_told_what_to_send() -> None:
    with pytest.raises(RealtimeError, match=r"session\.update with session\.type transcription"):
        parse('{"type": "transcription_session.update"}')


def test_an_error_names_the_event_that_it_is_about() -> None:
    error = RealtimeError("no", code="x")
    assert error.of("e2") == ErrorDetail(type="invalid_request_error", message="no", code="x", event_id="e2")
    assert error.of(None).event_id is None
    assert event_id_of('{"event_id": "e3"}') == "e3"
    assert event_id_of(b"\xff") == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELDS = sorted({"type", "event_id", *(field for event in CLIENT_EVENTS for field in event)})


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_bytes_do_more_than_be_refused(frame: bytes | str) -> None:
    _only_refused(frame)


@given(
    st.sampled_from([event["type"] for event in CLIENT_EVENTS]),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
)
def test_no_json_does_more_than_be_refused(kind: str, fields: dict[str, Any]) -> None:
    _only_refused(json.dumps({**fields, "type": kind}))


@given(st.sampled_from(CLIENT_EVENTS), st.data())
def test_no_event_with_one_value_changed_does_more_than_be_refused(
    event: dict[str, Any], data: st.DataObject
) -> None:
    event = json.loads(json.dumps(event))
    at = event
    while True:
        key = data.draw(st.sampled_from(sorted(at)))
        if not isinstance(at[key], dict) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(JSON)
    _only_refused(json.dumps(event))


def _only_refused(frame: bytes | str) -> None:
    try:
        parse(frame)
    except RealtimeError as error:
        judged(encode(ErrorEvent(error=error.detail)))
