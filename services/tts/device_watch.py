"""When a GPU counts as lost, from what looks at it say, and what its figures are. Pure.

A lost card shows in one of three ways: the driver says so; the driver answers nothing sensible any more; or
the look itself never comes back. Each is told within 10 s of the loss, with looks every 2 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LOOK_EVERY_S = 2.0
UNANSWERED_LOOKS = 3
"""Odd answers on end; a driver under load gives one now and then."""
HANGS_S = 6.0
"""A look that takes so long does not come back; it takes a millisecond usually."""

LOST_CODES = {
    9: "the driver is not loaded any more",
    15: "GPU is lost",
    16: "the GPU needs a reset",
    28: "the driver does not find the card any more",
}
"""NVML's return codes (``nvmlReturn_t``) of a card that once answered and cannot be used now."""
UNKNOWN_CODES = {3, 4}
"""Not supported, no permission: this figure is not to be had here, which says nothing of the card."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A look at a card; None: this card or driver does not tell."""

    utilisation: float | None = None
    """Share of the last moments in which it computed, 0..1."""
    memory_bytes: int | None = None
    """In use on the card, by all processes."""
    memory_total_bytes: int | None = None
    process_bytes: int | None = None
    """In use by this process."""
    celsius: float | None = None

    def numbers(self) -> dict[str, float]:
        """Returns what is known, by the names that facts use."""
        named = {
            "gpu_utilisation": self.utilisation,
            "gpu_memory_bytes": self.memory_bytes,
            "gpu_memory_total_bytes": self.memory_total_bytes,
            "gpu_process_memory_bytes": self.process_bytes,
            "gpu_temperature": self.celsius,
        }
        return {name: float(value) for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Unanswered:
    """A look that failed."""

    code: int
    """NVML's."""
    reason: str


class Vigil:
    """The looks at one card; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._begun_at: float | None = None
        self._unanswered = 0
        self._odd = ""
        self._lost = ""
        self._reading = Reading()

    def begin(self, now: float) -> None:
        """A look begins."""
        self._begun_at = now

    def end(self, seen: Reading | Unanswered) -> None:
        """A look has come back."""
        self._begun_at = None
        if isinstance(seen, Reading):
            self._reading, self._unanswered = seen, 0
            return
        self._unanswered, self._odd = self._unanswered + 1, seen.reason
        self._lost = self._lost or LOST_CODES.get(seen.code, "")

    def lost(self, now: float) -> str:
        """Returns why the card is lost; empty: it is not. By the driver's own word it is so for good."""
        if self._lost:
            return self._lost
        if self._unanswered >= UNANSWERED_LOOKS:
            return f"the driver does not answer ({self._odd})"
        if self._begun_at is not None and now - self._begun_at >= HANGS_S:
            return f"the driver has not answered for {now - self._begun_at:.0f} s"
        return ""

    def reading(self, now: float) -> Reading:
        """Returns the last figures; none of a card that is lost."""
        return Reading() if self.lost(now) else self._reading


def place_of(index: int, visible: str | None) -> int | str:
    """Returns which card of the driver's list CUDA's ``index`` is: its number there, or its UUID.

    ``visible`` is ``CUDA_VISIBLE_DEVICES`` (None: not set). CUDA orders cards by speed where
    ``CUDA_DEVICE_ORDER`` is not ``PCI_BUS_ID``, which matters only among cards of several kinds.
    """
    if visible is None:
        return index
    named = [name.strip() for name in visible.split(",") if name.strip()]
    if index >= len(named):
        return index
    return int(named[index]) if named[index].isdecimal() else named[index]


def process_bytes(used: Sequence[tuple[int, int | None]], pid: int) -> int | None:
    """Returns the memory of a process from the driver's list of (pid, bytes).

    In a container the driver lists the host's numbers, which are not ours: then it is not known.
    """
    return next((size for number, size in used if number == pid), None)
