"""When a process that died is started again: a pure decision, so that it can be tested without processes.

The first death is answered at once (0.2 s), each further one in a row twice as late, up to 10 s; a process
that lived for 30 s has earned a clean slate. Exit codes 2 (settings) and 3 (no usable engine) say that the
next start will most likely end alike, so those wait the longest time at once.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.2
LONGEST_S = 10.0
CALM_S = 30.0
EXIT_CONFIG, EXIT_REFUSED = 2, 3


@dataclass(frozen=True, kw_only=True)
class Deaths:
    """How often one process has died."""

    in_row: int = 0
    """Without a calm life between them."""
    total: int = 0


@dataclass(frozen=True, kw_only=True)
class Restart:
    """What follows a death."""

    deaths: Deaths
    delay_s: float


def after_death(deaths: Deaths, *, exit_code: int, alive_s: float) -> Restart:
    """Returns how long to wait before the next start; ``exit_code`` is negative for a signal."""
    in_row = 1 if alive_s >= CALM_S else deaths.in_row + 1
    is_hopeless = exit_code in {EXIT_CONFIG, EXIT_REFUSED}
    delay_s = LONGEST_S if is_hopeless else min(LONGEST_S, FIRST_S * 2 ** min(in_row - 1, 16))
    return Restart(deaths=Deaths(in_row=in_row, total=deaths.total + 1), delay_s=delay_s)
