"""What may be asked twice: a token bucket over turns, so that a sick provider is not asked ever more. Pure.

The share bounds the extra requests in the long run; the burst lets a sick spell of a few turns be hedged
throughout. Retry budgets of this kind: Google SRE book, "Handling Overload"; gRPC A6.
"""

from __future__ import annotations

SCARCE_SHARE = 0.8


class Budget:
    """One worker's; hedges and repeated requests draw on it alike."""

    def __init__(self, share: float = 0.1, burst: float = 10.0) -> None:
        """``share``: extra requests a turn, 0..1; ``burst``: so many at most in a row. 0: none at all."""
        self._share, self._burst = share, burst
        self._left = burst

    @property
    def left(self) -> float:
        """Extra requests that could be made now; begins full."""
        return self._left

    @property
    def is_scarce(self) -> bool:
        """Whether so much of the burst is gone that the rest should go to those who need it most."""
        return self._left < SCARCE_SHARE * self._burst

    def spend(self) -> None:
        """Draws an extra request that is made in any case; those that can be left out save for it."""
        self._left = max(-self._burst, self._left - 1.0)

    def earn(self) -> None:
        """A turn has begun."""
        self._left = min(self._burst, self._left + self._share)

    def take(self) -> bool:
        """Draws one extra request; False: there is none left."""
        if self._share <= 0.0 or self._left < 1.0:
            return False
        self._left -= 1.0
        return True
