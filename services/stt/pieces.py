"""Where a recording is cut: stretches of speech that an engine can take one by one. Pure; counts samples.

Speech begins and ends as Silero's own iterator has it (two thresholds, a pad on both sides). Stretches with
short pauses between them stay together, since an engine understands more with its context; a piece that
is long enough ends at the next pause, and one that finds none is cut at the frame that is least
like speech. Where nobody speaks there is no piece, so no engine can invent words there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from services.stt.engine import FRAME, RATE_HZ

ONSET, RELEASE = 0.5, 0.35
"""Speech probability that begins speech or ends a pause, and that keeps speech going."""
ONSET_FRAMES, ONSET_WINDOW = 3, 4
"""So many voiced frames among so many begin a piece."""
PAD = RATE_HZ // 4
"""Samples before and behind the voiced ones that belong to them."""
GAP = RATE_HZ
"""A pause so long always ends a piece."""
SHORT_GAP = 3 * RATE_HZ // 10
"""A pause so long ends one that is long enough."""
CUT_WITHIN = 5 * RATE_HZ
"""Where a cut is looked for in speech without a pause."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Positions in samples since the beginning."""

    start: int
    """The first voiced sample."""
    end: int
    """Behind the last."""
    audio_from: int
    audio_to: int
    """With the pads; pieces never overlap."""


class Splitter:
    """Takes one speech probability per frame, in order."""

    def __init__(self, *, enough_s: float, longest_s: float = 28.0) -> None:
        self.position = 0
        """Samples judged so far."""
        self._enough, self._longest = int(enough_s * RATE_HZ), int(longest_s * RATE_HZ)
        self._window: deque[bool] = deque(maxlen=ONSET_WINDOW)
        self._start: int | None = None
        self._end = 0
        self._taken = 0
        """Behind the last piece's audio."""
        self._recent: deque[float] = deque(maxlen=CUT_WITHIN // FRAME)

    @property
    def needed(self) -> int:
        """The first sample that a coming piece may hold."""
        start = self._start if self._start is not None else self.position - ONSET_WINDOW * FRAME
        return max(self._taken, start - PAD)

    def feed(self, probability: float) -> Piece | None:
        """Judges the next frame; returns the piece that it completes."""
        self.position += FRAME
        self._recent.append(probability)
        if self._start is None:
            self._await_onset(probability)
            return None
        is_pause = self.position - FRAME > self._end
        if probability >= (ONSET if is_pause else RELEASE):
            self._end = self.position
        gap, length = self.position - self._end, self._end - self._start
        if gap >= GAP or (gap >= SHORT_GAP and length >= self._enough):
            return self._close(self._start)
        return self._cut(self._start) if self.position - self._start >= self._longest else None

    def finish(self) -> Piece | None:
        """Returns what is left at the end of the recording."""
        return None if self._start is None else self._close(self._start)

    def _await_onset(self, probability: float) -> None:
        self._window.append(probability >= ONSET)
        if sum(self._window) >= ONSET_FRAMES:
            self._start = self.position - (len(self._window) - list(self._window).index(True)) * FRAME
            self._end = self.position
            self._window.clear()

    def _close(self, start: int) -> Piece:
        self._start = None
        return self._piece(start, self._end, min(self.position, self._end + PAD))

    def _cut(self, start: int) -> Piece:
        """Ends the piece within its last seconds; speech goes on behind the cut."""
        recent = list(self._recent)
        least = len(recent) - 1 - recent[::-1].index(min(recent))
        cut = self.position - (len(recent) - 1 - least) * FRAME
        if self._end <= cut:  # behind the quietest place nobody has spoken yet
            return self._close(start)
        self._start = cut
        return self._piece(start, cut, cut)

    def _piece(self, start: int, end: int, audio_to: int) -> Piece:
        audio_from = max(self._taken, start - PAD)
        self._taken = audio_to
        return Piece(start=start, end=end, audio_from=audio_from, audio_to=audio_to)
