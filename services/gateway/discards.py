"""Which utterances the client has thrown away, told by where in the session's audio they began. Pure.

The ears tell of an utterance some time after its audio, so what was thrown away may be told of later: it is
known by its place. What the client has *ended* before is not thrown away: its final is still wanted.
"""

from __future__ import annotations

from collections import deque

from services.gateway.turn_io import UtteranceKey

SLACK_MS = 40
"""Ears judge whole frames: what begins so shortly before a mark was found behind it."""
MARKS = 16
"""So many stretches are remembered; ears that tell of older ones have long been given up."""


class Discards:
    """Of one session; times are audio since its first frame, milliseconds."""

    def __init__(self) -> None:
        self._since_ms = -SLACK_MS
        self._stretches: deque[tuple[int, int]] = deque(maxlen=MARKS)
        self._began: dict[UtteranceKey, int] = {}
        """Of utterances whose end has not been told."""

    def is_empty(self, at_ms: int) -> bool:
        """Whether nothing was heard since the last end."""
        return at_ms - SLACK_MS <= self._since_ms

    def end_at(self, at_ms: int) -> None:
        """The client ends what it has said up to here: that is to be answered."""
        self._since_ms = at_ms - SLACK_MS

    def discard(self, at_ms: int) -> list[UtteranceKey]:
        """Throws away what was heard up to here; returns the utterances that were known of."""
        before = {key for key in self._began if self.covers(key)}
        self._stretches.append((self._since_ms, at_ms - SLACK_MS))
        self._since_ms = at_ms - SLACK_MS
        return [key for key in self._began if key not in before and self.covers(key)]

    def begin(self, key: UtteranceKey, at_ms: int) -> None:
        """Something is told of an utterance; ``at_ms``: where it began, as far as is known."""
        self._began.setdefault(key, at_ms)

    def covers(self, key: UtteranceKey) -> bool:
        """Whether the utterance was thrown away."""
        began = self._began.get(key)
        return began is not None and any(start <= began < end for start, end in self._stretches)

    def over(self, key: UtteranceKey) -> None:
        """Its end was told, and that of all before it."""
        self._began = {other: at_ms for other, at_ms in self._began.items() if other > key}
