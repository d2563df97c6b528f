"""Ids that hold the words of a spoken answer."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.openai_audio_ids import MAX_ID_CHARS, MAX_TEXT_BYTES, new_id, transcript_of
from shared.errors import BadInput


@given(st.text(max_size=4000))
def test_an_id_tells_its_words_at_any_gateway(text: str) -> None:
    assert transcript_of(new_id(text, 2000), 1999.9, param="p") == text


def test_it_can_be_used_until_it_expires() -> None:
    with pytest.raises(BadInput, match="too old") as caught:
        transcript_of(new_id("Hello", 2000), 2000.1, param="messages[1].audio.id")
    assert caught.value.param == "messages[1].audio.id"


def packed(data: bytes) -> str:
    return "audio_" + base64.urlsafe_b64encode(data).decode()


BAD = [
    *(
        "",
        "audio_",
        "audio_x",
        "audio_%%%",
        "other",
        new_id("Hello", 2000)[:-6],
        "audio_" + "A" * MAX_ID_CHARS,
    ),
    packed(bytes(8) + b"not packed"),
    packed(bytes(8) + zlib.compress(b"\xff\xfe")[:-1]),
    packed(bytes(8) + zlib.compress(bytes(MAX_TEXT_BYTES + 1))),
]


@pytest.mark.parametrize("audio_id", BAD)
def test_what_is_no_id_is_refused_and_never_unpacked_beyond_all_bounds(audio_id: str) -> None:
    with pytest.raises(BadInput, match="no id"):
        transcript_of(audio_id, 0, param="p")


@given(st.text(max_size=60))
def test_nothing_but_a_typed_error_comes_of_any_text(text: str) -> None:
    with pytest.raises(BadInput):
        transcript_of("audio_" + text, 0, param="p")
