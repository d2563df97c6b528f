"""Figures: percentiles of samples, the machine they were taken on, and tables of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """Percentiles of ``n`` samples, in the samples' unit."""

    name: str
    n: int
    p50: float
    p95: float
    p99: float
    worst: float
    note: str = ""


def figure(name: str, samples: Sequence[float], note: str = "") -> Figure:
    """Returns the percentiles (nearest rank) of the samples."""
    if not samples:
        raise ValueError(f"{name}: nothing was measured")
    ordered = sorted(samples)

    def rank(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Figure(name, len(ordered), rank(0.5), rank(0.95), rank(0.99), ordered[-1], note)


def table(figures: Sequence[Figure], unit: str) -> str:
    """Returns the figures as a Markdown table; p99 only stands where N is at least 100."""
    lines = [f"| {unit} | N | p50 | p95 | p99 | max | |", "|---|--:|--:|--:|--:|--:|---|"]
    for item in figures:
        p99 = f"{item.p99:.2f}" if item.n >= 100 else "—"
        values = f"{item.p50:.2f} | {item.p95:.2f} | {p99} | {item.worst:.2f}"
        lines.append(f"| {item.name} | {item.n} | {values} | {item.note} |")
    return "\n".join(lines)


def machine() -> str:
    """Returns the processor, cores, memory and Python of this machine in one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory = f", {size / 2**30:.0f} GiB"
    return (
        f"{os.cpu_count()} cores of {model}{memory}, Python {platform.python_version()}, {platform.system()}"
    )
