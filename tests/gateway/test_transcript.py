from __future__ import annotations

import json

import pytest

from services.gateway.transcript import MIME, Told, render
from shared.messages import FileDone, FileSegment, Word

DONE = FileDone(
    segments=2, duration_ms=3_725_500, language="en", engine="whisper", device="cpu", model="tiny",
    decode_ms=12.3456, transcribe_ms=345.6,
)  # fmt: skip


def words(text: str, *, start_ms: int = 0, each_ms: int = 300, gap_ms: int = 100) -> list[Word]:
    step = each_ms + gap_ms
    return [
        Word(text=word, start_ms=start_ms + step * at, end_ms=start_ms + step * at + each_ms)
        for at, word in enumerate(text.split())
    ]


def told(*segments: FileSegment) -> Told:
    return Told(segments=segments, done=DONE, total_ms=400.0)


HELLO = FileSegment(index=0, start_ms=1500, end_ms=2100, text="Hello there.", words=words("Hello there."))
LATER = FileSegment(index=1, start_ms=3_723_004, end_ms=3_725_000, text="That --> was\n\nall & <b>.")
NOTHING = told()


def test_json_tells_text_times_engine_and_what_it_took() -> None:
    body = json.loads(render(told(HELLO, LATER), "json", has_words=False))
    assert body["text"] == "Hello there. That --> was\n\nall & <b>."
    assert (body["language"], body["duration_ms"], body["engine"], body["device"]) == (
        "en", 3_725_500, "whisper", "cpu",
    )  # fmt: skip
    assert (body["decode_ms"], body["transcribe_ms"], body["total_ms"]) == (12.346, 345.6, 400.0)
    assert [(one["start_ms"], one["end_ms"]) for one in body["segments"]] == [
        (1500, 2100),
        (3_723_004, 3_725_000),
    ]
    assert [one["words"] for one in body["segments"]] == [[], []]


def test_words_are_told_if_they_were_asked_for() -> None:
    body = json.loads(render(told(HELLO, LATER), "json", has_words=True))
    assert [word["text"] for word in body["segments"][0]["words"]] == ["Hello", "there."]
    assert body["segments"][0]["words"][1] == {
        "text": "there.", "start_ms": 400, "end_ms": 700, "probability": 0.0,
    }  # fmt: skip
    verbose = json.loads(render(told(HELLO, LATER), "verbose_json", has_words=True))
    assert verbose["words"] == [
        {"word": "Hello", "start": 0.0, "end": 0.3},
        {"word": "there.", "start": 0.4, "end": 0.7},
    ]


def test_verbose_json_counts_in_seconds() -> None:
    body = json.loads(render(told(HELLO, LATER), "verbose_json", has_words=False))
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "en", 3725.5)
    assert body["segments"][0] == {"id": 0, "start": 1.5, "end": 2.1, "text": "Hello there."}
    assert body["words"] == []


def test_text_is_the_text() -> None:
    assert render(told(HELLO), "text", has_words=True) == b"Hello there.\n"


def test_subtitles_have_numbers_and_clocks_and_what_is_said_cannot_break_them() -> None:
    assert render(told(HELLO, LATER), "srt", has_words=False).decode() == (
        "1\n00:00:00,000 --> 00:00:00,700\nHello there.\n\n"
        "2\n01:02:03,004 --> 01:02:05,000\nThat → was all & <b>.\n\n"
    )
    assert render(told(HELLO, LATER), "vtt", has_words=False).decode() == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:00.700\nHello there.\n\n"
        "2\n01:02:03.004 --> 01:02:05.000\nThat → was all &amp; &lt;b>.\n\n"
    )


def cues(segment: FileSegment) -> list[str]:
    body = render(told(segment), "srt", has_words=False).decode()
    return [block.split("\n", 2)[2] for block in body.strip().split("\n\n")]


def segment_of(said: list[Word]) -> FileSegment:
    text = " ".join(word.text for word in said)
    return FileSegment(index=0, start_ms=0, end_ms=said[-1].end_ms, text=text, words=said)


def test_a_subtitle_is_neither_too_long_nor_too_slow_nor_over_a_pause() -> None:
    many = segment_of(words("incomprehensibilities " * 10, each_ms=50, gap_ms=10))
    assert [len(cue.split()) for cue in cues(many)] == [3, 3, 3, 1]
    slow = segment_of(words("a b c d e f g h", each_ms=1500))
    assert [len(cue.split()) for cue in cues(slow)] == [3, 3, 2]
    apart = segment_of([*words("one two"), *words("three", start_ms=3000)])
    assert cues(apart) == ["one two", "three"]


@pytest.mark.parametrize("form", MIME)
def test_where_nobody_speaks_every_format_is_empty_and_whole(form: str) -> None:
    body = render(NOTHING, form, has_words=True)  # type: ignore[arg-type]
    if "json" in form:
        assert json.loads(body)["text"] == ""
    else:
        assert body.decode().strip() in {"", "WEBVTT"}
