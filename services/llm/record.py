"""What one route has shown so far: its breaker, its rate limits, its counts, and why it is not serving. Pure.

Each worker learns for itself and forgets with its end: nothing is shared, nothing survives.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.llm.breaker import Breaker, Sample
from services.llm.engine import Limits, MindFailed

_AT_ONCE = {"absent", "refused", "rate_limited"}
"""Faults that the next turn would find again: one is proof enough."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """What is known of a route beforehand."""

    name: str
    engine: str
    """The provider: the same for all its models."""
    is_degraded: bool = False


@dataclass(slots=True)
class Tally:
    """Of one route since start."""

    turns: int = 0
    """Requests made on it, for whatever reason."""
    errors: int = 0
    hedges: int = 0
    """Of the requests, those that were made because another route was slow."""
    hedge_wins: int = 0
    retries: int = 0
    """Of the requests, those that were made because one before had failed."""
    wasted_usd: float = 0.0
    """Estimated, for requests that nobody waited for any more."""


class Record:
    """One route's; times are the caller's clock, in seconds."""

    def __init__(self, way: Way, *, slow_s: float) -> None:
        self.way = way
        self.breaker = Breaker(slow_s)
        self.tally = Tally()
        self.is_proven = False
        self.used_s = 0.0
        """When it was last asked, proven or warmed."""
        self.trouble: MindFailed | None = None
        """The last failure, until it answers or is proven; without its traceback."""
        self._limits: Limits | None = None
        self._limited_until_s = 0.0

    @property
    def is_healthy(self) -> bool:
        """Whether turns may take it without a second thought."""
        return self.breaker.state == "closed" and not self.way.is_degraded

    @property
    def is_usable(self) -> bool:
        """Whether it answers, be it slowly."""
        return self.breaker.state == "closed" or self.breaker.is_only_slow

    def left(self, now_s: float) -> float:
        """Returns the share of the rate limits that is left, 0..1, as far as it is known."""
        return 1.0 if self._limits is None or now_s >= self._limited_until_s else self._limits.left

    # ------------------------------------------------------------ what happens to it

    def asked(self, now_s: float) -> None:
        """A request goes out on it."""
        self.tally.turns += 1
        self.used_s = now_s

    def told(self, limits: Limits | None, now_s: float) -> None:
        """The provider has said what is left of its rate limits."""
        if limits is not None:
            self._limits, self._limited_until_s = limits, now_s + limits.resets_s

    def began(self, first_token_s: float, now_s: float) -> Sample:
        """It answers a turn; keep what is returned for ``broke``."""
        self.trouble, self.is_proven = None, True
        return self.breaker.began(first_token_s, now_s)

    def failed(self, error: MindFailed, now_s: float) -> bool:
        """It gave a turn no answer. Returns whether this is news, as all that follow do."""
        self.tally.errors += 1
        if error.retry_after_s is not None or error.fault in _AT_ONCE:
            self.breaker.trip(now_s, asked_s=error.retry_after_s)
        else:
            self.breaker.failed(now_s, is_slow=error.fault == "timeout")
        return self._is_news(error, now_s)

    def broke(self, error: MindFailed, sample: Sample, now_s: float) -> bool:
        """The answer that it gave broke off."""
        self.tally.errors += 1
        self.breaker.broke(sample, now_s)
        return self._is_news(error, now_s)

    def refuted(self, error: MindFailed, now_s: float) -> bool:
        """Its proof failed: it is not asked until one succeeds."""
        self.used_s = now_s
        self.breaker.trip(now_s, asked_s=error.retry_after_s)
        return self._is_news(error, now_s)

    def proven(self, took_s: float, now_s: float) -> bool:
        """Its proof succeeded, after so long."""
        is_news = self.trouble is not None or not self.is_proven
        self.used_s = now_s
        self.trouble, self.is_proven = None, True
        self.breaker.passed(took_s, now_s)
        return is_news

    def _is_news(self, error: MindFailed, now_s: float) -> bool:
        self.told(error.limits, now_s)
        is_news = self.trouble is None or self.trouble.reason != error.reason
        self.trouble = MindFailed(error.engine, error.reason, fault=error.fault, hint=error.hint)
        return is_news

    # ------------------------------------------------------------ figures

    def why(self) -> tuple[str, str]:
        """Returns why it does not serve, in one line, and the command that would mend it; empty: it does."""
        if self.trouble is not None:
            return self.trouble.reason, self.trouble.hint
        return "" if self.breaker.state == "closed" else self.breaker.why, ""

    def numbers(self, now_s: float) -> dict[str, float]:
        """Returns its figures by name; milliseconds, shares 0..1, US dollars, counts."""
        slow_share, error_share = self.breaker.shares(now_s)
        known: dict[str, float | None] = {
            "first_token_ms_p50": _ms(self.breaker.first_token_s(0.5)),
            "first_token_ms_p90": _ms(self.breaker.first_token_s(0.9)),
            "slow_share": slow_share,
            "error_share": error_share,
            "turns": self.tally.turns,
            "errors": self.tally.errors,
            "hedges": self.tally.hedges,
            "hedge_wins": self.tally.hedge_wins,
            "retries": self.tally.retries,
            "wasted_usd": self.tally.wasted_usd,
        }
        if self._limits is not None and now_s < self._limited_until_s:
            known["limit_requests_left"] = self._limits.requests
            known["limit_tokens_left"] = self._limits.tokens
        return {name: float(value) for name, value in known.items() if value is not None}


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else 1000.0 * value_s
