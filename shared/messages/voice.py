"""Work for the voice and the sound that it makes."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.messages.base import AudioFormat, Codec, Message

Reuse = Literal["may", "will", "never"]
"""Whether sound that was made before may be sent."""


class Synthesize(Message, frozen=True, kw_only=True, tag="work.synthesize"):
    """Work for the voice: speak one segment. The gateway reads it too, as the turn's checkpoint."""

    gw: str
    sid: str
    turn: int
    attempt: int
    segment: int
    """Counts from 0 within the turn; the order of playing."""
    text: str
    audio: AudioFormat
    remaining_ms: int
    take: int = 1
    """Counts the publications of this segment; the newest wins."""
    language: str = ""
    voice: str = ""
    speed: float = 1.0
    mood: str = ""
    """How it is to be said; empty: neutral."""
    reuse: Reuse = "may"
    """Of its sound: ``will``: it comes again and again and is worth keeping; ``never``: it must be made."""


class AudioChunk(Message, frozen=True, kw_only=True, gc=False, tag="voice.chunk"):
    """40–100 ms of one segment in the asked format (one or more whole mp3 frames or Opus packets)."""

    turn: int
    attempt: int
    segment: int
    take: int
    seq: int
    """Counts from 0 within the segment; a gap means loss."""
    start: int
    """Position of the first sample within the segment, in samples at ``rate_hz``: who takes over a
    segment in mid-flight skips what was already sent."""
    samples: int
    rate_hz: int
    codec: Codec
    level: float
    """Root mean square of the samples before encoding, 0..1; tells sound from silence."""
    data: bytes = b""
    packets: tuple[bytes, ...] = ()
    """Instead of ``data`` for ``opus``: raw packets of 20 ms; and for ``flac``: raw frames."""


class WordTime(msgspec.Struct, frozen=True, kw_only=True):
    """When a word is heard; samples of the segment's sound, at ``Timing.rate_hz``."""

    begin: int
    """The word is ``text[begin:end]`` of ``Synthesize.text``: as it was written, not as it is spoken."""
    end: int
    from_sample: int
    to_sample: int


class VisemeTime(msgspec.Struct, frozen=True, kw_only=True):
    """From here on the mouth has this shape."""

    viseme: str
    """Of the set that ``services.tts.visemes`` states."""
    from_sample: int


class Timing(Message, frozen=True, kw_only=True, tag="voice.timing"):
    """When the words of a segment are heard; published before the chunk in which the first of them begins.

    A segment may have several: each goes on where the one before ended, or tells better what that told: from
    its first word on, and its first viseme, it counts in the place of what was told before.
    """

    turn: int
    attempt: int
    segment: int
    take: int
    rate_hz: int
    words: list[WordTime] = []
    visemes: list[VisemeTime] = []
    is_estimated: bool = False
    """The voice does not tell its durations: by proportion."""


class SegmentDone(Message, frozen=True, kw_only=True, tag="voice.done"):
    """All chunks of a segment have been sent."""

    turn: int
    attempt: int
    segment: int
    take: int
    chunks: int
    samples: int
    rate_hz: int
    engine: str
    device: str
    model: str = ""
    is_degraded: bool = False
    queue_ms: float = 0.0
    first_audio_ms: float = 0.0
    """From being taken up to the first chunk."""
    total_ms: float = 0.0
    is_cached: bool = False
    """It was made before and kept."""
