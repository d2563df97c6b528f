"""How much of the threads' time partials may take: a share that is earned as time goes by. Pure.

Work is paid for when it is admitted, by what it is expected to cost, and settled up when it is done. What was
not used is kept for a moment only, so a quiet minute does not buy a busy one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class Allowance:
    """Seconds of thread time; ``now_s`` is any clock that goes forward."""

    per_s: float
    """What each second brings."""
    most_s: float
    """What can be kept."""
    left_s: float = 0.0
    """May be below 0: what was admitted cost more than was expected."""
    _at_s: float | None = None

    def admits(self, cost_s: float, now_s: float) -> bool:
        """Whether so much may be spent now."""
        if self._at_s is None:
            self.left_s = self.most_s
        else:
            self.left_s = min(self.most_s, self.left_s + self.per_s * max(0.0, now_s - self._at_s))
        self._at_s = now_s
        return cost_s <= self.left_s

    def spend(self, cost_s: float) -> None:
        """Takes it; a negative cost gives back."""
        self.left_s -= cost_s
