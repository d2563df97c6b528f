"""What a benchmark's figures have to reach: told at its end, and with ``--strict`` its exit status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import columns


@dataclass(frozen=True, slots=True)
class Aim:
    """One figure and its bound, in one unit."""

    name: str
    reached: float
    bound: float
    unit: str = "ms"
    is_least: bool = False
    """The figure is to be at least the bound; else at most."""

    @property
    def is_met(self) -> bool:
        """Whether the bound is kept; a figure that is no number keeps none."""
        return self.reached >= self.bound if self.is_least else self.reached <= self.bound


def verdict(aims: Sequence[Aim]) -> str:
    """Returns the aims as a Markdown table, the missed ones marked."""
    rows = [
        (
            aim.name,
            f"{aim.reached:.4g} {aim.unit}".strip(),
            f"{'≥' if aim.is_least else '≤'} {aim.bound:g}",
            "met" if aim.is_met else "**missed**",
        )
        for aim in aims
    ]
    return columns(("aim", "reached", "bound", ""), rows)


def missed(aims: Sequence[Aim]) -> list[str]:
    """Returns the names of those that were not reached."""
    return [aim.name for aim in aims if not aim.is_met]


def judge(aims: Sequence[Aim], *, is_strict: bool) -> int:
    """Prints the verdict; returns the exit status: 1 where one was missed and ``is_strict``."""
    if not aims:
        return 0
    print(verdict(aims))
    return int(is_strict and bool(missed(aims)))
