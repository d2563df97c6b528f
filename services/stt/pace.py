"""How long this person pauses within what they say: learnt from what happened, as one number.

People differ by a factor of three in how long they pause in mid-sentence, so a fixed threshold is rude to
some and slow with the others. The number is an expectile of the person's pauses (asymmetric least squares,
Newey and Powell 1987), followed one pause at a time: a pause longer than expected pulls hard, a shorter one
a little, and each turn that ended well pulls back to where the adapting began.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

RATE = 0.2
"""How far one pause moves the number."""
ASYMMETRY = 0.8
"""How much more a pause counts that is longer than expected, against 1 minus it for a shorter one."""
CUT_IN_RATE = 0.4
"""How far a pause moves it in which the person was cut off: that must not happen twice."""
FORGET = 0.05
"""How far each turn pulls back to the beginning."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """One person's pauses, milliseconds; each method returns the next state."""

    expected_ms: float
    """Most pauses within what this person says are shorter."""
    start_ms: float
    """What the adapting began with."""
    shortest_ms: float
    longest_ms: float
    is_learnt: bool = False
    """Whether anything has been heard of this person yet."""

    def paused(self, pause_ms: float) -> Pace:
        """The person paused so long, and went on."""
        weight = ASYMMETRY if pause_ms > self.expected_ms else 1.0 - ASYMMETRY
        return self._moved(RATE * weight * (pause_ms - self.expected_ms))

    def cut_in(self, pause_ms: float) -> Pace:
        """The person paused so long, was taken to be done, and went on."""
        return self._moved(CUT_IN_RATE * max(0.0, pause_ms - self.expected_ms))

    def ended(self) -> Pace:
        """A turn is over."""
        kept = self.is_learnt
        return replace(self._moved(FORGET * (self.start_ms - self.expected_ms)), is_learnt=kept)

    def _moved(self, by_ms: float) -> Pace:
        expected_ms = min(max(self.expected_ms + by_ms, self.shortest_ms), self.longest_ms)
        return replace(self, expected_ms=expected_ms, is_learnt=True)


def pace(*, start_ms: float, learnt_ms: float, shortest_ms: float, longest_ms: float) -> Pace:
    """Returns the state to begin with; ``learnt_ms`` 0: nothing is known of this person."""
    start_ms = min(max(start_ms, shortest_ms), longest_ms)
    expected_ms = min(max(learnt_ms or start_ms, shortest_ms), longest_ms)
    return Pace(
        expected_ms=expected_ms,
        start_ms=start_ms,
        shortest_ms=shortest_ms,
        longest_ms=longest_ms,
        is_learnt=learnt_ms > 0,
    )
