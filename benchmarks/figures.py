"""Figures: percentiles of samples, the machine they were taken on, tables, and the page that holds them."""

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


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table whose first column is text and whose others are numbers."""
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "--:|" * (len(titles) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def write_part(page: Path, name: str, text: str) -> None:
    """Puts one benchmark's part of a page in place of its last one, or behind the others; leaves the rest."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    part = f"{begin}\n{text.strip()}\n{end}\n"
    old = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    before, found, behind = old.partition(begin)
    behind = behind.partition(end)[2].lstrip("\n") if found else ""
    page.parent.mkdir(parents=True, exist_ok=True)
    blocks = [before.strip(), part.strip(), behind.strip()]
    page.write_text("\n\n".join(block for block in blocks if block) + "\n", encoding="utf-8")


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
