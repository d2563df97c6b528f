"""Transcripts as OpenAI's clients expect them, as a whole and as server-sent events. Pure.

What an engine of EVA's does not tell has the value that says least: no token ids, a temperature and a
probability of silence of 0. The compression ratio is computed as Whisper computes it (bytes of the text by
bytes of it behind zlib); the mean log probability is that of the words, where they are told.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Literal

import msgspec

from services.gateway.transcript import MIME, ResponseFormat, Told, render
from shared.messages import FileSegment

Granularity = Literal["word", "segment"]
IN_TOKENS_PER_S, OUT_CHARS_PER_TOKEN = 10, 4
"""OpenAI counts 10 tokens for a second of heard sound; four letters a token is an estimate."""
LANGUAGES = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "fi": "finnish", "fr": "french", "he": "hebrew", "hi": "hindi", "hu": "hungarian",
    "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch", "no": "norwegian", "pl": "polish",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish",
    "uk": "ukrainian", "zh": "chinese",
}  # fmt: skip
"""As Whisper names them; another language is told by its code."""


class UsageSeconds(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="duration"):
    """What a transcript took."""

    seconds: float


class UsageTokens(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tokens"):
    """The same in tokens: an estimate."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The answer with ``response_format=json``."""

    text: str
    usage: UsageSeconds


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech; seconds."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class TimedWord(msgspec.Struct, frozen=True, kw_only=True):
    """One word; seconds."""

    word: str
    start: float
    end: float


class VerboseTranscript(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer with ``response_format=verbose_json``."""

    task: Literal["transcribe"]
    language: str
    duration: float
    """Seconds."""
    text: str
    segments: list[Segment] | None = None
    words: list[TimedWord] | None = None
    usage: UsageSeconds


class TextDelta(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.text.delta"):
    """More of the text."""

    delta: str


class TextDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.text.done"):
    """All of the text."""

    text: str
    usage: UsageTokens


def body_of(told: Told, form: ResponseFormat, granularities: frozenset[Granularity]) -> tuple[bytes, str]:
    """Returns the body of the answer and its media type."""
    match form:
        case "json":
            body = msgspec.json.encode(Transcript(text=told.text, usage=_seconds(told)))
        case "verbose_json":
            body = msgspec.json.encode(_verbose(told, granularities or frozenset({"segment"})))
        case _:
            body = render(told, form, has_words=True)
    return body, MIME[form]


def delta_of(segment: FileSegment) -> TextDelta:
    """Returns what a segment adds to the text."""
    return TextDelta(delta=f" {segment.text}" if segment.index else segment.text)


def done_of(told: Told) -> TextDone:
    """Returns the end of a stream."""
    heard = math.ceil(told.done.duration_ms / 1000 * IN_TOKENS_PER_S)
    written = math.ceil(len(told.text) / OUT_CHARS_PER_TOKEN)
    usage = UsageTokens(input_tokens=heard, output_tokens=written, total_tokens=heard + written)
    return TextDone(text=told.text, usage=usage)


def _seconds(told: Told) -> UsageSeconds:
    return UsageSeconds(seconds=told.done.duration_ms / 1000)


def _verbose(told: Told, granularities: frozenset[Granularity]) -> VerboseTranscript:
    done = told.done
    return VerboseTranscript(
        task="transcribe",
        language=LANGUAGES.get(done.language, done.language),
        duration=done.duration_ms / 1000,
        text=told.text,
        segments=[_segment(segment) for segment in told.segments] if "segment" in granularities else None,
        words=list(_words(told)) if "word" in granularities else None,
        usage=_seconds(told),
    )


def _segment(segment: FileSegment) -> Segment:
    text = segment.text.encode()
    logs = [math.log(word.probability) for word in segment.words if word.probability > 0]
    return Segment(
        id=segment.index,
        seek=segment.start_ms // 10,
        start=segment.start_ms / 1000,
        end=segment.end_ms / 1000,
        text=segment.text,
        tokens=[],
        temperature=0.0,
        avg_logprob=round(sum(logs) / len(logs), 4) if logs else 0.0,
        compression_ratio=round(len(text) / len(zlib.compress(text)), 4),
        no_speech_prob=0.0,
    )


def _words(told: Told) -> Iterator[TimedWord]:
    for segment in told.segments:
        for word in segment.words:
            yield TimedWord(word=word.text.strip(), start=word.start_ms / 1000, end=word.end_ms / 1000)
