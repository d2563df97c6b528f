"""A review as Markdown with a YAML header, as JSON, and as rows for a terminal. Pure."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from eva.review_card import Change, Review
from eva.review_scale import Criterion

HEADER = ["criterion", "points", "", "found", "wanted", "N"]
_MARKS = {"ok": "ok", "short": "short", "blocker": "BLOCKER", "n/a": "-"}


def as_json(review: Review) -> dict[str, Any]:
    """Returns the review as it is saved and printed for programs; what follows from its rows stands in it."""
    shown: dict[str, Any] = msgspec.to_builtins(review)
    return {
        "verdict": review.verdict,
        "score": review.score,
        "blockers": [row.name for row in review.blockers],
        "regressions": [change.name for change in review.regressions],
        "figures": review.figures,
        **shown,
    }


def rows(review: Review) -> list[list[str]]:
    """Returns the scorecard, a list of cells for each criterion."""
    return [
        [row.title, _points(row), _MARKS[row.state], row.found, row.wanted, str(row.n or "")]
        for row in review.rows
    ]


def _points(row: Criterion) -> str:
    return "-" if row.state == "n/a" else f"{row.points:.1f}/{row.of:g}"


def findings(review: Review) -> list[str]:
    """Returns what is wrong, the worst first, a line each."""
    worst_first = sorted((row for row in review.rows if row.why), key=lambda row: row.state != "blocker")
    lines = [f"{_MARKS[row.state]}: {row.title}: {row.why}" for row in worst_first]
    return lines + [f"limit broken: {how}" for how in review.limits_broken]


def change_lines(review: Review, *, is_whole: bool = False) -> list[str]:
    """Returns what has changed since the last review, regressions first; ``is_whole``: what has not, too."""
    return [_change_line(one) for one in review.changes if is_whole or has_changed(one)]


def has_changed(change: Change) -> bool:
    """Whether there is something to tell."""
    return change.is_regression or bool(change.note) or abs(change.now - change.before) >= 0.1


def _change_line(change: Change) -> str:
    sign = "regression" if change.is_regression else _way(change)
    note = f" ({change.note})" if change.note else ""
    return f"{sign}: {change.name} {change.before:g} → {change.now:g}{note}"


def _way(change: Change) -> str:
    if change.now == change.before:
        return "same"
    return "better" if change.now > change.before else "a little worse"


def verdict_line(review: Review) -> str:
    """Returns the verdict in a sentence."""
    blockers = ", ".join(row.name for row in review.blockers)
    why = f": {blockers}" if blockers else ""
    effort = f"{len(review.turns)} turns in {review.took_s:.0f} s"
    return f"{review.verdict.upper()}{why} · {review.score:.1f} of 100 · {effort}"


def markdown(review: Review) -> str:
    """Returns the review for people, with a YAML header for programs."""
    parts = [_front(review), f"# Review of {review.url}", verdict_line(review), _table(review)]
    if found := findings(review):
        parts += ["## Findings", _bullets(found)]
    if review.since:
        told = change_lines(review) or ["nothing has changed"]
        parts += [f"## Since {review.since}", _bullets(told)]
    machine = review.machine
    size = f"{machine.cores} cores, load {machine.load:.1f}"
    where = f"{machine.cpu}, {size}, {machine.system}, Python {machine.python}"
    served = [f"{stage}: {engine}" for stage, engine in review.engines.items()]
    parts += [
        "## Where and what",
        _bullets([f"reviewed from: {where}", f"EVA {review.eva_version}", *served]),
    ]
    return "\n\n".join(parts) + "\n"


def _front(review: Review) -> str:
    """Returns the header; values are JSON, which is YAML."""
    values = {
        "at": review.at,
        "url": review.url,
        "verdict": review.verdict,
        "score": review.score,
        "blockers": [row.name for row in review.blockers],
        "regressions": [change.name for change in review.regressions],
        "turns": len(review.turns),
        "eva_version": review.eva_version,
        "points": {row.name: round(row.points, 2) for row in review.rows if row.state != "n/a"},
        "figures": review.figures,
        "machine": msgspec.to_builtins(review.machine),
    }
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _table(review: Review) -> str:
    lines = [HEADER, ["---"] * len(HEADER), *rows(review)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
