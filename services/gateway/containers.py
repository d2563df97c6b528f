"""How a turn's sound is wrapped for the client: raw, WAV, joined frames, FLAC, Opus in Ogg or bare. Pure.

A container is made anew for each turn. What ``open``, every ``add`` and ``finish`` return is sent in that
order; joined, it is one file. Nothing is encoded here: headers, numbers and lengths are.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Protocol

from services.gateway.chat_protocol import Format
from services.gateway.flac import FlacStream
from services.gateway.ogg import OPUS_RATE_HZ, OggOpus
from shared.messages import Codec

MIME: dict[Format, str] = {
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    "opus_packets": "application/octet-stream",
    "mulaw": "audio/PCMU",
    "alaw": "audio/PCMA",
}
_UNKNOWN_SIZE = 0xFFFFFFFF


class Container(Protocol):
    """The wrapping of one turn's sound."""

    def open(self) -> bytes:
        """Returns what stands before the first sound."""

    def add(self, data: bytes, packets: Sequence[bytes], samples: int) -> bytes:
        """Wraps one chunk: ``data``, or ``packets`` for Opus; may return nothing yet."""

    def finish(self) -> bytes:
        """Returns what stands behind the last sound."""


class Joined:
    """Bytes that need nothing between or around them: samples, mp3 and AAC frames, WAV behind its header."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def open(self) -> bytes:
        """Returns the header, if there is one."""
        return self._header

    def add(self, data: bytes, packets: Sequence[bytes], samples: int) -> bytes:  # noqa: ARG002 - as all containers
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

    def add(self, data: bytes, packets: Sequence[bytes], samples: int) -> bytes:  # noqa: ARG002 - as all containers
        """Returns the pages that are ready; one packet is always held back."""
        return self._stream.add(packets, samples)

    def finish(self) -> bytes:
        """Returns the last page."""
        return self._stream.finish()


class Flac:
    """FLAC frames, numbered through."""

    def __init__(self, rate_hz: int) -> None:
        self._stream = FlacStream(rate_hz)

    def open(self) -> bytes:
        """Returns what tells a decoder of the stream."""
        return self._stream.open()

    def add(self, data: bytes, packets: Sequence[bytes], samples: int) -> bytes:  # noqa: ARG002 - as all containers
        """Returns the frames."""
        return self._stream.add(packets)

    def finish(self) -> bytes:
        """Returns nothing: a stream's length need not be known."""
        return b""


class Packets:
    """Bare Opus packets, each behind its length: two bytes, the higher one first (as RFC 4571 frames RTP)."""

    def open(self) -> bytes:
        """Returns nothing: packets need no beginning."""
        return b""

    def add(self, data: bytes, packets: Sequence[bytes], samples: int) -> bytes:  # noqa: ARG002 - as all containers
        """Returns the packets with their lengths."""
        return b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)

    def finish(self) -> bytes:
        """Returns nothing: packets need no end."""
        return b""


def make_container(form: Format, rate_hz: int) -> Container:
    """Returns the container of one turn's sound; ``rate_hz`` is ignored for Opus (48000)."""
    match form:
        case "opus":
            return Ogg()
        case "opus_packets":
            return Packets()
        case "flac":
            return Flac(rate_hz)
        case "wav":
            return Joined(wav_header(rate_hz))
        case _:
            return Joined()


def codec_of(form: Format) -> Codec:
    """Returns what the voice has to make for this format."""
    match form:
        case "wav":
            return "pcm"
        case "opus_packets":
            return "opus"
        case _:
            return form


def rate_of(form: Format, rate_hz: int) -> int:
    """Returns the rate that the sound will have, Hz: the asked one, but for Opus."""
    return OPUS_RATE_HZ if codec_of(form) == "opus" else rate_hz


def mime_of(form: Format, rate_hz: int) -> str:
    """Returns the media type; of samples that tell no rate themselves it names the rate (RFC 4856)."""
    return f"{MIME[form]};rate={rate_hz}" if form in {"mulaw", "alaw"} else MIME[form]


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
