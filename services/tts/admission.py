"""How many are served at the same time: from what was measured, not from what is hoped. Pure.

A stream is real time when a second of sound is made each second. A device that makes ``speed`` seconds of
sound a second, all its lanes computing, cannot carry as many streams: turns come in bursts, and whoever
begins has a third of a second of sound until the second piece must be there.
"""

from __future__ import annotations

from dataclasses import dataclass

SHARE = 0.45
"""Measured on two cores that made 29 seconds of sound a second (medium voice, `benchmarks.voice`): of 36
turns of 12 listeners none broke off, of 48 of 16 one or two, of 60 of 20 seventeen."""
LEAST_STREAMS, MOST_STREAMS = 4, 64
"""With fewer the queue would decide who waits, and it does not know who runs dry; and what was measured while
everything else started beside it may be far too little. Each has a thread."""
LANES_A_CORE = 2
"""For one thread of each: while one synthesis is between two of its steps, which run on one thread, another
fills the cores. On two cores, two threads each, six listeners: with two lanes 0 of 12 turns broke off, with
one all 12; with four listeners 0 and 3 of 8."""
GPU_LANES = 2
"""While one computes, another's windows are prepared and sent."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a device was measured to do."""

    device: str
    lanes: int
    speed: float
    """Seconds of sound made in a second while all lanes compute; above 0."""

    @property
    def real_time_factor(self) -> float:
        """Seconds that one lane takes for a second of sound while all compute."""
        return self.lanes / self.speed

    @property
    def streams(self) -> int:
        """How many are served in real time."""
        return min(max(int(SHARE * self.speed), LEAST_STREAMS), MOST_STREAMS)


def lanes(device: str, *, cores: int, threads: int, batch: int = 1) -> int:
    """Returns how many compute on a device at the same time.

    Args:
        device: ``cpu``, ``cuda:0``.
        cores: of this machine.
        threads: of one synthesis.
        batch: how many windows one call decodes there.
    """
    if device == "cpu":
        return max(1, LANES_A_CORE * cores // threads) if threads > 1 else cores
    return max(GPU_LANES, batch)


def slots(capacity: Capacity | None, *, lanes: int) -> int:
    """Returns how many segments are taken from the queue at the same time; None: it was not measured."""
    return capacity.streams if capacity is not None else max(LEAST_STREAMS, lanes)
