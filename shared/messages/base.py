"""What all messages share."""

from __future__ import annotations

from typing import Literal

import msgspec

Codec = Literal["pcm", "mp3", "opus", "aac", "flac", "mulaw", "alaw"]
Stage = Literal["stt", "llm", "tts", "gateway"]
State = Literal["starting", "ready", "degraded", "failed", "draining"]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages; the tag names the type on the wire."""


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How audio chunks are to be encoded; always mono."""

    codec: Codec = "pcm"
    """``pcm``: signed 16-bit little-endian. ``mp3``: whole frames that may be joined end to end.
    ``opus``: one raw Opus packet a chunk entry (no Ogg pages), 48 kHz. ``aac``: whole AAC-LC frames behind
    ADTS headers, to be joined like mp3. ``flac``: one raw frame a chunk entry, numbered from the segment's
    beginning, without ``STREAMINFO``. ``mulaw``, ``alaw``: 8 bits a sample (ITU-T G.711)."""
    rate_hz: int = 24000
    """Of the samples before encoding; 48000 for ``opus``."""
