"""Which columns a window drops on its way through the decoder. Pure.

A window takes ``margin`` frames along on both sides, for the first convolution's sake. Behind each
upsampling far fewer are needed, and nearly all of the work is done there. So at some places (``split_crop``)
what no used sample depends on is dropped. Nothing is dropped at a line's own ends: there are no margins.

Measured with the true architecture (medium, random weights, one thread, N = 15, least CPU time): a window in
mid-line of 12 frames takes 12.3 ms, of 64 frames 57.6, of 192 frames 178 ms, 0.9 ms a frame: its two margins
cost 2 ms. Carried to the end they would be 24 frames, 22 ms. That was with convolutions as they are exported;
written anew (``split_planes``) all of it takes 0.74 of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A place where columns are dropped."""

    tensor: str
    """What is cropped, as the transposed convolution behind it takes it."""
    rate: int
    """Columns there for one frame."""
    margin: int
    """Columns on each side of its own that a result depends on, from here on."""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What one window loses on its way; windows with the same can go together."""

    columns: tuple[tuple[int, int], ...] = ()
    """At each place, left and right."""
    samples: int = 0
    """By so many the result begins later than the window."""


NOTHING = Dropped()


def dropped(crops: Sequence[Crop], *, hop: int, left: int, right: int) -> Dropped:
    """Returns what a window can do without.

    Args:
        crops: in order; a later one's rate is a multiple of an earlier one's.
        hop: samples of a frame at the end.
        left: frames of the window before those that are used.
        right: likewise behind them.
    """
    columns: list[tuple[int, int]] = []
    gone = [0, 0]
    rate = 1
    for crop in crops:
        gone = [count * (crop.rate // rate) for count in gone]
        rate = crop.rate
        here = [
            max(0, frames * rate - crop.margin - lost)
            for frames, lost in zip((left, right), gone, strict=True)
        ]
        gone = [lost + more for lost, more in zip(gone, here, strict=True)]
        columns.append((here[0], here[1]))
    return Dropped(columns=tuple(columns), samples=gone[0] * hop // rate)
