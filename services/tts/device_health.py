"""What errors say about a device, and what follows from them. Pure.

Out of memory is answered with one smaller attempt; if that fails too, or memory runs out three times on end
where nothing smaller can be tried, the device is in trouble until a session succeeds on it again. A device
that is lost stays lost: the process holds a CUDA context that cannot be revived (CUDA's "sticky" errors), so
only a new process can use the card again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from msgspec.structs import replace

from shared.messages import EngineFact

Fault = Literal["", "out_of_memory", "lost"]
SHORT_ON_END = 3

_OUT_OF_MEMORY = (
    "failed to allocate memory",
    "is smaller than requested bytes",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "status_alloc_failed",
    "memoryerror",
)
"""ONNX Runtime's arena (two ways to say it), CUDA, C++ (two libraries), cuDNN and cuBLAS, Python."""
_LOST = (
    "gpu is lost",
    "device-side",
    "illegal memory access",
    "illegal instruction",
    "misaligned address",
    "unspecified launch failure",
    "hardware stack error",
    "uncorrectable ecc error",
    "cudaerrordevicesunavailable",
    "busy or unavailable",
    "no cuda-capable device",
    "fell off the bus",
)
"""CUDA's own words for errors after which its context cannot be used any more, and NVML's."""


def fault_of(reason: str) -> Fault:
    """Returns what an error says about the device; empty: nothing, the model or its input is at fault."""
    text = reason.lower()
    if any(words in text for words in _LOST):
        return "lost"
    return "out_of_memory" if any(words in text for words in _OUT_OF_MEMORY) else ""


@dataclass
class Health:
    """How one device does."""

    name: str
    """``cpu``, ``cuda:0``."""
    is_short: bool = False
    """It ran out of memory: from now on sessions give back what they took after each run."""
    _lost: str = ""
    _short: str = ""
    _on_end: int = 0

    def failed(self, reason: str, *, is_retry: bool = False) -> Fault:
        """Takes a session's error; ``is_retry``: it was the smaller attempt. Returns what to make of it."""
        fault = fault_of(reason)
        if fault == "lost":
            self.lose(reason)
        elif fault == "out_of_memory":
            self.is_short, self._on_end = True, self._on_end + 1
            if is_retry:
                self._short = f"out of memory on {self.name}, in smaller pieces too: {reason}"
            elif self._on_end >= SHORT_ON_END:
                self._short = f"out of memory on {self.name}, {self._on_end} times on end: {reason}"
        return fault

    def lose(self, reason: str) -> None:
        """The device is gone; the first reason is kept."""
        self._lost = self._lost or f"{self.name} is lost: {reason}"

    def succeeded(self) -> None:
        """Takes a run that was done."""
        self._short, self._on_end = "", 0

    @property
    def is_lost(self) -> bool:
        """Whether it can never be used again by this process."""
        return bool(self._lost)

    def trouble(self) -> str:
        """Returns in one line why nothing can be made on it; empty: it serves."""
        return self._lost or self._short


class Watched(Protocol):
    """Something of which a worker tells how it does."""

    def trouble(self) -> str:
        """Returns why the device cannot serve; empty: it can. Does not block."""

    def numbers(self) -> dict[str, float]:
        """Returns figures of its card by name; empty: none are known. Does not block."""


class Place(Watched, Protocol):
    """A device."""

    @property
    def name(self) -> str:
        """``cpu``, ``cuda:0``."""


@dataclass
class Machine:
    """The devices that this worker uses."""

    devices: list[Place] = field(default_factory=list)

    def trouble(self) -> str:
        """Returns why the worker cannot keep its promise of a device; empty: it can."""
        return next(filter(None, (device.trouble() for device in self.devices)), "")

    def numbers(self) -> dict[str, float]:
        """Returns the figures of the first card that has any."""
        return next(filter(None, (device.numbers() for device in self.devices)), {})

    def told(self, engines: Sequence[EngineFact]) -> list[EngineFact]:
        """Returns the facts of engines, those on a device in trouble as failed, with its reason."""
        broken = {device.name: reason for device in self.devices if (reason := device.trouble())}
        return [
            replace(fact, state="failed", detail=broken[fact.device]) if fact.device in broken else fact
            for fact in engines
        ]
