"""Transcripts as the ``openai`` package's types have them."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
)

from services.gateway.openai_transcript import body_of, delta_of, done_of
from services.gateway.transcript import Told
from shared.messages import FileDone, FileSegment, Word

SEGMENTS = [
    FileSegment(
        index=0, start_ms=100, end_ms=900, text="Hello there.",
        words=[
            Word(text=" Hello", start_ms=100, end_ms=400, probability=0.5),
            Word(text="there.", start_ms=450, end_ms=900, probability=0.25),
        ],
    ),
    FileSegment(index=1, start_ms=2000, end_ms=2500, text="Bye."),
]  # fmt: skip
TOLD = Told(segments=SEGMENTS, done=FileDone(segments=2, duration_ms=3450, language="en"), total_ms=10)
SILENT = Told(segments=[], done=FileDone(segments=0, duration_ms=900, language="tlh"), total_ms=10)


def told(form: Any, *granularities: Any, of: Told = TOLD) -> Any:
    body, mime = body_of(of, form, frozenset(granularities))
    assert mime == "application/json"
    return json.loads(body)


def test_the_text_has_its_seconds_beside_it() -> None:
    answer = Transcription.model_validate(told("json"), strict=True)
    assert answer.text == "Hello there. Bye."
    assert answer.usage is not None
    assert answer.usage.model_dump() == {"type": "duration", "seconds": 3.45}


@pytest.mark.parametrize(
    ("granularities", "has_segments", "has_words"),
    [
        ((), True, False),
        (("segment",), True, False),
        (("word",), False, True),
        (("word", "segment"), True, True),
    ],
)
def test_the_times_are_those_that_were_asked_for(
    granularities: tuple[str, ...], *, has_segments: bool, has_words: bool
) -> None:
    body = told("verbose_json", *granularities)
    answer = TranscriptionVerbose.model_validate(body, strict=True)
    assert ("segments" in body, "words" in body) == (has_segments, has_words)
    assert (body["task"], answer.language, answer.duration) == ("transcribe", "english", 3.45)
    if answer.words is not None:
        assert answer.words[0].model_dump() == {"word": "Hello", "start": 0.1, "end": 0.4}
    if answer.segments is not None:
        first, second = answer.segments
        assert (first.id, first.seek, first.start, first.end, first.text) == (0, 10, 0.1, 0.9, "Hello there.")
        assert first.avg_logprob == pytest.approx((math.log(0.5) + math.log(0.25)) / 2, abs=1e-4)
        assert 0 < first.compression_ratio < 1
        assert second.avg_logprob == 0


def test_a_language_without_a_name_is_told_by_its_code_and_silence_is_an_empty_text() -> None:
    answer = told("verbose_json", "word", "segment", of=SILENT)
    assert (answer["language"], answer["text"], answer["segments"], answer["words"]) == ("tlh", "", [], [])


def test_subtitles_and_plain_text_are_as_ever() -> None:
    assert body_of(TOLD, "text", frozenset())[0] == b"Hello there. Bye.\n"
    assert body_of(TOLD, "vtt", frozenset())[0].startswith(b"WEBVTT")
    assert body_of(TOLD, "srt", frozenset())[1].startswith("application/x-subrip")


def test_the_pieces_of_a_stream_make_up_its_text() -> None:
    deltas = [
        TranscriptionTextDeltaEvent.model_validate(msgspec.to_builtins(delta_of(segment)), strict=True)
        for segment in SEGMENTS
    ]
    end = TranscriptionTextDoneEvent.model_validate(msgspec.to_builtins(done_of(TOLD)), strict=True)
    assert "".join(delta.delta for delta in deltas) == end.text == "Hello there. Bye."
    assert end.usage is not None
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.total_tokens) == (35, 5, 40)
