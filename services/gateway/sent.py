"""Sound that was handed on for a turn's client, kept in case that is lost before it has played it. Pure.

A lost client is noticed late (the server pings it), so what was played by our own account is kept a while.
"""

from __future__ import annotations

from collections import deque

import msgspec

from shared.messages import AudioChunk

KEPT_MS = 15_000.0
"""Of sound that was played; longer than it takes to notice that a client has vanished."""
_SAMPLE_BYTES = {"pcm": 2, "mulaw": 1, "alaw": 1}
"""Of codecs whose sound can be cut anywhere; what comes in frames is kept whole."""


class Sent:
    """Chunks in the order of their playing; milliseconds of the turn's sound."""

    def __init__(self) -> None:
        self.chunks: deque[tuple[float, AudioChunk]] = deque()
        """Each as it is handed on, and where it is played."""

    def forget(self, played_ms: float) -> None:
        """Lets go of what was played long before."""
        while self.chunks and _ends_ms(*self.chunks[0]) < played_ms - KEPT_MS:
            self.chunks.popleft()

    def behind(self, ms: float) -> tuple[float, list[AudioChunk]]:
        """Returns the sound from ``ms`` on, and where it begins.

        That is ``ms``, to the sample, but of codecs that come in frames, which begin with a whole one; and of
        sound that was forgotten, which begins later.
        """
        begins_ms = ms
        chunks: list[AudioChunk] = []
        for at_ms, chunk in self.chunks:
            cut = round((ms - at_ms) * chunk.rate_hz / 1000)
            if cut >= chunk.samples:
                continue
            cut = max(0, cut) if can_be_cut(chunk) else 0
            if not chunks:
                begins_ms = at_ms + 1000 * cut / chunk.rate_hz
            chunks.append(cut_front(chunk, cut) if cut else chunk)
        return begins_ms, chunks


def cut_front(chunk: AudioChunk, samples: int) -> AudioChunk:
    """Returns the chunk, of a codec that can be cut, without its first samples."""
    return msgspec.structs.replace(
        chunk,
        start=chunk.start + samples,
        samples=chunk.samples - samples,
        data=chunk.data[samples * _SAMPLE_BYTES[chunk.codec] :],
    )


def can_be_cut(chunk: AudioChunk) -> bool:
    """Whether its sound can be cut anywhere."""
    return chunk.codec in _SAMPLE_BYTES


def _ends_ms(begins_ms: float, chunk: AudioChunk) -> float:
    return begins_ms + 1000 * chunk.samples / chunk.rate_hz
