"""Samples of any rate in, chunks of the asked format out, with exact positions. PyAV does the signal work.

Positions count the samples that a decoder gives back, so the chunks of a segment lie end to end whatever
the codec does. Encoders are fed frame by frame and their raw packets are taken as they come: no container,
no Xing or ID3 header, and for mp3 no bit reservoir, so frames of different segments may be joined end to
end and none needs its neighbour. mp3 and Opus start with the silence of the codec's own delay (about 45
and 7 ms), which falls between two sentences.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np

from shared.audio import Samples, from_pcm16, rms, safe, to_pcm16
from shared.messages import AudioFormat, Codec

CHUNK_MS = 60
OPUS_RATE_HZ = 48000
MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
PCM_RATES_HZ = (8000, 48000)
_BIT_RATE = {"mp3": 64000, "opus": 32000}


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What becomes one ``AudioChunk``."""

    start: int
    """Position of its first sample, at ``rate_hz``."""
    samples: int
    rate_hz: int
    codec: Codec
    level: float
    """Root mean square before encoding, 0..1."""
    data: bytes = b""
    packets: list[bytes] = field(default_factory=list)


def usable_rate(wanted: AudioFormat) -> int:
    """Returns the rate that the codec can have, the asked one or the next above."""
    if wanted.codec == "opus":
        return OPUS_RATE_HZ
    if wanted.codec == "mp3":
        return next((rate for rate in MP3_RATES_HZ if rate >= wanted.rate_hz), MP3_RATES_HZ[-1])
    return min(max(wanted.rate_hz, PCM_RATES_HZ[0]), PCM_RATES_HZ[1])


class Encoder:
    """One segment's way from samples to chunks; for one thread at a time."""

    def __init__(self, wanted: AudioFormat, *, chunk_ms: int = CHUNK_MS) -> None:
        self.rate_hz = usable_rate(wanted)
        self.samples = 0
        """Where the next chunk starts."""
        self._codec: Codec = wanted.codec
        self._resampler: av.AudioResampler | None = None
        self._from_hz = 0
        self._rest: Samples = np.zeros(0, np.float32)
        self._context = _open(wanted.codec, self.rate_hz) if wanted.codec != "pcm" else None
        self._frame = self._context.frame_size if self._context else max(1, self.rate_hz * chunk_ms // 1000)
        self._frames_a_chunk = max(1, round(self.rate_hz * chunk_ms / 1000 / self._frame))
        self._fed: deque[float] = deque()  # mean squares of the frames inside the encoder
        self._packets: list[bytes] = []
        self._power = 0.0

    def push(self, samples: Samples, rate_hz: int) -> Iterator[Chunk]:
        """Yields the chunks that are complete now; ``rate_hz`` may change from call to call."""
        if rate_hz != self._from_hz:
            yield from self._take(self._drained())
            self._from_hz = rate_hz
            self._resampler = None
            if rate_hz != self.rate_hz:
                self._resampler = av.AudioResampler(format="s16", layout="mono", rate=self.rate_hz)
        slice_size = max(1, rate_hz // 10)  # bounds what is done in one go
        for begin in range(0, len(samples), slice_size):
            piece = safe(samples[begin : begin + slice_size])
            yield from self._take(self._resampled(_frame_of(piece, rate_hz)) if self._resampler else piece)

    def finish(self) -> Iterator[Chunk]:
        """Yields what is left; the encoder is used up then."""
        yield from self._take(self._drained())
        if self._context is None:
            if self._rest.size:
                yield self._pcm(self._rest)
            return
        if self._rest.size:
            missing = self._frame - len(self._rest)
            yield from self._take(np.zeros(missing, np.float32))
        yield from self._pack(self._context.encode(None))
        if self._packets:
            yield self._packed()

    def _drained(self) -> Samples:
        return self._resampled(None) if self._resampler else np.zeros(0, np.float32)

    def _resampled(self, frame: av.AudioFrame | None) -> Samples:
        assert self._resampler is not None
        parts = [from_pcm16(out.to_ndarray().tobytes()) for out in self._resampler.resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _take(self, samples: Samples) -> Iterator[Chunk]:
        """Cuts samples at the output's rate into frames; what is no whole frame stays."""
        self._rest = np.concatenate([self._rest, samples]) if self._rest.size else samples
        while len(self._rest) >= self._frame:
            frame, self._rest = self._rest[: self._frame], self._rest[self._frame :]
            if self._context is None:
                yield self._pcm(frame)
                continue
            self._fed.append(rms(frame) ** 2)
            yield from self._pack(self._context.encode(_frame_of(frame, self.rate_hz)))

    def _pcm(self, samples: Samples) -> Chunk:
        start, self.samples = self.samples, self.samples + len(samples)
        return Chunk(
            start=start, samples=len(samples), rate_hz=self.rate_hz, codec="pcm",
            level=rms(samples), data=to_pcm16(samples),
        )  # fmt: skip

    def _pack(self, packets: list[Any]) -> Iterator[Chunk]:
        for packet in packets:
            self._packets.append(bytes(packet))
            self._power += self._fed.popleft() if self._fed else 0.0
            if len(self._packets) == self._frames_a_chunk:
                yield self._packed()

    def _packed(self) -> Chunk:
        packets, self._packets = self._packets, []
        level, self._power = (self._power / len(packets)) ** 0.5, 0.0
        start, size = self.samples, len(packets) * self._frame
        self.samples += size
        is_opus = self._codec == "opus"
        return Chunk(
            start=start, samples=size, rate_hz=self.rate_hz, codec=self._codec, level=level,
            data=b"" if is_opus else b"".join(packets), packets=packets if is_opus else [],
        )  # fmt: skip


def _open(codec: Codec, rate_hz: int) -> av.AudioCodecContext:
    context = av.AudioCodecContext.create("libopus" if codec == "opus" else "libmp3lame", "w")
    context.sample_rate = rate_hz
    context.layout = "mono"
    context.format = "s16" if codec == "opus" else "s16p"
    context.bit_rate = _BIT_RATE[codec]
    context.options = (
        {"frame_duration": "20", "application": "voip"} if codec == "opus" else {"reservoir": "0"}
    )
    context.open()
    return context


def _frame_of(samples: Samples, rate_hz: int) -> av.AudioFrame:
    array = np.frombuffer(to_pcm16(samples), dtype="<i2").reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(array, format="s16", layout="mono")
    frame.sample_rate = rate_hz
    return frame
