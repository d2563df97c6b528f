"""A transposed convolution as plain ones, a group of phases each. Pure.

With stride s, column ``t s + f`` of the result is of phase f: it takes a few neighbours of column t of what
enters, by taps that no other phase uses. Phases that take the same neighbours make one convolution, whose
channels are theirs, phase by phase; of a kernel of 2 s taps, as VITS has them, there are two such groups, and
no product is with a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Phases:
    """Neighbouring phases that take the same columns."""

    phases: range
    weight: Array
    """``[len(phases) * channels made, channels taken, taps]``, phase by phase."""
    before: int
    """Columns of padding on the left."""
    behind: int


def phases(weight: Array, *, stride: int, pad: int) -> list[Phases]:
    """Returns the groups, in the order of their phases.

    Args:
        weight: ``[channels taken, channels made, taps]``; as many taps as the stride at least.
        stride: columns of the result for one that enters.
        pad: columns that are cut from the result's beginning, no more than there are taps beyond the stride.
    """
    taps = weight.shape[2]
    looks = [_looks(phase, taps, stride, pad) for phase in range(stride)]
    return [
        _group(weight, [phase for phase, _ in group], span, stride, pad)
        for span, group in groupby(enumerate(looks), key=lambda item: (item[1].start, item[1].stop))
    ]


def _looks(phase: int, taps: int, stride: int, pad: int) -> range:
    """Returns the columns, relative to its own, that a phase takes."""
    own, first = divmod(phase + pad, stride)
    return range(own - (taps - 1 - first) // stride, own + 1)


def _group(weight: Array, members: Sequence[int], span: tuple[int, int], stride: int, pad: int) -> Phases:
    taken, made, taps = weight.shape
    begin, end = span
    joined = np.empty((len(members), made, taken, end - begin), weight.dtype)
    for place, phase in enumerate(members):
        own, first = divmod(phase + pad, stride)
        for turn, tap in enumerate(range(first, taps, stride)):
            joined[place, :, :, own - turn - begin] = weight[:, :, tap].T
    return Phases(
        phases=range(members[0], members[-1] + 1),
        weight=joined.reshape(len(members) * made, taken, end - begin),
        before=-begin, behind=end - 1,
    )  # fmt: skip
