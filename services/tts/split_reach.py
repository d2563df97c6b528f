"""How far a chain of convolutions looks to the left and to the right, counted exactly. Pure.

A convolution of kernel k and dilation d looks (k - 1) d samples around, a transposed one of stride s looks
(k - 1) / s samples of its input around; a sample of a tensor that was upsampled by u is 1 / u frames. The
field of a chain is the sum along its longest path.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_PLAIN = frozenset(
    {
        "Add", "Sub", "Mul", "Div", "Neg", "Exp", "Log", "Sqrt", "Pow", "Abs", "Max", "Min", "Sum", "Tanh",
        "Sin", "Cos", "Erf", "Sigmoid", "LeakyRelu", "PRelu", "Relu", "Elu", "Selu", "Softplus", "Clip",
        "Reciprocal", "Identity", "Cast", "Constant", "Where", "Unsqueeze", "Squeeze",
    }
)  # fmt: skip
_ALONG_AN_AXIS = frozenset({"Split", "Slice", "Concat"})
_SIZES = frozenset({"Shape", "Size"})
_CHANNEL_AXES = frozenset({1, -2})


@dataclass(frozen=True, kw_only=True)
class Step:
    """One node of a graph, as far as it matters here."""

    kind: str
    takes: tuple[str, ...]
    makes: tuple[str, ...]
    kernel: tuple[int, ...] = ()
    stride: int = 1
    dilation: int = 1
    pads: tuple[int, ...] = ()
    axes: tuple[int, ...] = ()
    """Along which it cuts or joins; empty: not known."""


@dataclass(frozen=True)
class _Field:
    left: Fraction
    """Frames."""
    right: Fraction
    rate: int
    """Columns of the tensor for one frame."""


def margin(steps: Sequence[Step], source: str, result: str) -> tuple[int, int]:
    """Returns how many frames around a frame its result depends on, and how many columns a frame becomes.

    Args:
        steps: in an order in which they can be computed.
        source: ``[batch, channels, frames]``.
        result: made by one of the steps.

    Raises:
        ValueError: a step may look at all frames, or is not known; its text names it.
    """
    fields: dict[str, _Field] = {source: _Field(Fraction(0), Fraction(0), 1)}
    for step in steps:
        taken = [fields[name] for name in step.takes if name in fields]
        if not taken or step.kind in _SIZES:
            continue  # constants, sizes and what is computed of them
        if len({field.rate for field in taken}) != 1:
            raise ValueError(f"{step.kind} joins what is not of one rate")
        joined = _Field(
            max(field.left for field in taken), max(field.right for field in taken), taken[0].rate
        )
        field = _behind(step, joined)
        fields.update(dict.fromkeys(step.makes, field))
    if result not in fields:
        raise ValueError("its result does not come from its frames")
    field = fields[result]
    return math.ceil(max(field.left, field.right)), field.rate


def _behind(step: Step, field: _Field) -> _Field:
    if step.kind in _PLAIN:
        return field
    if step.kind in _ALONG_AN_AXIS:
        if len(step.axes) != 1 or step.axes[0] not in _CHANNEL_AXES:
            raise ValueError(f"{step.kind} may cut or join frames")
        return field
    if step.kind not in {"Conv", "ConvTranspose"} or len(step.kernel) != 1 or len(step.pads) != 2:
        raise ValueError(f"{step.kind} may look at all frames")
    reach = (step.kernel[0] - 1) * step.dilation
    left, right = step.pads[0], reach - step.pads[0]
    if step.kind == "Conv":
        if step.stride != 1 or step.pads[0] + step.pads[1] != reach:
            raise ValueError("Conv changes the number of frames")
        unit = Fraction(1, field.rate)
        return _Field(field.left + left * unit, field.right + right * unit, field.rate)
    if reach + 1 - step.pads[0] - step.pads[1] != step.stride:
        raise ValueError("ConvTranspose changes the number of frames by more than its stride")
    unit = Fraction(1, field.rate * step.stride)
    left, right = right, left  # a sample of the result looks back over the kernel
    return _Field(field.left + left * unit, field.right + right * unit, field.rate * step.stride)
