"""What processes and their children use, as the kernel tells it (``/proc``, Linux)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> set[int]:
    """Returns a process and all that descends from it; empty where it is gone, or there is no ``/proc``."""
    found, unseen = set(), [pid]
    while unseen:
        one = unseen.pop()
        with contextlib.suppress(OSError):
            threads = list(Path(f"/proc/{one}/task").iterdir())
            found.add(one)
            for thread in threads:
                unseen += map(int, (thread / "children").read_text(encoding="ascii").split())
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Returns the processor time that processes and those of their children that have ended used, seconds."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS_A_SECOND


def memory_mib(pids: Iterable[int]) -> float:
    """Returns the memory that processes hold: of what several share, each its part (PSS)."""
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            kib += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kib / 1024
