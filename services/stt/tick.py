"""How long a frame waits for others to share a model call with. Pure: time is passed in.

A batch is cheaper per frame than a call for each, but only if there is company; so the wait depends on how
many frames come. While fewer than ``company`` more are to be expected within the longest wait, nobody waits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MEMORY_S = 0.25
"""What came so long ago counts 1/e for the rate of now."""


@dataclass(kw_only=True)
class Tick:
    """The rate of frames, and what follows from it."""

    longest_s: float = 0.008
    """No frame waits longer for company."""
    company: float = 3.0
    """Frames to be expected within that time that make it worth while: 12 sessions in real time."""
    _weight: float = 0.0
    _at_s: float = 0.0

    def arrived(self, now_s: float) -> None:
        """Notes one frame."""
        self._weight = self._faded(now_s) + 1.0
        self._at_s = now_s

    def rate_hz(self, now_s: float) -> float:
        """Returns the frames per second of late."""
        return self._faded(now_s) / MEMORY_S

    def wait_s(self, now_s: float, oldest_s: float) -> float:
        """Returns how long the frames that are there wait from now on; the oldest came at ``oldest_s``."""
        if self.rate_hz(now_s) * self.longest_s < self.company:
            return 0.0
        return max(0.0, oldest_s + self.longest_s - now_s)

    def _faded(self, now_s: float) -> float:
        return self._weight * math.exp(-max(0.0, now_s - self._at_s) / MEMORY_S)
