"""One timer that is set again and again: a session's next deadline.

Where it rings late, this process stood still, or the whole machine did: what the others said meanwhile is not
read yet, and whoever stood still as well has had no time to say anything. Nobody is taken for silent by that:
it rings a little later, once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

LATE_S = 0.1
PUT_OFF_AT_MOST_S = 0.5
"""Whoever is at work says so as soon as it can, when it should have done so before."""


class Alarm:
    """Rings when it was set to, by the given clock; a deadline that only moved back may ring early."""

    def __init__(self, clock: Callable[[], float], ring: Callable[[], object]) -> None:
        self._clock, self._ring = clock, ring
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._not_before = -math.inf

    def set(self, at: float | None) -> None:
        """Sets the next deadline; None: there is none."""
        if at is not None:
            at = max(at, self._not_before, self._clock())
        if self._timer is not None and (at is None or at < self._rings_at):
            self.cancel()
        if self._timer is None and at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self._clock()), self._rang)
            self._rings_at = at

    def cancel(self) -> None:
        """Does not ring any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rang(self) -> None:
        self._timer = None
        now = self._clock()
        late_s = now - self._rings_at
        if late_s > LATE_S and self._rings_at > self._not_before:
            self._not_before = now + min(late_s, PUT_OFF_AT_MOST_S)
            self.set(now)
        else:
            self._ring()
