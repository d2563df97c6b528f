"""What a test reads in an expression of PromQL, and what docs/metrics.md says that there is."""

from __future__ import annotations

import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EVERYWHERE = {"instance", "job", "le", "alertstate"}
"""Labels that Prometheus and histograms add."""
_ROW = re.compile(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", re.MULTILINE)
_METRIC = re.compile(r"\b(?:eva|process)_\w+")
_STRINGS = re.compile(r'"[^"]*"')
_LABELS = re.compile(r"\b(?:by|on|without|ignoring) \(([^)]*)\)")
_MATCHERS = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')


@functools.cache
def documented() -> dict[str, set[str]]:
    """Each metric's labels, by its name as queries use it."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    found: dict[str, set[str]] = {}
    for name, labels, kind in _ROW.findall(text):
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {f"{name}{part}": set(filter(None, labels.split(","))) for part in parts}
    return found


def metrics_of(expr: str) -> set[str]:
    """The metrics that an expression names."""
    return set(_METRIC.findall(_STRINGS.sub('""', expr)))


def labels_of(expr: str) -> set[str]:
    """The labels that it groups or matches by."""
    grouped = {label.strip() for group in _LABELS.findall(expr) for label in group.split(",")}
    return grouped | set(_MATCHERS.findall(expr))


def unknown(expr: str) -> set[str]:
    """The metrics and labels of an expression that nothing tells."""
    known = documented()
    metrics = metrics_of(expr)
    labels = EVERYWHERE.union(*(known.get(metric, set()) for metric in metrics))
    return (metrics - known.keys()) | (labels_of(expr) - labels)
