"""A clock that stands still while its process does. Pure.

What the others said meanwhile is not read yet, and where the whole machine stood still they had no time to
say anything: by this clock nobody is taken for silent because of that.
"""

from __future__ import annotations

from collections.abc import Callable

LOOK_EVERY_S = 0.25
LATE_S = 0.25
"""So late a look may come in a process that lives; whatever is beyond it is not counted."""


class Awake:
    """Seconds, monotonic. ``clock``: goes on whatever stands still."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._looked_at: float | None = None
        """None: nobody looks, and every second counts."""
        self._still_s = 0.0

    def __call__(self) -> float:
        """Returns what it shows."""
        return self._counted(self._clock()) - self._still_s

    def look(self) -> None:
        """Is called every ``LOOK_EVERY_S`` by a process that lives."""
        now = self._clock()
        self._still_s += now - self._counted(now)
        self._looked_at = now

    def look_away(self) -> None:
        """Nobody looks any more."""
        self.look()
        self._looked_at = None

    def _counted(self, now: float) -> float:
        return now if self._looked_at is None else min(now, self._looked_at + LOOK_EVERY_S + LATE_S)
