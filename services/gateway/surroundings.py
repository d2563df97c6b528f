"""What all sessions of a gateway share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from services.gateway.board import Outlook
from services.gateway.memory import Memory
from services.gateway.stock import Stock
from services.gateway.ticks import Ticks
from services.gateway.turn_io import Note, TurnPolicy, TurnReport
from shared.bus import Bus
from shared.trace import UNTRACED, Tracer


class TurnObserver(Protocol):
    """Whoever keeps count of turns."""

    def turn_over(self, report: TurnReport) -> None:
        """A turn has ended."""

    def noted(self, note: Note) -> None:
        """Something happened that is counted about taking turns."""


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
    wall: Callable[[], float] = time.time
    """Unix time, seconds; gateways compare theirs."""
    grace_s: float = 15.0
    """How long a client that was lost is waited for; 0: not at all."""
    stock: Stock | None = None
    """Speech that is made ahead; None: there is none."""
    tracer: Tracer = UNTRACED
    """Collects what was done for a turn."""
    ticks: Ticks = field(default_factory=Ticks)
    ears_outlook: Callable[[], Outlook] = lambda: "unknown"
    """Why nobody can listen, as far as that is known."""

    def unbridged(self) -> Surroundings:
        """Returns the same for who waits for a whole file: silence is not bridged, slowness is borne."""
        return replace(self, policy=replace(self.policy, filler_s=0.0, apology_s=0.0), stock=None)
