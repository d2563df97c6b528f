"""Live listening: a gateway claims a worker, sends frames, and is told what was heard."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.messages.base import Message

TurnDetection = Literal["auto", "silence", "manual"]
"""Who decides that the person's turn is over: silence, text and models together; silence alone, of a fixed
length; the client alone (``EndUtterance``)."""
EndedBy = Literal["silence", "text", "model", "manual", "limit"]
"""``limit``: the longest silence or utterance that is waited for."""


class OpenEars(Message, frozen=True, kw_only=True, tag="ears.open"):
    """Request on ``STT_OPEN``: take this session's microphone. ``EarsClaimed`` or ``EarsRefused`` answers."""

    gw: str
    sid: str
    lease: int = 1
    """Counts the claims of one session; events of an older lease are ignored."""
    rate_hz: int = 16000
    """Of the frames that will come; the worker resamples."""
    language: str | None = None
    """ISO 639-1, or None: as the worker detects."""
    end_silence_ms: int = 500
    """Trailing silence, in audio time, that ends an utterance; where ``turn_detection`` is ``auto``, what the
    adapting begins with."""
    turn_detection: TurnDetection = "auto"
    min_silence_ms: int = 300
    max_silence_ms: int = 1200
    """Bounds of what ``auto`` may wait."""
    onset: float = 0.5
    """Speech probability of a frame that may begin speech."""
    pace_ms: float = 0.0
    """What an earlier lease has learnt of this person's pauses (``Final.pace_ms``); 0: nothing."""
    prefix: str = ""
    """What an earlier lease has already settled of the utterance in flight; its final begins with it."""
    is_midway: bool = False
    """The frames that will come begin within an utterance: it is in flight from the first sample on."""


class EarsClaimed(Message, frozen=True, kw_only=True, tag="ears.claimed"):
    """The worker has reserved a slot and listens on ``subjects.mic(worker, sid)``."""

    worker: str
    engine: str
    device: str
    model: str = ""
    is_degraded: bool = False
    languages: list[str] = []
    """Languages it can transcribe; empty: any."""


class EarsRefused(Message, frozen=True, kw_only=True, tag="ears.refused"):
    """The worker that took the request has no room after all."""

    code: str
    message: str
    retry_after_ms: int = 1000


class MicFrame(Message, frozen=True, kw_only=True, gc=False, tag="mic.frame"):
    """Signed 16-bit little-endian mono PCM at the lease's rate; usually 20 ms."""

    sid: str
    seq: int
    """Counts from 0 within the session, across leases; a gap means loss."""
    pcm: bytes


class EndUtterance(Message, frozen=True, kw_only=True, tag="mic.end"):
    """The client says that the utterance is over (push to talk); no silence is waited for."""

    sid: str
    is_discarded: bool = False
    """What was said is of no interest: where nothing is in flight no final answers this."""


class CloseEars(Message, frozen=True, kw_only=True, tag="mic.close"):
    """The session needs its ears no longer."""

    sid: str


class EarsAlive(Message, frozen=True, kw_only=True, tag="ears.alive"):
    """Every 500 ms, from the worker that holds the lease."""

    lease: int
    worker: str
    next_seq: int
    """The first frame not seen yet."""
    needed_seq: int
    """The first frame that another worker would need to hear the utterance in flight completely."""
    settled: int = 0
    """Characters of the utterance in flight that are settled: their audio is before ``needed_seq``, so a
    gateway that has not been told them (``Partial``) keeps its frames."""
    is_midway: bool = False
    """An utterance is in flight: who replays from ``needed_seq`` begins within it."""


class SpeechStarted(Message, frozen=True, kw_only=True, tag="ears.speech_started"):
    """The person began to speak."""

    lease: int
    utterance: int
    """Counts from 1 within the lease."""
    at_ms: int
    """Audio time since the first frame of the lease."""


class SpeechProgress(Message, frozen=True, kw_only=True, tag="ears.progress"):
    """How much was spoken so far, told each 100 ms of audio in an utterance's first 1.5 s.

    The gateway judges by it whether the person interrupts.
    """

    lease: int
    utterance: int
    speech_ms: int
    """Voiced audio so far."""
    silence_ms: int
    """Audio since the last voiced frame."""


class Partial(Message, frozen=True, kw_only=True, tag="ears.partial"):
    """What has been understood of the utterance so far; what stands before ``stable`` changes no more."""

    lease: int
    utterance: int
    text: str
    """Empty: the ears have listened, and understood no word yet."""
    stable: int = 0
    """So many characters of ``text`` are settled."""
    speech_ms: int = 0
    """Voiced audio that ``text`` covers."""
    language: str = ""


class TurnLikely(Message, frozen=True, kw_only=True, tag="ears.turn_likely"):
    """The person may be done: this would be the final. ``Final`` or ``SpeechResumed`` follows."""

    lease: int
    utterance: int
    text: str
    language: str = ""
    end_ms: int = 0
    """Audio time of the last speech."""
    silence_ms: int = 0
    """Audio since then."""


class SpeechResumed(Message, frozen=True, kw_only=True, tag="ears.resumed"):
    """The person goes on after ``TurnLikely``, which is void."""

    lease: int
    utterance: int


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One word and when it was spoken, milliseconds of audio time."""

    text: str
    start_ms: int
    end_ms: int
    probability: float = 0.0
    """0: the engine does not say."""


class Final(Message, frozen=True, kw_only=True, tag="ears.final"):
    """The utterance is over. An empty ``text`` means that nothing was said after all."""

    lease: int
    utterance: int
    text: str
    language: str = ""
    start_ms: int = 0
    end_ms: int = 0
    """Audio time of the last speech."""
    endpoint_ms: float = 0.0
    """Audio time from the last speech to the decision that the turn is over."""
    transcribe_ms: float = 0.0
    """Wall time from that decision to this message."""
    needed_seq: int = 0
    engine: str = ""
    device: str = ""
    model: str = ""
    speech_ms: int = 0
    """Voiced audio of the utterance."""
    was_ready: bool = False
    """The text was there when the end was decided."""
    ended_by: EndedBy = "silence"
    pace_ms: float = 0.0
    """What has been learnt of this person's pauses: for ``OpenEars`` of a later lease."""


class EarsFailed(Message, frozen=True, kw_only=True, tag="ears.failed"):
    """The utterance could not be transcribed, or the lease is given up (``utterance`` 0)."""

    lease: int
    utterance: int
    code: str
    """``unsupported_language``, ``engine_failed``; of the lease: ``draining``, ``idle``, ``internal``."""
    message: str
