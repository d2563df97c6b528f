"""How much of everything a key may use: the arithmetic, on a clock that is given. Pure.

Two kinds of limit. What is **used up** (audio a day, tokens a minute) is a ``Tally`` in the store that all
gateways share, and an ``Account`` at each gateway: it reserves a slice of the tally, spends it without asking
anybody, and settles now and then. What was spent beyond the slice is charged as well, so a tally may go
below zero; nothing more begins then until it has risen above it. What is **held** (sessions) is a lease of
each gateway, which lapses if it is not renewed: a gateway that dies gives back what it held.

All gateways' clocks are taken to agree to a second or two, as NTP keeps them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from shared.errors import EvaError
from shared.keys import KeyLimits

DAY_S, MINUTE_S = 86_400.0, 60.0
SLICE = 0.1
"""The share of a limit that a gateway reserves at a time."""
LONGEST_SLICE = {"audio_seconds": 30.0, "tokens": 4000.0}
LEASE_S = 30.0
"""A gateway that does not renew its lease for so long has none."""
RATE_LIMIT_HEADERS = tuple(
    f"x-ratelimit-{figure}-{name}"
    for name in ("tokens", "audio-seconds")
    for figure in ("limit", "remaining", "reset")
)


class LimitReached(EvaError):
    """A key has used up what it may use for now; ``limit`` is its name, as ``Allowance`` has it."""

    code: ClassVar[str] = "rate_limit_exceeded"

    def __init__(self, message: str, *, limit: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.limit, self.retry_after_s = limit, retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much of one thing a guest may still use."""

    name: str
    """``audio_seconds`` (heard and spoken, a day) or ``tokens`` (a minute)."""
    limit: float
    remaining: float
    """Not below 0."""
    reset_s: float
    """Until it is ``limit`` again if nothing more is used, seconds."""


def rate_limit_headers(allowances: Iterable[Allowance]) -> dict[str, str]:
    """Returns what OpenAI's clients read: ``x-ratelimit-limit-tokens``, ``-remaining-`` and ``-reset-``.

    The same of ``audio-seconds``, which OpenAI has not. Numbers are whole, what remains is rounded down; the
    time is a duration as Go writes it (``6m0s``, ``120ms``), as OpenAI tells it.
    """
    headers = {}
    for each in allowances:
        name = each.name.replace("_", "-")
        headers[f"x-ratelimit-limit-{name}"] = str(int(each.limit))
        headers[f"x-ratelimit-remaining-{name}"] = str(int(each.remaining))
        headers[f"x-ratelimit-reset-{name}"] = _duration(each.reset_s)
    return headers


def _duration(seconds: float) -> str:
    """Returns it in Go's notation, rounded up: to a millisecond below one second, else to a second."""
    if seconds <= 0.999:
        ms = math.ceil(1000 * seconds)
        return f"{ms}ms" if ms else "0s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{rest}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A limit on what is used up."""

    name: str
    limit: float
    period_s: float
    is_window: bool
    """All of it comes back when a new period begins (counted from 1970, so a day is a day of UTC); otherwise
    it comes back bit by bit, as into a bucket (https://en.wikipedia.org/wiki/Token_bucket)."""

    @property
    def slice(self) -> float:
        """What a gateway reserves at a time."""
        return min(self.limit * SLICE, LONGEST_SLICE[self.name])


def quotas(limits: KeyLimits) -> tuple[Quota, ...]:
    """Returns a key's limits on what is used up."""
    found = []
    if limits.audio_s_per_day:
        found.append(
            Quota(name="audio_seconds", limit=limits.audio_s_per_day, period_s=DAY_S, is_window=True)
        )
    if limits.tokens_per_min:
        found.append(Quota(name="tokens", limit=limits.tokens_per_min, period_s=MINUTE_S, is_window=False))
    return tuple(found)


class Tally(msgspec.Struct, frozen=True):
    """What was left of a quota at a moment, reserved slices taken off."""

    left: float
    """May be below 0: more was spent than there was."""
    at: float
    """Seconds since 1970."""


def tally_at(quota: Quota, tally: Tally | None, now: float) -> Tally:
    """Returns the tally as it is now; None: nothing was ever used. A clock that goes back changes nothing."""
    if tally is None:
        return Tally(quota.limit, now)
    if now <= tally.at:
        return Tally(min(tally.left, quota.limit), tally.at)
    if quota.is_window:
        is_new = now // quota.period_s > tally.at // quota.period_s
        return Tally(quota.limit if is_new else min(tally.left, quota.limit), now)
    risen = tally.left + (now - tally.at) * quota.limit / quota.period_s
    return Tally(min(quota.limit, risen), now)


def reset_s(quota: Quota, tally: Tally, now: float) -> float:
    """Returns when a quota is whole again if nothing more is used, seconds from now."""
    current = tally_at(quota, tally, now)
    if current.left >= quota.limit:
        return 0.0
    if quota.is_window:
        return quota.period_s - now % quota.period_s
    return (quota.limit - current.left) * quota.period_s / quota.limit


def retry_s(quota: Quota, tally: Tally, now: float) -> float:
    """Returns when there is something of a quota again, seconds from now; 0: there is."""
    current = tally_at(quota, tally, now)
    if current.left > 0:
        return 0.0
    if quota.is_window:
        return quota.period_s - now % quota.period_s
    return max(1.0, (1 - current.left) * quota.period_s / quota.limit)


@dataclass(frozen=True, slots=True)
class Bill:
    """What a gateway wants of the tally: a debt is charged in any case, a slice is given if there is one."""

    owed: float
    wanted: float
    """Below 0: what it gives back."""


def settle(quota: Quota, tally: Tally | None, bill: Bill, now: float) -> tuple[Tally, float]:
    """Returns the tally behind a bill, and how much of what was wanted it gave."""
    current = tally_at(quota, tally, now)
    left = current.left - bill.owed
    given = min(bill.wanted, max(0.0, left))
    return Tally(min(quota.limit, left - given), current.at), given


class Account:
    """One gateway's part of one quota of one key."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.reserved = 0.0
        """Of the slice; below 0: spent beyond it."""
        self.tally: Tally | None = None
        """As it was last read; None: not yet."""
        self._is_idle = False

    def check(self, now: float) -> None:
        """Raises ``LimitReached`` if there is nothing left, neither reserved nor in the tally."""
        if self.reserved > 0 or self.tally is None:
            return
        wait_s = retry_s(self.quota, Tally(self.tally.left + self.reserved, self.tally.at), now)
        if wait_s > 0:
            per = "a day" if self.quota.is_window else "a minute"
            what = self.quota.name.replace("_", " ")
            raise LimitReached(
                f"this key may use {self.quota.limit:g} {what} {per}, and has used them",
                limit=self.quota.name,
                retry_after_s=wait_s,
            )

    def spend(self, amount: float, now: float) -> None:
        """Spends, beyond the slice if need be. Raises ``LimitReached`` if nothing was left before."""
        self.check(now)
        self.reserved -= amount
        self._is_idle = False

    def bill(self) -> Bill | None:
        """Returns what is to be settled; None: nothing. If nothing was spent since, the slice goes back."""
        if self._is_idle:
            return Bill(0.0, -self.reserved) if self.reserved > 0 else None
        self._is_idle = True
        owed = max(0.0, -self.reserved)
        if not owed and self.tally is not None and self.reserved > self.quota.slice / 2:
            return None
        return Bill(owed, self.quota.slice - max(0.0, self.reserved))

    def settled(self, bill: Bill, tally: Tally, given: float) -> None:
        """Takes what the tally gave; what was spent meanwhile stays spent."""
        self.tally = tally
        self.reserved += bill.owed + given

    def allowance(self, now: float) -> Allowance:
        """Returns what is left."""
        current = tally_at(self.quota, self.tally, now)
        return Allowance(
            name=self.quota.name,
            limit=self.quota.limit,
            remaining=min(self.quota.limit, max(0.0, current.left + self.reserved)),
            reset_s=reset_s(self.quota, Tally(current.left + min(0.0, self.reserved), current.at), now),
        )


class Lease(msgspec.Struct, frozen=True):
    """The sessions that one gateway has open for a key."""

    count: int
    until: float
    """Seconds since 1970."""


Leases = dict[str, Lease]
"""By gateway."""


def living(leases: Leases, now: float) -> Leases:
    """Returns the leases that have not lapsed."""
    return {gw: lease for gw, lease in leases.items() if lease.until > now and lease.count > 0}


def hold(leases: Leases, gw: str, count: int, now: float) -> Leases:
    """Returns the leases with one gateway's own set to ``count``, for ``LEASE_S`` from now."""
    others = {other: lease for other, lease in living(leases, now).items() if other != gw}
    return others | ({gw: Lease(count, now + LEASE_S)} if count > 0 else {})


def check_sessions(leases: Leases, limit: int, now: float) -> None:
    """Raises ``LimitReached`` if more sessions are held than the limit allows."""
    held = sum(lease.count for lease in living(leases, now).values())
    if held > limit:
        plural = "s" if limit > 1 else ""
        raise LimitReached(
            f"this key may have {limit} session{plural} at a time, and has them",
            limit="sessions",
            retry_after_s=1.0,
        )
