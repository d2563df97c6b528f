"""A finished review: its rows with score and verdict, and what has changed since the last one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from eva.review_facts import TurnSeen
from eva.review_scale import Criterion, State

Verdict = Literal["passed", "weak", "blocked"]
PASS_SCORE = 80.0
LOST_SHARE = 0.1
"""Of a criterion's points: a loss of more is a regression, and so is a new blocker."""
SLOWER, SLOWER_S = 1.2, 0.05
"""A median that is so many times the last one, and so many seconds later, is a regression too."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the review ran; EVA may be elsewhere."""

    cpu: str
    cores: int
    load: float
    """Processes that wanted to run, by the mean of the last minute, when the review began."""
    system: str
    python: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A criterion now, against the last review."""

    name: str
    before: float
    now: float
    """Points."""
    is_regression: bool
    note: str = ""


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """One review, as it is saved."""

    at: str
    """ISO 8601, UTC."""
    url: str
    eva_version: str
    machine: Machine
    engines: dict[str, str]
    """What serves each stage."""
    rows: list[Criterion]
    turns: list[TurnSeen] = []
    since: str = ""
    """When the review was made that this one is compared with."""
    changes: list[Change] = []
    limits_broken: list[str] = []
    took_s: float = 0.0

    @property
    def blockers(self) -> list[Criterion]:
        """What an operator must not live with."""
        return [row for row in self.rows if row.state == "blocker"]

    @property
    def regressions(self) -> list[Change]:
        """What was better in the last review."""
        return [change for change in self.changes if change.is_regression]

    @property
    def score(self) -> float:
        """Points as a share of those that could be had, 0..100."""
        return score(self.rows)

    @property
    def verdict(self) -> Verdict:
        """Of the whole."""
        if self.blockers:
            return "blocked"
        return "passed" if self.score >= PASS_SCORE else "weak"

    @property
    def figures(self) -> dict[str, float]:
        """Everything that a limit may be about."""
        own = {name: value for row in self.rows for name, value in row.figures.items()}
        counts = {"blockers": float(len(self.blockers)), "regressions": float(len(self.regressions))}
        return own | counts | {"score": self.score}


def score(rows: Sequence[Criterion]) -> float:
    """Returns the points as a share of those that apply, 0..100."""
    whole = sum(row.of for row in rows if row.state != "n/a")
    return round(100 * sum(row.points for row in rows if row.state != "n/a") / whole, 1) if whole else 0.0


def changes(before: Sequence[Criterion], now: Sequence[Criterion]) -> list[Change]:
    """Returns how each criterion that both reviews have compares, regressions first."""
    last = {row.name: row for row in before if row.state != "n/a"}
    found = [_change(last[row.name], row) for row in now if row.state != "n/a" and row.name in last]
    return sorted(found, key=lambda change: not change.is_regression)


def _change(before: Criterion, now: Criterion) -> Change:
    notes = [_state_note(before.state, now.state)] if before.state != now.state else []
    slower = [
        f"{name} {before.figures[name]:.3f} → {value:.3f} s"
        for name, value in now.figures.items()
        if name.endswith("_p50") and name in before.figures and is_slower(before.figures[name], value)
    ]
    is_new_blocker = now.state == "blocker" != before.state
    has_lost = before.points - now.points > LOST_SHARE * now.of
    return Change(
        name=now.name,
        before=round(before.points, 2),
        now=round(now.points, 2),
        is_regression=is_new_blocker or has_lost or bool(slower),
        note="; ".join(notes + slower),
    )


def is_slower(before_s: float, now_s: float) -> bool:
    """Whether a latency is clearly worse than it was, and not by a hair of a small one."""
    return now_s > before_s * SLOWER and now_s - before_s > SLOWER_S


def _state_note(before: State, now: State) -> str:
    return f"{before} → {now}"
