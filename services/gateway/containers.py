"""How a turn's sound is wrapped for the client: raw PCM, WAV, joined mp3 frames, Opus in Ogg. Pure.

A container is made anew for each turn. What ``open``, every ``add`` and ``finish`` return is sent in that
order; joined, it is one file.
"""

from __future__ import annotations

import struct
from typing import Protocol

from services.gateway.chat_protocol import Format
from services.gateway.ogg import OPUS_RATE_HZ, OggOpus
from shared.messages import Codec

MIME = {"pcm": "audio/pcm", "wav": "audio/wav", "mp3": "audio/mpeg", "opus": "audio/ogg"}
_UNKNOWN_SIZE = 0xFFFFFFFF


class Container(Protocol):
    """The wrapping of one turn's sound."""

    def open(self) -> bytes:
        """Returns what stands before the first sound."""

    def add(self, data: bytes, packets: list[bytes], samples: int) -> bytes:
        """Wraps one chunk: ``data``, or ``packets`` for Opus; may return nothing yet."""

    def finish(self) -> bytes:
        """Returns what stands behind the last sound."""


class Joined:
    """Bytes that need nothing between or around them: PCM, mp3 frames, and WAV behind its header."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def open(self) -> bytes:
        """Returns the header, if there is one."""
        return self._header

    def add(self, data: bytes, packets: list[bytes], samples: int) -> bytes:  # noqa: ARG002 - as all containers
        """Returns the data as they are."""
        return data

    def finish(self) -> bytes:
        """Returns nothing: these formats have no end."""
        return b""


class Ogg:
    """Opus packets in Ogg pages."""

    def __init__(self) -> None:
        self._stream = OggOpus(OPUS_RATE_HZ)

    def open(self) -> bytes:
        """Returns the header pages."""
        return self._stream.open()

    def add(self, data: bytes, packets: list[bytes], samples: int) -> bytes:  # noqa: ARG002 - as all containers
        """Returns the pages that are ready; one packet is always held back."""
        return self._stream.add(packets, samples)

    def finish(self) -> bytes:
        """Returns the last page."""
        return self._stream.finish()


def make_container(form: Format, rate_hz: int) -> Container:
    """Returns the container of one turn's sound; ``rate_hz`` is ignored for ``opus`` (48000)."""
    if form == "opus":
        return Ogg()
    return Joined(wav_header(rate_hz) if form == "wav" else b"")


def codec_of(form: Format) -> Codec:
    """Returns what the voice has to make for this format."""
    return "pcm" if form == "wav" else form


def wav_header(rate_hz: int, size_bytes: int = _UNKNOWN_SIZE) -> bytes:
    """Returns the 44 bytes before mono PCM16; without a size, for a stream: the largest there is."""
    riff = size_bytes if size_bytes == _UNKNOWN_SIZE else size_bytes + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff, b"WAVE"),
        *(b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16),
        *(b"data", size_bytes),
    )


def wav_file(pcm: bytes, rate_hz: int) -> bytes:
    """Returns a whole WAV file with its true sizes."""
    return wav_header(rate_hz, len(pcm)) + pcm
