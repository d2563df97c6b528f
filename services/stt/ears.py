"""One session's hearing: frames in, events and audio out. No clock, no bus, no engine.

Frames are numbered by the gateway. ``needed_seq`` says from which frame another worker would have to hear
again to have the utterance in flight completely; the gateway replays from there when this worker dies.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from services.stt.endpoint import Ended, Endpointer, Heard
from services.stt.engine import FRAME, RATE_HZ, Pcm, Resampler, SpeechDetector


class Ears:
    """Hears one session. The audio kept is bounded by the longest utterance and its pre-roll."""

    def __init__(
        self, detector: SpeechDetector, resampler: Resampler, endpointer: Endpointer, *, rate_hz: int
    ) -> None:
        self._detector, self._resampler, self._endpointer = detector, resampler, endpointer
        self._rate_hz = rate_hz
        self._pcm = bytearray()
        self._base = 0
        """Position of the first sample kept."""
        self._received = 0
        """Samples received, at the microphone's rate."""
        self._frames: deque[tuple[int, int]] = deque()
        """Position and number of the frames that are still needed."""
        self.next_seq = 0
        self.lost = 0
        """Frames that never came."""
        self.unusable = 0
        """Frames that came twice, or with half a sample."""

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is in flight."""
        return self._endpointer.is_speaking

    @property
    def needed_seq(self) -> int:
        """The first frame that the utterance in flight needs, or one that is about to begin."""
        return self.seq_at(self._needed)

    def seq_at(self, position: int) -> int:
        """Returns the frame that holds a sample, as far back as frames are remembered."""
        held = [seq for start, seq in self._frames if start <= position]
        return held[-1] if held else self.next_seq

    def feed(self, seq: int, pcm: bytes) -> list[Heard]:
        """Hears one frame; returns what it changed, in order.

        The audio of these events can be taken with ``audio`` until the next call.
        """
        if (self._frames and seq < self.next_seq) or len(pcm) % 2:
            self.unusable += 1
            return []
        if self._frames:
            self.lost += seq - self.next_seq
        self.next_seq = seq + 1
        self._forget()
        self._frames.append((self._received * RATE_HZ // self._rate_hz, seq))
        samples = np.frombuffer(pcm, dtype="<i2")
        self._received += len(samples)
        self._pcm += self._resampler.convert(samples).tobytes()
        return self._judge()

    def finish(self) -> Ended | None:
        """Ends the utterance in flight now; None if there is none."""
        return self._endpointer.finish()

    def audio(self, start: int, end: int | None = None) -> Pcm:
        """Returns the samples from ``start`` to ``end`` (or the newest) as far as they are kept."""
        stop = None if end is None else 2 * max(0, end - self._base)
        piece = self._pcm[2 * max(0, start - self._base) : stop]
        return np.frombuffer(piece, dtype=np.int16).astype(np.float32) / 32768.0

    def spoken(self) -> Pcm:
        """Returns the audio of the utterance in flight so far."""
        return self.audio(self._endpointer.needed)

    @property
    def _needed(self) -> int:
        return min(self._endpointer.needed, self._endpointer.position)

    def _judge(self) -> list[Heard]:
        heard: list[Heard] = []
        end = self._base + len(self._pcm) // 2
        while self._endpointer.position + FRAME <= end:
            position = self._endpointer.position
            frame = self.audio(position, position + FRAME)
            event = self._endpointer.feed(self._detector.probability(frame))
            if event is not None:
                heard.append(event)
        return heard

    def _forget(self) -> None:
        """Drops the audio and the frames that nothing needs any more."""
        needed = self._needed
        if needed > self._base:
            del self._pcm[: 2 * (needed - self._base)]
            self._base = needed
        while len(self._frames) > 1 and self._frames[1][0] <= needed:
            self._frames.popleft()
