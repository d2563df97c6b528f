"""The health of one route, learnt from its turns: closed, open for a while, half open with one probe. Pure.

It opens on errors and on slowness: over the last 20 turns of the last 30 s, at half of them in error or 40 %
slow to begin (a provider's tail is far more often slow than broken). Four turns are the least to judge a
share by: two slow ones of four are a chance of 1.4 % where one in twenty is slow anyhow. One person alone
makes fewer in 30 s, so then the last four of two minutes are judged. Two bad turns in a row open it as well:
a sick spell comes at once, and behind a dozen good turns the share would be reached only at its end (6,000
turns of a swinging provider: 2.8 instead of 3.8 % of first tokens over 800 ms, with fewer hedges). Where one
turn in twenty is slow anyhow, this rests a route in vain once in 400 turns.

An open route rests for 5 s, twice as long each time up to a minute, or as long as the provider asks for; then
one probe decides. A probe is no turn and may look good while turns are slow, so a route comes back on trial:
its next two turns must be good, or it rests again and longer. After M. Nygard, "Release It!" (2007), with the
figures of Netflix's Hystrix for window and pause.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]
Cause = Literal["errors", "slowness"]

WINDOW_TURNS = 20
WINDOW_S = 30.0
SPARSE_WINDOW_S = 120.0
"""How old the last four turns may be, where there were fewer within the window."""
LEAST_TURNS = 4
ERROR_SHARE = 0.5
SLOW_SHARE = 0.4
IN_A_ROW = 2
"""So many bad turns are enough, whatever was before: all of them errors, or all of them slow."""
TRIAL_TURNS = 2
REST_MIN_S = 5.0
REST_MAX_S = 60.0
ASKED_REST_MAX_S = 600.0
"""A provider may ask for a longer rest than ours, but not for ever: it can be wrong, too."""


@dataclass(slots=True)
class Sample:
    """What one turn found."""

    at_s: float
    is_slow: bool = False
    is_error: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether the route should not have been asked."""
        return self.is_slow or self.is_error


class Breaker:
    """One route's; times are the caller's clock, in seconds."""

    def __init__(self, slow_s: float = 0.5) -> None:
        """``slow_s``: a first token later than this is slow."""
        self.state: BreakerState = "closed"
        self.cause: Cause = "errors"
        """Of the last opening."""
        self.why = ""
        """The last opening in words; empty: it was told by the failure itself."""
        self._slow_s = slow_s
        self._samples: deque[Sample] = deque(maxlen=WINDOW_TURNS)
        self._first_tokens_s: deque[float] = deque(maxlen=WINDOW_TURNS)
        self._opened_s = -math.inf
        self._rests_until_s = -math.inf
        self._openings = 0
        self._trial_turns = 0

    @property
    def is_only_slow(self) -> bool:
        """Whether it is open for nothing but slowness: better than nothing."""
        return self.state != "closed" and self.cause == "slowness"

    # ------------------------------------------------------------ what turns find

    def began(self, first_token_s: float, now_s: float) -> Sample:
        """The first token came after so long; keep what is returned for ``broke``."""
        self._first_tokens_s.append(first_token_s)
        sample = Sample(now_s, is_slow=first_token_s > self._slow_s)
        is_asked_since = now_s - first_token_s >= self._opened_s
        if self.state != "closed" and is_asked_since and not sample.is_slow:
            self._close()  # a good turn is worth more than a probe
        self._learn(sample, now_s)
        return sample

    def waited(self, waited_s: float, now_s: float, *, is_late: bool = False) -> None:
        """Nobody waited any longer; ``is_late``: because another route was sooner, though asked later."""
        if is_late or waited_s > self._slow_s:
            self._first_tokens_s.append(waited_s)
            self._learn(Sample(now_s, is_slow=True), now_s)

    def failed(self, now_s: float, *, is_slow: bool = False) -> None:
        """It gave an error instead of a first token; ``is_slow``: that of having waited too long."""
        self._learn(Sample(now_s, is_slow=is_slow, is_error=True), now_s)

    def broke(self, sample: Sample, now_s: float) -> None:
        """The answer that had begun so well broke off."""
        sample.is_error = True
        self._judge(now_s)

    def trip(self, now_s: float, *, asked_s: float | None = None) -> None:
        """Opens at once, for what one failure is proof enough; ``asked_s``: the provider's own wish."""
        self._open("errors", now_s, asked_s=asked_s)

    # ------------------------------------------------------------ probes

    def is_due(self, now_s: float) -> bool:
        """Whether it has rested enough and wants its probe."""
        return self.state == "open" and now_s >= self._rests_until_s

    def probe(self) -> None:
        """The one probe begins."""
        self.state = "half_open"

    def passed(self, took_s: float, now_s: float) -> None:
        """The probe was good; one that is slow itself does not mend slowness."""
        if self.state != "half_open":
            return
        if self.cause == "slowness" and took_s > self._slow_s:
            self._open("slowness", now_s, why=f"its probe took {1000 * took_s:.0f} ms")
        else:
            self._close()

    # ------------------------------------------------------------ figures

    def shares(self, now_s: float) -> tuple[float, float]:
        """Returns the shares of slow turns and of errors, 0..1, in the window."""
        recent = self._recent(now_s)
        count = max(1, len(recent))
        slow, errors = sum(one.is_slow for one in recent), sum(one.is_error for one in recent)
        return slow / count, errors / count

    def first_token_s(self, share: float) -> float | None:
        """Returns the quantile of the last first tokens (nearest rank); None: there were none."""
        ordered = sorted(self._first_tokens_s)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None

    # ------------------------------------------------------------ decisions

    def _recent(self, now_s: float) -> list[Sample]:
        recent = [one for one in self._samples if now_s - one.at_s <= WINDOW_S]
        if len(recent) >= LEAST_TURNS:
            return recent
        return [one for one in list(self._samples)[-LEAST_TURNS:] if now_s - one.at_s <= SPARSE_WINDOW_S]

    def _learn(self, sample: Sample, now_s: float) -> None:
        self._samples.append(sample)
        if not sample.is_bad and self._trial_turns:
            self._trial_turns -= 1
            if not self._trial_turns:
                self._openings = 0
        self._judge(now_s)

    def _judge(self, now_s: float) -> None:
        recent = self._recent(now_s)
        if not recent or not recent[-1].is_bad or (self.state != "closed" and self.cause == "errors"):
            return  # a good turn opens nothing
        errors, slow = sum(one.is_error for one in recent), sum(one.is_slow for one in recent)
        count = len(recent)
        least = 1 if self._trial_turns else LEAST_TURNS
        last = recent[-IN_A_ROW:] if count >= IN_A_ROW else []
        are_errors = bool(last) and all(one.is_error for one in last)
        are_slow = bool(last) and all(one.is_slow for one in last)
        if are_errors or (count >= least and errors >= ERROR_SHARE * count):
            self._open("errors", now_s)
        elif self.state == "closed" and (are_slow or (count >= least and slow >= SLOW_SHARE * count)):
            turns = "turn" if count == 1 else "turns"
            why = f"{slow} of {count} {turns} slower than {1000 * self._slow_s:.0f} ms"
            self._open("slowness", now_s, why=why)

    def _open(self, cause: Cause, now_s: float, *, why: str = "", asked_s: float | None = None) -> None:
        rest_s = min(REST_MAX_S, REST_MIN_S * 2.0 ** min(self._openings, 8))
        if asked_s is not None:
            rest_s = min(ASKED_REST_MAX_S, max(0.0, asked_s))
        else:
            self._openings += 1
        self.state, self.cause, self.why = "open", cause, why
        self._opened_s, self._rests_until_s = now_s, now_s + rest_s
        self._trial_turns = 0

    def _close(self) -> None:
        self.state = "closed"
        self._trial_turns = TRIAL_TURNS
        self._samples.clear()
