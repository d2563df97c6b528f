"""One session's hearing: frames in, events and audio out. No clock, no bus, no engine.

Frames are numbered by the gateway. ``needed_seq`` says from which frame another worker would have to hear
again to have the utterance in flight completely; the gateway replays from there when this worker dies.
What is settled of a long utterance is needed no longer, so neither its audio nor its frames are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from services.stt.endpoint import Cue, Ended, Endpointer, Heard
from services.stt.engine import FRAME, RATE_HZ, Frames, Pcm, Resampler
from services.stt.foreground import levels_db


class Ears:
    """Hears one session. The audio kept is bounded by what is not settled, at most the longest utterance."""

    def __init__(self, resampler: Resampler, endpointer: Endpointer, *, rate_hz: int) -> None:
        self._resampler, self._endpointer = resampler, endpointer
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
    def position(self) -> int:
        """Samples judged so far."""
        return self._endpointer.position

    @property
    def speech(self) -> int:
        """Voiced samples of the utterance in flight, or of the last one."""
        return self._endpointer.speech

    @property
    def silence(self) -> int:
        """Samples since the last voiced frame."""
        return self._endpointer.silence

    @property
    def pace_ms(self) -> float:
        """What has been learnt of this person's pauses; 0: nothing."""
        return self._endpointer.pace_ms

    @property
    def needed_seq(self) -> int:
        """The first frame that the utterance in flight needs, or one that is about to begin."""
        return self.seq_at(self._needed)

    def seq_at(self, position: int) -> int:
        """Returns the frame that holds a sample, as far back as frames are remembered."""
        found = self._frames[0][1] if self._frames else self.next_seq
        for start, seq in self._frames:
            if start > position:
                break
            found = seq
        return found

    def begin_midway(self) -> None:
        """An utterance is in flight from the first sample on: an earlier worker has heard its beginning."""
        self._endpointer.begin_midway()

    def hint(self, cue: Cue) -> Ended | None:
        """Takes what the draft of a pause tells; ends the utterance if the silence so far is enough."""
        return self._endpointer.hint(cue)

    def settle(self, position: int) -> None:
        """The utterance in flight is transcribed up to ``position``; its audio before it is not needed."""
        self._endpointer.settle(position)

    def take(self, seq: int, pcm: bytes) -> None:
        """Takes one frame of the microphone; ``pending`` says what is to be judged then."""
        if (self._frames and seq < self.next_seq) or len(pcm) % 2:
            self.unusable += 1
            return
        if self._frames:
            self.lost += seq - self.next_seq
        self.next_seq = seq + 1
        self._frames.append((self._received * RATE_HZ // self._rate_hz, seq))
        samples = np.frombuffer(pcm, dtype="<i2")
        self._received += len(samples)
        self._pcm += self._resampler.convert(samples).tobytes()

    def pending(self) -> Frames:
        """Returns all frames that are to be judged next, ``[n, FRAME]``; after a burst these are many."""
        position = self._endpointer.position
        count = (self._base + len(self._pcm) // 2 - position) // FRAME
        return self.audio(position, position + count * FRAME).reshape(count, FRAME)

    def judge(self, probabilities: Sequence[float]) -> list[Heard]:
        """Takes the speech probability of each pending frame; returns what they changed, in order.

        The audio of these events can be taken with ``audio`` until the next call.
        """
        position = self._endpointer.position
        frames = self.audio(position, position + len(probabilities) * FRAME).reshape(-1, FRAME)
        self._forget()
        levels = zip(probabilities, levels_db(frames), strict=True)
        events = (self._endpointer.feed(probability, level_db) for probability, level_db in levels)
        return [event for event in events if event is not None]

    def finish(self) -> Ended | None:
        """Ends the utterance in flight now; None if there is none."""
        return self._endpointer.finish(self._base + len(self._pcm) // 2)

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

    def _forget(self) -> None:
        """Drops the audio and the frames that nothing needs any more."""
        needed = self._needed
        if needed > self._base:
            del self._pcm[: 2 * (needed - self._base)]
            self._base = needed
        while len(self._frames) > 1 and self._frames[1][0] <= needed:
            self._frames.popleft()
