"""How a review counts: percentiles, points, and how far two texts are apart. Pure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

import msgspec

P99_FROM = 100
"""Turns below which a 99th percentile would be one unlucky turn."""

State = Literal["ok", "short", "blocker", "n/a"]


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the scorecard."""

    name: str
    title: str
    of: float
    """Points to be had."""
    points: float = 0.0
    state: State = "ok"
    found: str = ""
    wanted: str = ""
    why: str = ""
    """What is wrong, in a sentence; empty where nothing is."""
    n: int = 0
    """How many measurements stand behind it."""
    figures: dict[str, float] = {}
    """Figures in seconds, shares or bytes, named as ``--fail-on`` names them; less is better."""


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the value at ``share`` (0..1] by nearest rank. ``values`` must not be empty."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Returns p50 and p95, and p99 from 100 values on; nothing of nothing."""
    if not values:
        return {}
    found = {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95)}
    if len(values) >= P99_FROM:
        found["p99"] = percentile(values, 0.99)
    return found


def ramp(value: float, whole: float, nothing: float) -> float:
    """Returns 1 up to ``whole``, 0 from ``nothing`` on, and between them on a line."""
    if value <= whole:
        return 1.0
    return 0.0 if value >= nothing else (nothing - value) / (nothing - whole)


def words_of(text: str) -> list[str]:
    """Returns the words as they are compared: lower case, no accents' variants, no punctuation."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", plain)


def word_errors(reference: str, heard: str) -> float:
    """Returns the word error rate: substitutions, deletions and insertions by the words of ``reference``.

    0 is the same; more than 1 is possible. Levenshtein's distance by Wagner and Fischer (1974).
    """
    wanted, got = words_of(reference), words_of(heard)
    row = list(range(len(got) + 1))
    for at, word in enumerate(wanted, 1):
        previous, row = row, [at]
        for place, other in enumerate(got, 1):
            swapped = previous[place - 1] + (word != other)
            row.append(min(previous[place] + 1, row[place - 1] + 1, swapped))
    return row[-1] / max(1, len(wanted))


def latency(
    criterion: Criterion, values_ms: Sequence[float], *, objective_ms: float, aim_ms: float | None = None
) -> Criterion:
    """Fills a row about a latency: half its points for the median, half for the 95th percentile.

    Both give all up to the objective (the median up to ``aim_ms``, where there is one) and nothing from twice
    the objective on. A median beyond that is a blocker, and so is nothing to measure.
    """
    best = objective_ms if aim_ms is None else aim_ms
    wanted = f"< {objective_ms:.0f} ms" + ("" if aim_ms is None else f", aim {aim_ms:.0f}")
    if not values_ms:
        return msgspec.structs.replace(
            criterion, state="blocker", wanted=wanted, found="nothing", why="not one turn has shown it"
        )
    found = percentiles(values_ms)
    p50, p95, worst = found["p50"], found["p95"], 2 * objective_ms
    share = (ramp(p50, best, worst) + ramp(p95, objective_ms, worst)) / 2
    state: State = "blocker" if p50 > worst else "ok" if max(p50 - best, p95 - objective_ms) <= 0 else "short"
    why = ""
    if state == "blocker":
        why = f"the median of {p50:.0f} ms is more than twice the objective"
    elif state == "short":
        late = sum(value > objective_ms for value in values_ms)
        why = f"{late} of {len(values_ms)} came later than {objective_ms:.0f} ms" if late else "above the aim"
    return msgspec.structs.replace(
        criterion,
        points=criterion.of * share,
        state=state,
        found=" · ".join(f"{name} {value:.0f}" for name, value in found.items()) + " ms",
        wanted=wanted,
        why=why,
        n=len(values_ms),
        figures={f"{criterion.name}_{name}": round(value / 1000, 6) for name, value in found.items()},
    )
