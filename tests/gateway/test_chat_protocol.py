"""The wire format: whatever a client sends is a message or a ``BadInput``, never anything else."""

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.chat_protocol import (
    MAX_CONTROL_BYTES,
    AnyClientMessage,
    AudioIn,
    AudioOut,
    ClientMessage,
    EndOfSpeech,
    Format,
    Interrupt,
    Ping,
    Played,
    Pong,
    Start,
    Stop,
    UserText,
    encode_event,
    parse_client,
)
from shared.errors import BadInput

RATES = [8000, 16000, 22050, 24000, 32000, 44100, 48000]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
messages = st.one_of(
    st.builds(
        Start,
        session_id=st.none() | texts,
        voice=texts,
        language=texts,
        audio_in=st.none() | st.builds(AudioIn, rate_hz=st.sampled_from(RATES)),
        audio_out=st.none()
        | st.builds(AudioOut, format=st.sampled_from(get_args(Format)), rate_hz=st.sampled_from(RATES)),
        end_silence_ms=st.integers(100, 5000),
    ),
    st.builds(UserText, text=texts.filter(str.strip), voice=texts, include_audio=st.booleans()),
    st.builds(EndOfSpeech),
    st.builds(Interrupt, played_ms=st.none() | st.integers(0, 10**9)),
    st.builds(Played, turn_id=texts, ms=st.integers(0, 10**9)),
    st.builds(Ping, id=st.none() | texts | st.integers(-(2**63), 2**63 - 1)),
    st.builds(Stop),
)


@given(messages)
def test_every_message_is_read_back_as_it_was_written(message: AnyClientMessage) -> None:
    assert parse_client(msgspec.json.encode(message)) == message


@given(st.binary(max_size=200) | texts)
def test_garbage_is_bad_input_and_nothing_else(raw: bytes | str) -> None:
    with pytest.raises(BadInput):
        parse_client(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(["start", "message", "end_of_speech", "interrupt", "played", "ping", "stop", "x"]),
    st.dictionaries(
        st.sampled_from(
            ["text", "ms", "turn_id", "id", "audio_in", "audio_out", "session_id", "end_silence_ms"]
        ),
        json_values,
        max_size=4,
    ),
)
def test_any_json_is_a_message_or_bad_input(kind: str, fields: dict[str, object]) -> None:
    try:
        message = parse_client(json.dumps({"type": kind, **fields}))
    except BadInput:
        return
    assert isinstance(message, ClientMessage)


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        ("", None),
        ("[]", None),
        ("null", None),
        ("{}", None),
        ('{"type":"dance"}', "type"),
        ('{"type":"message"}', None),
        ('{"type":"message","text":7}', "text"),
        ('{"type":"message","text":"  \\n"}', "text"),
        ('{"type":"message","text":"\\ud800"}', None),
        ('{"type":"message","text":"' + "x" * 4097 + '"}', "text"),
        ('{"type":"start","audio_in":{"rate_hz":11025}}', "audio_in.rate_hz"),
        ('{"type":"start","audio_out":{"format":"midi"}}', "audio_out.format"),
        ('{"type":"start","end_silence_ms":0}', "end_silence_ms"),
        ('{"type":"start","turn_taking":{"min_silence_ms":50}}', "turn_taking"),
        ('{"type":"start","turn_taking":{"min_silence_ms":900,"max_silence_ms":800}}', "turn_taking"),
        ('{"type":"start","turn_taking":{"mode":"guess"}}', "turn_taking.mode"),
        ('{"type":"start","turn_taking":{"threshold":1.5}}', "turn_taking.threshold"),
        ('{"type":"start","barge_in":{"mode":"shout"}}', "barge_in.mode"),
        ('{"type":"start","barge_in":{"decide_ms":100}}', "barge_in.decide_ms"),
        ('{"type":"start","barge_in":{"min_speech_ms":-1}}', "barge_in.min_speech_ms"),
        ('{"type":"start","barge_in":{"min_words":0}}', "barge_in.min_words"),
        ('{"type":"start","has":{"turn_id":"t","ms":-1}}', "has.ms"),
        (f'{{"type":"start","has":{{"turn_id":"t","ms":1,"heard":"{"a" * 4097}"}}}}', "has.heard"),
        ('{"type":"played","turn_id":"t","ms":NaN}', None),
        ('{"type":"played","turn_id":"t","ms":1e999}', "ms"),
        ('{"type":"played","turn_id":"t","ms":-1}', "ms"),
        ('{"type":"interrupt","played_ms":-1}', "played_ms"),
        ('{"type":"ping","id":' + "9" * 10_000 + "}", "id"),
        ("[" * 60_000, None),
        ('{"type":"ping","x":' + '{"a":' * 12_000, None),
        ("x" * (MAX_CONTROL_BYTES + 1), None),
        (b'{"type":"message","text":"\xff\xfe"}', None),
    ],
)
def test_a_mistake_names_the_field_at_fault(raw: str | bytes, param: str | None) -> None:
    with pytest.raises(BadInput) as refused:
        parse_client(raw)
    assert refused.value.param == param
    assert refused.value.code == "invalid_request"


def test_fields_that_are_not_known_are_ignored() -> None:
    assert parse_client('{"type":"stop","because":"enough"}') == Stop()


def test_an_event_is_json_in_utf_8() -> None:
    assert encode_event(Pong(id="é")) == '{"type":"pong","id":"é"}'.encode()


def test_a_format_or_a_rate_that_is_not_possible_is_told_what_is() -> None:
    with pytest.raises(
        BadInput, match="possible are pcm, wav, mp3, opus, aac, flac, mulaw, alaw, opus_packets"
    ):
        parse_client('{"type":"start","audio_out":{"format":"midi"}}')
    with pytest.raises(BadInput, match="possible are 8000, 16000, 22050, 24000, 32000, 44100, 48000"):
        parse_client('{"type":"start","audio_out":{"rate_hz":11025}}')
    with pytest.raises(BadInput) as other:
        parse_client('{"type":"start","barge_in":{"mode":"never"}}')
    assert "possible" not in str(other.value)
