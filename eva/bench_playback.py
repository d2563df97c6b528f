"""What a person hears of the sound that comes: a simulated player, and how often it runs dry. Pure.

Sound begins to play a short store behind its first piece, as in the page and in phones; when the store is
empty before the answer is over, the person hears a break, and the store is filled anew. Times are seconds of
one clock.
"""

from __future__ import annotations

import math

STORE_S = 0.06
"""So much is waited for before playback begins."""


class Playback:
    """One person's loudspeaker."""

    def __init__(self) -> None:
        self.turn_id = ""
        """Whose sound plays, or has played last."""
        self.underruns = 0
        """Breaks within the answer that plays."""
        self.silence_s = 0.0
        """How long they were."""
        self._ends_s = -math.inf
        """When all that has come will have been heard."""
        self._taken_s = 0.0
        """How much of this turn has come."""
        self._left_s: float | None = None
        """What waits while playback is held; None: it is not."""
        self._is_bridge = False
        """Whether the last piece was a filler's."""

    def hear(self, turn_id: str, duration_s: float, now: float, *, is_filler: bool = False) -> None:
        """Takes a piece of sound."""
        is_new = turn_id != self.turn_id
        if is_new:
            self.turn_id, self.underruns, self.silence_s = turn_id, 0, 0.0
            self._taken_s, self._left_s = 0.0, None
        self._taken_s += duration_s
        was_bridge, self._is_bridge = self._is_bridge, is_filler
        if self._left_s is not None:
            self._left_s += duration_s
            return
        if now > self._ends_s:
            begins_s = now + STORE_S
            if not is_new and not was_bridge:
                self.underruns += 1
                self.silence_s += begins_s - self._ends_s
            self._ends_s = begins_s
        self._ends_s += duration_s

    def hold(self, now: float) -> None:
        """Playback stands still."""
        if self._left_s is None:
            self._left_s = max(0.0, self._ends_s - now)

    def go_on(self, now: float) -> None:
        """It goes on from where it was held."""
        if self._left_s is not None:
            self._ends_s, self._left_s = now + self._left_s, None

    def drop(self, now: float) -> None:
        """What was not heard never will be."""
        self._taken_s -= self.left_s(now)
        self._ends_s, self._left_s = min(self._ends_s, now), None

    def left_s(self, now: float) -> float:
        """Returns how much of what has come is still to be heard."""
        return max(0.0, self._ends_s - now) if self._left_s is None else self._left_s

    def heard_s(self, now: float) -> float:
        """Returns how much of the turn's sound was heard."""
        return max(0.0, self._taken_s - self.left_s(now))
