"""The microphone's ring buffer: what another worker would need if the one that listens died. Pure.

Positions are samples since the session's first frame; arrival times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import deque

import msgspec

BYTES_PER_SAMPLE = 2


class Frame(msgspec.Struct, frozen=True, gc=False):
    """Some milliseconds of microphone: signed 16-bit mono PCM."""

    seq: int
    pcm: bytes
    start: int
    arrived_at: float


class MicRing:
    """Frames of the utterance in flight, at most ``max_s`` seconds; the oldest go first."""

    __slots__ = ("_end", "_frames", "_full_at", "_max_samples", "next_seq", "rate_hz")

    def __init__(self, rate_hz: int, *, max_s: float = 60.0) -> None:
        self.rate_hz = rate_hz
        self._max_samples = int(max_s * rate_hz)
        self._frames: deque[Frame] = deque()
        self._end = 0
        self._full_at = self._max_samples
        """No frame is too old before the end is here."""
        self.next_seq = 0

    @property
    def heard_ms(self) -> int:
        """How much has come in all, audio time."""
        return 1000 * self._end // self.rate_hz

    @property
    def first_seq(self) -> int:
        """The oldest frame still held; ``next_seq`` if there is none."""
        return self._frames[0].seq if self._frames else self.next_seq

    def append(self, pcm: bytes, now: float) -> int:
        """Takes one frame in; returns its number."""
        seq, frames = self.next_seq, self._frames
        frames.append(Frame(seq, pcm, self._end, now))
        self.next_seq = seq + 1
        self._end += len(pcm) // BYTES_PER_SAMPLE
        if self._end > self._full_at:
            while self._end - frames[0].start > self._max_samples:
                frames.popleft()
            self._full_at = frames[0].start + self._max_samples
        return seq

    def trim(self, needed_seq: int) -> None:
        """Forgets the frames before ``needed_seq``."""
        for _ in range(min(needed_seq - self.first_seq, len(self._frames))):
            self._frames.popleft()

    def get(self, seq: int) -> Frame | None:
        """Returns a frame, or None if it is not there (any more, or yet)."""
        index = seq - self.first_seq
        return self._frames[index] if 0 <= index < len(self._frames) else None

    def start_of(self, seq: int) -> int:
        """Position of the frame's first sample; the end of all frames if it has not come yet."""
        frame = self.get(seq)
        return self._end if frame is None else frame.start

    def arrival(self, position: int) -> float | None:
        """When the sample at ``position`` arrived; None if its frame is gone or has not come."""
        for frame in reversed(self._frames):
            if frame.start <= position:
                return frame.arrived_at if position < self._end else None
        return None
