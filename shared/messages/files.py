"""A recording to be transcribed, by the workers that listen."""

from __future__ import annotations

from shared.messages.base import Message
from shared.messages.ears import Word


class OpenFile(Message, frozen=True, kw_only=True, tag="file.open"):
    """Request on ``STT_OPEN``: transcribe a file. ``EarsClaimed`` or ``EarsRefused`` answers.

    The file's bytes follow as ``FileChunk`` requests on ``subjects.mic(worker, sid)`` plus ``.file``;
    the transcript comes as ``FileSegment`` events and ends with ``FileDone`` or ``FileFailed``.
    """

    gw: str
    sid: str
    language: str | None = None
    has_words: bool = False
    """Whether times of words are wanted."""


class FileChunk(Message, frozen=True, kw_only=True, tag="file.chunk"):
    """Some of the file as the client sent it, any container; request, answered by ``FileTaken``."""

    sid: str
    seq: int
    """Counts from 0."""
    data: bytes
    is_last: bool = False


class FileTaken(Message, frozen=True, kw_only=True, tag="file.taken"):
    """The chunk is there; ``next_seq`` is the one that is to follow."""

    next_seq: int


class FileProgress(Message, frozen=True, kw_only=True, tag="file.progress"):
    """Every 500 ms while the file is at work: the worker lives."""

    done_ms: int


class FileSegment(Message, frozen=True, kw_only=True, tag="file.segment"):
    """A stretch of speech."""

    index: int
    start_ms: int
    end_ms: int
    text: str
    words: list[Word] = []


class FileDone(Message, frozen=True, kw_only=True, tag="file.done"):
    """All segments were sent."""

    segments: int
    duration_ms: int
    language: str = ""
    engine: str = ""
    device: str = ""
    model: str = ""
    is_degraded: bool = False
    decode_ms: float = 0.0
    """Wall time of unpacking the container."""
    transcribe_ms: float = 0.0


class FileFailed(Message, frozen=True, kw_only=True, tag="file.failed"):
    """No transcript; ``code`` as ``EarsFailed``, or ``unreadable_audio``, ``too_long``, ``lost``."""

    code: str
    message: str
