"""What each codec can have and how it is asked for, as FFmpeg names it. Pure.

Every segment has an encoder of its own, so that segments of different workers can be joined. What that
takes, for each codec:

- ``mp3``: no bit reservoir, so no frame needs its neighbour; 1,105 samples of the codec's delay in front.
- ``aac``: every frame bears an ADTS header. A segment begins and ends with a frame that is silent where it
  overlaps the neighbour's, so the overlap of two segments adds silence to silence; 1,024 samples in front.
- ``opus``: raw packets of 20 ms; 312 samples in front (48 kHz).
- ``flac``: raw frames of at most 27 ms, each numbered from the segment's beginning: whoever joins segments
  has to number them anew (``services.gateway.flac``). Exact, also in length.
- ``pcm``, ``mulaw``, ``alaw``: bytes that mean the same wherever they stand. Exact in length.

The delay is silence that falls between two sentences; players of mp3 and AAC streams do not cut it off.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.messages import AudioFormat, Codec

STANDARD_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""All that MPEG audio has up to 48 kHz: what mp3 and AAC can have."""
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = STANDARD_RATES_HZ[0], STANDARD_RATES_HZ[-1]
OPUS_RATE_HZ = 48000
ADTS_HEADER_BYTES = 7
_ADTS_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How FFmpeg is asked for a codec."""

    encoder: str
    sample_format: str
    delay: int = 0
    """Samples of silence that a decoder gives back before the first one that went in."""
    most_bits: int = 0
    """Bits a second; 0: the codec decides."""
    bits_a_sample: float = 0.0
    """Above this it would be waste, or more than the codec allows; 0: no such bound."""
    is_padded: bool = True
    """Whether the last frame is filled up with silence."""
    is_packets: bool = False
    """Whether a chunk keeps its packets apart."""
    options: dict[str, str] = field(default_factory=dict)

    def bit_rate(self, rate_hz: int) -> int:
        """Returns the bits a second at this sample rate; 0: the codec decides."""
        return min(self.most_bits, int(self.bits_a_sample * rate_hz) or self.most_bits)


CODINGS: dict[Codec, Coding] = {
    "mp3": Coding(
        encoder="libmp3lame", sample_format="s16p", delay=1105, most_bits=64000, options={"reservoir": "0"}
    ),
    "opus": Coding(
        encoder="libopus", sample_format="s16", delay=312, most_bits=32000, is_packets=True,
        options={"frame_duration": "20", "application": "voip"},
    ),
    # Its other coder takes two and a half times as long, and is farther from the sound at these bit rates.
    "aac": Coding(
        encoder="aac", sample_format="fltp", delay=1024, most_bits=64000, bits_a_sample=4.0,
        options={"aac_coder": "fast"},
    ),
    # At level 2 a block has at most 27 ms; from level 3 on it has up to 105 ms.
    "flac": Coding(
        encoder="flac", sample_format="s16", is_padded=False, is_packets=True,
        options={"compression_level": "2"},
    ),
    "mulaw": Coding(encoder="pcm_mulaw", sample_format="s16", is_padded=False),
    "alaw": Coding(encoder="pcm_alaw", sample_format="s16", is_padded=False),
}  # fmt: skip
"""All but ``pcm``, which needs no encoder."""


def usable_rate(wanted: AudioFormat) -> int:
    """Returns the rate that the codec can have, the asked one or the next above, Hz."""
    match wanted.codec:
        case "opus":
            return OPUS_RATE_HZ
        case "mp3" | "aac":
            return next((rate for rate in STANDARD_RATES_HZ if rate >= wanted.rate_hz), HIGHEST_RATE_HZ)
        case _:
            return min(max(wanted.rate_hz, LOWEST_RATE_HZ), HIGHEST_RATE_HZ)


def adts(packet: bytes, rate_hz: int) -> bytes:
    """Returns a raw AAC-LC packet, mono, behind its ADTS header (ISO/IEC 14496-3, 1.A.3)."""
    size = ADTS_HEADER_BYTES + len(packet)
    rate = _ADTS_RATES_HZ.index(rate_hz)
    header = bytes(
        (
            0xFF,
            0xF1,  # the rest of the sync word, MPEG-4, no checksum
            0x40 | rate << 2,  # AAC-LC
            0x40 | size >> 11,  # one channel
            size >> 3 & 0xFF,
            (size & 7) << 5 | 0x1F,
            0xFC,  # variable bit rate, one packet
        )
    )
    return header + packet
