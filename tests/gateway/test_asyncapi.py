"""docs/asyncapi.yaml and the code say the same: every message, field, type, requirement and choice."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from services.gateway import chat_protocol
from services.gateway.chat_protocol import (
    MAX_FRAME_BYTES,
    MAX_TEXT_CHARS,
    ClientMessage,
    ServerEvent,
    encode_event,
    parse_client,
)
from shared.errors import BadInput

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "docs" / "asyncapi.yaml").read_text(encoding="utf-8")
)
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
BINARY = {"microphone", "sound"}
WORDS = {"title", "description"}
LIMITS = {"minimum", "maximum", "minLength", "maxLength", "maxItems", "pattern"}
"""Checked by ``parse_client`` beyond the types; tried below."""


def structs(base: type) -> dict[str, type]:
    found = [
        kind for kind in vars(chat_protocol).values() if isinstance(kind, type) and issubclass(kind, base)
    ]
    return {kind.__struct_config__.tag: kind for kind in found if kind is not base}


CLIENT, SERVER = structs(ClientMessage), structs(ServerEvent)


def bare(schema: Any, *, within: str = "") -> Any:
    """The schema without its words, and without limits that types cannot say."""
    if isinstance(schema, list):
        return [bare(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = set() if within == "properties" else WORDS | LIMITS
    return {key: bare(value, within=key) for key, value in schema.items() if key not in dropped}


@pytest.mark.parametrize("kind", [*CLIENT.values(), *SERVER.values()], ids=lambda kind: kind.__name__)
def test_the_document_describes_every_field_of_a_message_as_the_code_has_it(kind: type) -> None:
    _, wanted = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    assert {name: bare(SCHEMAS[name]) for name in wanted} == bare(wanted, within="properties")


@pytest.mark.parametrize("name", [name for name in SCHEMAS if "properties" in SCHEMAS[name]])
def test_a_schema_has_a_description(name: str) -> None:
    assert SCHEMAS[name]["description"]


def test_the_document_has_the_messages_of_the_code_and_no_others() -> None:
    assert set(MESSAGES) == set(CLIENT) | set(SERVER) | BINARY
    channel = DOCUMENT["channels"]["chat"]
    assert channel["address"] == "/ws/chat"
    assert set(channel["messages"]) == set(MESSAGES)
    for name, message in channel["messages"].items():
        assert message == {"$ref": f"#/components/messages/{name}"}


@pytest.mark.parametrize(
    ("operation", "action", "names"),
    [("fromClient", "receive", {*CLIENT, "microphone"}), ("toClient", "send", {*SERVER, "sound"})],
)
def test_the_operations_say_who_sends_what(operation: str, action: str, names: set[str]) -> None:
    described = DOCUMENT["operations"][operation]
    assert described["action"] == action
    assert {message["$ref"].rpartition("/")[2] for message in described["messages"]} == names


@pytest.mark.parametrize("name", sorted({*CLIENT, *SERVER}))
def test_the_examples_are_messages_of_the_code_and_fit_their_schema(name: str) -> None:
    kind = {**CLIENT, **SERVER}[name]
    message = MESSAGES[name]
    assert message["payload"] == {"$ref": f"#/components/schemas/{kind.__name__}"}
    validator = Draft202012Validator({**message["payload"], "components": DOCUMENT["components"]})
    for example in message["examples"]:
        validator.validate(example["payload"])
        raw = msgspec.json.encode(example["payload"])
        if name in CLIENT:
            assert type(parse_client(raw)) is kind
        else:
            event = msgspec.json.decode(raw, type=kind)
            validator.validate(msgspec.json.decode(encode_event(event)))


@pytest.mark.parametrize(
    ("schema", "field", "limit", "message"),
    [
        ("UserText", "text", "minLength", {"type": "message", "text": ""}),
        ("UserText", "text", "maxLength", {"type": "message", "text": "x" * (MAX_TEXT_CHARS + 1)}),
        ("Start", "persona", "maxLength", {"type": "start", "persona": "x" * (MAX_TEXT_CHARS + 1)}),
        ("Start", "end_silence_ms", "minimum", {"type": "start", "end_silence_ms": 99}),
        ("Start", "end_silence_ms", "maximum", {"type": "start", "end_silence_ms": 5001}),
        ("Played", "ms", "minimum", {"type": "played", "turn_id": "t", "ms": -1}),
    ],
)
def test_a_limit_of_the_document_is_kept_by_the_code(
    schema: str, field: str, limit: str, message: Any
) -> None:
    limits = SCHEMAS[schema]["properties"][field]
    assert limit in limits
    with pytest.raises(BadInput) as refused:
        parse_client(msgspec.json.encode(message))
    assert refused.value.param == field
    value = limits[limit]
    at_the_limit = {**message, field: "x" * value if limit.endswith("Length") else value}
    parse_client(msgspec.json.encode(at_the_limit))


def test_the_document_knows_how_long_a_frame_may_be() -> None:
    assert SCHEMAS["MicrophoneFrame"]["maxLength"] == MAX_FRAME_BYTES


NESTED = [
    ("turn_taking", "TurnTaking", {"min_silence_ms": 100, "max_silence_ms": 5000}),
    ("barge_in", "BargeIn", {}),
]


@pytest.mark.parametrize(
    ("place", "schema", "field", "limit", "around"),
    [
        (place, schema, field, limit, around)
        for place, schema, around in NESTED
        for field, described in SCHEMAS[schema]["properties"].items()
        for limit in sorted(LIMITS & set(described))
    ],
)
def test_a_limit_of_the_settings_is_kept_by_the_code(
    place: str, schema: str, field: str, limit: str, around: dict[str, int]
) -> None:
    value = SCHEMAS[schema]["properties"][field][limit]
    step = (0.01 if isinstance(value, float) else 1) * (-1 if limit == "minimum" else 1)
    with pytest.raises(BadInput) as refused:
        parse_client(msgspec.json.encode({"type": "start", place: {**around, field: round(value + step, 2)}}))
    assert (refused.value.param or "").startswith(place)
    parse_client(msgspec.json.encode({"type": "start", place: {**around, field: value}}))


def test_every_number_of_the_settings_has_its_limits_in_the_document() -> None:
    for _, schema, _ in NESTED:
        for field, described in SCHEMAS[schema]["properties"].items():
            if described.get("type") in {"integer", "number"}:
                assert {"minimum", "maximum"} <= set(described), field


def test_the_limits_of_tools_are_kept_by_the_code() -> None:
    most = SCHEMAS["Start"]["properties"]["tools"]["maxItems"]
    tools = [{"name": f"tool-{number}"} for number in range(most + 1)]
    parse_client(msgspec.json.encode({"type": "start", "tools": tools[:most]}))
    with pytest.raises(BadInput, match="tools"):
        parse_client(msgspec.json.encode({"type": "start", "tools": tools}))


@pytest.mark.parametrize("name", ["", "x", "x" * 64, "x" * 65, "lights_on-2", "lights on", "été"])
def test_the_name_of_a_tool_fits_the_document_where_the_code_takes_it(name: str) -> None:
    asked = msgspec.json.encode({"type": "start", "tools": [{"name": name}]})
    if Draft202012Validator(SCHEMAS["Tool"]).is_valid({"name": name}):
        parse_client(asked)
        return
    with pytest.raises(BadInput) as refused:
        parse_client(asked)
    assert refused.value.param == "tools[0].name"
