"""What ``POST /stt`` answers, in the formats that people expect. Pure.

Subtitles are cut by the words' times where the engine tells them, and by segments where it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from shared.messages import FileDone, FileSegment, Word

ResponseFormat = Literal["json", "verbose_json", "text", "srt", "vtt"]
MIME: dict[ResponseFormat, str] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
CUE_CHARS = 84
"""Two lines of subtitles."""
CUE_MS = 6000
CUE_GAP_MS = 700
"""A pause between words that begins a new subtitle."""


class TranscriptWord(msgspec.Struct, frozen=True, kw_only=True):
    """One word; times from the beginning of the recording."""

    text: str
    start_ms: int
    end_ms: int
    probability: float
    """0: the engine does not say."""


class TranscriptSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech."""

    start_ms: int
    end_ms: int
    text: str
    words: list[TranscriptWord] = []
    """If they were asked for and the engine can tell."""


class Transcription(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``POST /stt``."""

    text: str
    """Empty: nobody speaks in this recording."""
    language: str
    """ISO 639-1; empty: unknown."""
    duration_ms: int
    segments: list[TranscriptSegment]
    engine: str
    model: str
    device: str
    """Really in use."""
    is_degraded: bool
    decode_ms: float
    """Wall time of unpacking the recording."""
    transcribe_ms: float
    """Wall time of the engine's calls, waiting for their turn included."""
    total_ms: float
    """From the last byte of the request to the answer."""


class VerboseSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech; seconds."""

    id: int
    start: float
    end: float
    text: str


class VerboseWord(msgspec.Struct, frozen=True, kw_only=True):
    """One word; seconds."""

    word: str
    start: float
    end: float


class VerboseTranscription(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``POST /stt`` with ``response_format=verbose_json``: the shape that many clients know."""

    task: str = "transcribe"
    language: str
    duration: float
    """Seconds."""
    text: str
    segments: list[VerboseSegment]
    words: list[VerboseWord]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a worker told of a recording."""

    segments: Sequence[FileSegment]
    done: FileDone
    total_ms: float

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(segment.text for segment in self.segments)


def render(told: Told, form: ResponseFormat, *, has_words: bool) -> bytes:
    """Returns the body of the answer."""
    match form:
        case "json":
            return msgspec.json.encode(_plain(told, has_words=has_words))
        case "verbose_json":
            return msgspec.json.encode(_verbose(told, has_words=has_words))
        case "text":
            return f"{told.text}\n".encode()
        case "srt":
            return _subtitles(told, ",").encode()
        case _:  # vtt
            return f"WEBVTT\n\n{_escaped(_subtitles(told, '.'))}".encode()


def _plain(told: Told, *, has_words: bool) -> Transcription:
    done = told.done
    return Transcription(
        text=told.text,
        language=done.language,
        duration_ms=done.duration_ms,
        segments=[
            TranscriptSegment(
                start_ms=segment.start_ms,
                end_ms=segment.end_ms,
                text=segment.text,
                words=[_word(word) for word in segment.words if has_words],
            )
            for segment in told.segments
        ],
        engine=done.engine,
        model=done.model,
        device=done.device,
        is_degraded=done.is_degraded,
        decode_ms=round(done.decode_ms, 3),
        transcribe_ms=round(done.transcribe_ms, 3),
        total_ms=round(told.total_ms, 3),
    )


def _word(word: Word) -> TranscriptWord:
    return TranscriptWord(
        text=word.text, start_ms=word.start_ms, end_ms=word.end_ms, probability=word.probability
    )


def _verbose(told: Told, *, has_words: bool) -> VerboseTranscription:
    return VerboseTranscription(
        language=told.done.language,
        duration=told.done.duration_ms / 1000,
        text=told.text,
        segments=[
            VerboseSegment(
                id=number, start=segment.start_ms / 1000, end=segment.end_ms / 1000, text=segment.text
            )
            for number, segment in enumerate(told.segments)
        ],
        words=[
            VerboseWord(word=word.text, start=word.start_ms / 1000, end=word.end_ms / 1000)
            for segment in told.segments
            for word in segment.words
            if has_words
        ],
    )


def _subtitles(told: Told, comma: str) -> str:
    cues = [cue for segment in told.segments for cue in _cues(segment)]
    return "".join(
        f"{number}\n{_clock(start, comma)} --> {_clock(end, comma)}\n{_cue_text(text)}\n\n"
        for number, (start, end, text) in enumerate(cues, start=1)
    )


def _cues(segment: FileSegment) -> Iterator[tuple[int, int, str]]:
    """Yields start, end and text of each subtitle of a segment."""
    if not segment.words:
        yield segment.start_ms, segment.end_ms, segment.text
        return
    cue = [segment.words[0]]
    for word in segment.words[1:]:
        is_full = len(_joined([*cue, word])) > CUE_CHARS or word.end_ms - cue[0].start_ms > CUE_MS
        if is_full or word.start_ms - cue[-1].end_ms > CUE_GAP_MS:
            yield cue[0].start_ms, cue[-1].end_ms, _joined(cue)
            cue = []
        cue.append(word)
    yield cue[0].start_ms, cue[-1].end_ms, _joined(cue)


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word.text.strip() for word in words)


def _cue_text(text: str) -> str:
    """What is said must not look like the end of a subtitle, nor like the arrow between its times."""
    return " ".join(text.split()).replace("-->", "→")


def _escaped(text: str) -> str:
    """As WebVTT wants it; the arrows between times stay."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _clock(milliseconds: int, comma: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{comma}{rest:03}"
