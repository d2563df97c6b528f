"""Samples of any rate in, chunks of the asked format out, with exact positions. PyAV does the signal work.

Positions count the samples that a decoder gives back, so the chunks of a segment lie end to end whatever
the codec does. Encoders are fed frame by frame and their raw packets are taken as they come: no container,
no Xing or ID3 header. ``codecs`` says what lets segments be joined and how long each codec's delay is.

Work of one core before the first chunk of 60 ms, from making the encoder on, of a voice of 22,050 Hz that
gives pieces of 93 ms (``python -m benchmarks.sound``, N = 200, ms, 2 cores of Xeon at 2.5 GHz; "sound" must
have been made by then, the decoder's delay comes on top):

    ============  ====  ====  ====  =======  ======
    codec, Hz      p50   p95   p99    sound   delay
    ============  ====  ====  ====  =======  ======
    pcm 22050      0.2   0.2   0.4       93       0
    pcm 24000      0.7   1.3   1.6       93       0
    mulaw 8000     1.3   2.3   2.8       93       0
    flac 24000     2.9   4.2   4.8       93       0
    mp3 24000      3.6   5.8   6.4       93      46
    mp3 8000       3.6   6.1   6.6      186     138
    opus 48000     5.2   6.1   6.6       93       6
    aac 24000      2.1   3.0   3.1       93      43
    aac 8000       4.0   4.9   5.3      279     128
    ============  ====  ====  ====  =======  ======
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from services.tts.codecs import CODINGS, Coding, adts, usable_rate
from shared.audio import Samples, from_pcm16, rms, safe, to_pcm16
from shared.messages import AudioFormat, Codec

CHUNK_MS = 60
_LEAST_BLOCK = 16
"""Samples of the shortest block that FLAC has."""


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
    packets: tuple[bytes, ...] = ()


class Encoder:
    """One segment's way from samples to chunks; for one thread at a time."""

    def __init__(self, wanted: AudioFormat, *, chunk_ms: int = CHUNK_MS) -> None:
        self.rate_hz = usable_rate(wanted)
        self.samples = 0
        """Where the next chunk starts."""
        self._codec: Codec = wanted.codec
        self._coding = CODINGS.get(wanted.codec)
        self._resampler: av.AudioResampler | None = None
        self._from_hz = 0
        self._rest: Samples = np.zeros(0, np.float32)
        self._context = _open(self._coding, self.rate_hz) if self._coding else None
        whole = max(1, self.rate_hz * chunk_ms // 1000)
        self._frame = (self._context.frame_size if self._context else 0) or whole
        self._frames_a_chunk = max(1, round(self.rate_hz * chunk_ms / 1000 / self._frame))
        self._fed: deque[tuple[int, float]] = deque()
        """Samples and mean square of the frames inside the encoder."""
        self._packets: list[bytes] = []
        self._packed_samples, self._energy = 0, 0.0

    @property
    def delay(self) -> int:
        """Samples of silence that a decoder gives back before the first one that went in."""
        return self._coding.delay if self._coding else 0

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
        if self._coding is None or self._context is None:
            if self._rest.size:
                yield self._pcm(self._rest)
            return
        if self._rest.size:
            least = self._frame if self._coding.is_padded else _LEAST_BLOCK if self._codec == "flac" else 0
            missing = max(0, least - len(self._rest))
            yield from self._encode(np.concatenate([self._rest, np.zeros(missing, np.float32)]))
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
            yield from self._encode(frame)

    def _encode(self, frame: Samples) -> Iterator[Chunk]:
        if self._context is None:
            yield self._pcm(frame)
            return
        self._fed.append((len(frame), rms(frame) ** 2))
        yield from self._pack(self._context.encode(_frame_of(frame, self.rate_hz)))

    def _pcm(self, samples: Samples) -> Chunk:
        start, self.samples = self.samples, self.samples + len(samples)
        return Chunk(
            start=start, samples=len(samples), rate_hz=self.rate_hz, codec="pcm",
            level=rms(samples), data=to_pcm16(samples),
        )  # fmt: skip

    def _pack(self, packets: list[Any]) -> Iterator[Chunk]:
        for packet in packets:
            raw = bytes(packet)
            if not raw:
                continue  # FLAC's last one has only what would complete a file's header
            self._packets.append(adts(raw, self.rate_hz) if self._codec == "aac" else raw)
            samples, power = self._fed.popleft() if self._fed else (self._frame, 0.0)
            self._packed_samples += samples
            self._energy += samples * power
            if len(self._packets) == self._frames_a_chunk:
                yield self._packed()

    def _packed(self) -> Chunk:
        packets, self._packets = self._packets, []
        size, self._packed_samples = self._packed_samples, 0
        level, self._energy = (self._energy / size) ** 0.5, 0.0
        start, self.samples = self.samples, self.samples + size
        is_apart = self._coding is not None and self._coding.is_packets
        return Chunk(
            start=start, samples=size, rate_hz=self.rate_hz, codec=self._codec, level=level,
            data=b"" if is_apart else b"".join(packets), packets=tuple(packets) if is_apart else (),
        )  # fmt: skip


def _open(coding: Coding, rate_hz: int) -> av.AudioCodecContext:
    context = av.CodecContext.create(coding.encoder, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate = rate_hz
    context.layout = "mono"
    context.format = coding.sample_format
    if bit_rate := coding.bit_rate(rate_hz):
        context.bit_rate = bit_rate
    context.options = dict(coding.options)
    context.open()
    return context


def _frame_of(samples: Samples, rate_hz: int) -> av.AudioFrame:
    array = np.frombuffer(to_pcm16(samples), dtype="<i2").reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(array, format="s16", layout="mono")
    frame.sample_rate = rate_hz
    return frame
