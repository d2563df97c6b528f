"""The wire: golden bytes of every message, and what happens to bytes that are none."""

from __future__ import annotations

import contextlib
import types
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import messages
from shared.errors import MalformedMessage
from shared.messages import AnyMessage, Message, decode, encode
from tests.shared.golden_messages import EARLIER, GOLDEN

KINDS: tuple[type[Message], ...] = typing.get_args(AnyMessage)


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_message_has_the_bytes_that_it_always_had(message: Message, golden: str) -> None:
    assert encode(message).hex() == golden
    assert decode(bytes.fromhex(golden)) == message


@pytest.mark.parametrize(("message", "golden"), EARLIER, ids=lambda value: type(value).__name__)
def test_what_an_earlier_process_sent_is_understood(message: Message, golden: str) -> None:
    assert decode(bytes.fromhex(golden)) == message


def test_every_message_has_golden_bytes() -> None:
    assert {type(message) for message, _ in GOLDEN} == set(KINDS)


def test_every_message_of_the_module_can_be_decoded() -> None:
    defined = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
    }
    assert defined == set(KINDS)


def values_of(annotation: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one return for each kind of field
    """Returns any value that the wire can carry for a field."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is int:
        return st.integers(-(2**63), 2**63 - 1)
    if annotation is Any:
        return st.none() | st.booleans() | st.text(max_size=5)
    if annotation is float:
        return st.floats(allow_nan=False)
    if origin is list:
        return st.lists(values_of(inner[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values_of(inner[0]), values_of(inner[1]), max_size=3)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of([values_of(one) for one in inner])
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        fields = msgspec.structs.fields(annotation)
        return st.builds(annotation, **{field.name: values_of(field.type) for field in fields})
    return st.from_type(annotation)


@given(st.one_of([values_of(kind) for kind in KINDS]))
def test_what_is_encoded_is_what_is_decoded(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_malformed(garbage: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        assert isinstance(decode(garbage), KINDS)


@given(st.sampled_from([golden for _, golden in GOLDEN]), st.data())
def test_a_damaged_message_is_a_message_or_malformed(golden: str, data: st.DataObject) -> None:
    damaged = bytearray.fromhex(golden)
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for payload in (bytes(damaged), bytes(damaged[:cut])):
        with contextlib.suppress(MalformedMessage):
            assert isinstance(decode(payload), KINDS)


def test_bytes_nested_without_end_are_malformed() -> None:
    with pytest.raises(MalformedMessage):
        decode(b"\x91" * 100_000)
    with pytest.raises(MalformedMessage):
        decode(b"\x82\xa4type\xa6cancel\xa1x" + b"\x91" * 100_000 + b"\xc0")


def test_text_that_is_no_utf_8_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        decode(b"\x83\xa4type\xa6cancel\xa3sid\xa2\xff\xfe\xa4turn\x01")


def test_a_field_of_a_newer_process_is_ignored() -> None:
    payload = msgspec.msgpack.encode(
        {"type": "cancel", "sid": "s", "turn": 1, "why": {"new": [1, 2.5, None]}}
    )
    assert decode(payload) == messages.Cancel(sid="s", turn=1)


def test_a_message_without_a_required_field_or_of_an_unknown_type_is_malformed() -> None:
    for content in ({"type": "cancel", "sid": "s"}, {"type": "hello"}, {"sid": "s"}, [], 1, None):
        with pytest.raises(MalformedMessage):
            decode(msgspec.msgpack.encode(content))


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        messages.Cancel(sid="s", turn=1).turn = 2  # type: ignore[misc]
