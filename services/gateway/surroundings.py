"""What all sessions of a gateway share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.gateway.memory import Memory
from services.gateway.turn_io import TurnPolicy, TurnReport
from shared.bus import Bus


class TurnObserver(Protocol):
    """Whoever keeps count of turns."""

    def turn_over(self, report: TurnReport) -> None:
        """A turn has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What all sessions of a gateway share."""

    bus: Bus
    gw: str
    memory: Memory
    observer: TurnObserver
    policy: TurnPolicy
    clock: Callable[[], float] = time.monotonic
    """Seconds; the loop's own clock is too coarse for milliseconds under uvloop."""
