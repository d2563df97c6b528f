"""Which route now, when a second one is asked as well, what follows a failure, and when to give up.

Pure: time is passed in; ``chain`` and ``search`` do what is decided here. Routes are tried in the order of
the configuration, as far as their breakers are closed and their rate limits last. A route that is merely slow
still goes before a makeshift: a slow real answer is better than the scripted companion. The last route never
rests: it is the one that is always there.

The delay of the hedge, its budget and its limits: Dean & Barroso, "The Tail at Scale" (2013); gRPC A6.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from services.llm.budget import Budget
from services.llm.engine import MindFailed
from services.llm.record import Record, Way

HEDGE_MIN_S = 0.25
HEDGE_MAX_S = 0.4
HEDGE_LEAST_LEFT = 0.2
"""Of the other route's rate limit: below it, what is left is for turns that have no other way."""
LEAST_LEFT = 0.05
"""Below it a route is passed over while there is another."""
RETRY_MIN_S = 0.05
RETRY_MAX_S = 0.15
LEAST_TRY_S = 0.1
"""With less time than this no provider is asked any more."""
_TIMED_OUT, _THEIR_FAULT = 408, 500
_SHARED = {"connect", "refused", "timeout"}
"""Faults of the way or of the key, that all models of one provider share."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the operator may choose of all this."""

    slow_s: float = 0.5
    hedge_share: float = 0.1
    """Extra requests (hedges, and the same route asked again) a turn; 0: none."""
    hedge_burst: float = 10.0
    warm_every_s: float = 20.0


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A route failed before its first token."""

    route: str
    error: MindFailed
    is_repeated: bool = False
    """A route of this turn was asked again already."""
    chance: float = 0.0
    """0..1, drawn for the jitter of asking the same again."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is done then."""

    route: str
    wait_s: float = 0.0
    is_repeat: bool = False
    """The same route is asked again."""


class Routes:
    """All routes of one worker, in order."""

    def __init__(self, ways: Sequence[Way], policy: Policy | None = None) -> None:
        policy = policy or Policy()
        self._records = {way.name: Record(way, slow_s=policy.slow_s) for way in ways}
        self._last = self._records[ways[-1].name]
        self._warm_every_s = policy.warm_every_s
        self.budget = Budget(policy.hedge_share, policy.hedge_burst)

    def __getitem__(self, name: str) -> Record:
        """Returns what is known of one route."""
        return self._records[name]

    def pick(self, now_s: float, tried: Collection[str] = (), *, first: str = "") -> str | None:
        """Returns the route that is asked now, of those not tried in this turn; None: there is none left.

        ``first``: the one that goes before the others as long as it is as well as they are; no makeshift.
        """
        left = [record for name, record in self._records.items() if name not in tried]
        left.sort(key=lambda record: record.way.name != first)
        return next((record.way.name for record in self._in_order(left, now_s)), None)

    def makeshift(self, tried: Collection[str]) -> str | None:
        """Returns the route that is left when no provider can answer in time any more."""
        return next(
            (name for name, one in self._records.items() if one.way.is_degraded and name not in tried), None
        )

    def hedge_delay_s(self, name: str) -> float:
        """Returns how long a first token is waited for before another route is asked as well.

        That is its 90th percentile, within bounds. Every tenth turn is hedged then even while all is well,
        so when the budget runs low it is the upper bound, and the rest is left for sick spells.
        """
        p90_s = self._records[name].breaker.first_token_s(0.9)
        if p90_s is None or self.budget.is_scarce:
            return HEDGE_MAX_S
        return min(HEDGE_MAX_S, max(HEDGE_MIN_S, p90_s))

    def hedge(self, name: str, now_s: float, tried: Collection[str]) -> str | None:
        """Returns who is asked besides ``name``, and draws on the budget.

        Preferably a healthy route, of another provider; one that rests for slowness may be well again.
        """
        own = self._records[name].way
        if own.is_degraded:
            return None
        fit = [
            record
            for other, record in self._records.items()
            if other not in tried
            and record.is_usable
            and not record.way.is_degraded
            and record.left(now_s) >= HEDGE_LEAST_LEFT
        ]
        fit.sort(key=lambda record: (not record.is_healthy, record.way.engine == own.engine))
        return fit[0].way.name if fit and self.budget.take() else None

    def after(self, trouble: Trouble, *, tried: Collection[str], now_s: float, left_s: float) -> Step | None:
        """Returns what follows a failure before the first token, ``left_s`` before the turn gives up.

        Another healthy route answers sooner than the same one recovers; the same one is asked again, once and
        within the budget, before a slow one or a makeshift is. None: nobody is left.
        """
        if left_s < LEAST_TRY_S:
            name = self.makeshift(tried)
            return None if name is None else Step(route=name)
        name = self._other(trouble, tried, now_s)
        is_other_healthy = name is not None and self._records[name].is_healthy
        again_s = None if trouble.is_repeated else _again_after_s(trouble.error)
        if again_s is not None and not is_other_healthy:
            wait_s = max(again_s, RETRY_MIN_S + (RETRY_MAX_S - RETRY_MIN_S) * trouble.chance)
            if wait_s + LEAST_TRY_S <= left_s and self.budget.take():
                return Step(route=trouble.route, wait_s=wait_s, is_repeat=True)
        if is_other_healthy:
            self.budget.spend()  # nobody would answer without it, but hedges have to save for it
        return None if name is None else Step(route=name)

    # ------------------------------------------------------------ upkeep

    def due(self, now_s: float) -> list[str]:
        """Returns the routes that have rested enough; the one probe of each begins herewith."""
        due = [name for name, record in self._records.items() if record.breaker.is_due(now_s)]
        for name in due:
            self._records[name].breaker.probe()
        return due

    def cold(self, now_s: float) -> list[str]:
        """Returns the routes that turns may take and none has taken for a while; counts them as used."""
        cold = [
            name
            for name, record in self._records.items()
            if record.is_usable and now_s - record.used_s >= self._warm_every_s
        ]
        for name in cold:
            self._records[name].used_s = now_s
        return cold

    def state(self, name: str, now_s: float) -> Literal["serving", "standby", "failed", "absent"]:
        """Returns what a route is now; ``serving`` is the one that the next turn asks first."""
        record = self._records[name]
        if name == self.pick(now_s):
            return "serving"
        if record.trouble is not None and record.trouble.is_absent:
            return "absent"
        return "standby" if record.is_usable and record.is_proven else "failed"

    def _other(self, trouble: Trouble, tried: Collection[str], now_s: float) -> str | None:
        """Returns who is next; what is likely to have struck a whole provider leads to another one first."""
        if trouble.error.fault in _SHARED:
            engine = self._records[trouble.route].way.engine
            kin = {name for name, record in self._records.items() if record.way.engine == engine}
            name = self.pick(now_s, kin.union(tried))
            if name is not None and self._records[name].is_healthy:
                return name
        return self.pick(now_s, tried)

    def _in_order(self, records: Sequence[Record], now_s: float) -> Iterator[Record]:
        healthy = [record for record in records if record.is_healthy]
        yield from (record for record in healthy if record.left(now_s) >= LEAST_LEFT)
        yield from healthy
        yield from (one for one in records if one.breaker.is_only_slow and not one.way.is_degraded)
        yield from (record for record in records if record.breaker.state == "closed")
        yield from (record for record in records if record is self._last)


def _again_after_s(error: MindFailed) -> float | None:
    """Returns how long the provider wants to be left alone before the same again; None: it is no use."""
    if error.fault == "rate_limited":
        return error.retry_after_s
    is_passing = error.fault == "connect" or error.status == _TIMED_OUT or error.status >= _THEIR_FAULT
    return (error.retry_after_s or 0.0) if is_passing else None
