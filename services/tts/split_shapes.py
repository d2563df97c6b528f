"""What is known of a part's tensors before it runs: constants, and shapes as far as they can be compared.

A tensor ``[batch, channels, frames]`` is known by its channels and by whose frames it has; of other ranks
nothing is known. How many frames there will be nobody knows, but padded convolutions keep their number, and
of what is joined number by number the longer one's goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from services.tts.split_nodes import TO_THE_END

RANK = 3
EACH = frozenset(
    {
        "Add", "Sub", "Mul", "Div", "Neg", "Exp", "Log", "Sqrt", "Abs", "Tanh", "Sin", "Cos", "Erf",
        "Sigmoid", "LeakyRelu", "Relu", "Elu", "Selu", "Softplus", "Reciprocal", "Identity", "Sum",
    }
)  # fmt: skip
"""Nodes that work number by number."""
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """Of a tensor ``[batch, channels, frames]``."""

    channels: int | None
    """None: not known."""
    frames: frozenset[str]
    """It is as long as these tensors, those excepted that have a single frame for all."""

    def covers(self, other: Shape) -> bool:
        """Whether the two, joined number by number, are surely as large as this one alone."""
        return self.channels is not None and self.channels == other.channels and other.frames <= self.frames


Shapes = Mapping[str, Shape]
Constants = Mapping[str, Array]


def attributes(node: NodeProto) -> dict[str, Any]:
    """Returns a node's attributes by name."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def constants(part: onnx.ModelProto) -> dict[str, Array]:
    """Returns the tensors whose numbers stand in a part."""
    known = {item.name: numpy_helper.to_array(item) for item in part.graph.initializer}
    for node in part.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in known:
            known[node.output[0]] = known[node.input[0]]
    return known


def shapes(nodes: Iterable[NodeProto], sources: Iterable[str], known: Constants) -> dict[str, Shape]:
    """Returns the shapes that can be told.

    Args:
        nodes: in an order in which they can be computed.
        sources: tensors ``[batch, channels, frames]`` that enter.
        known: constants.
    """
    found = {name: Shape(None, frozenset({name})) for name in sources}
    sized: dict[str, Shape] = {}
    for node in nodes:
        if node.op_type == "Shape" and not node.attribute and node.input[0] in found:
            sized[node.output[0]] = found[node.input[0]]
        elif node.op_type == "ConstantOfShape" and node.input[0] in sized:
            found[node.output[0]] = sized[node.input[0]]
        elif node.op_type in _WAYS:
            made = _WAYS[node.op_type](node, found, known)
            found |= {name: shape for name, shape in zip(node.output, made, strict=False) if name}
    return found


def _convolved(node: NodeProto, found: Shapes, known: Constants) -> list[Shape]:
    weight, taken = known.get(node.input[1]), attributes(node)
    if weight is None or weight.ndim != RANK:
        return []
    if node.op_type == "ConvTranspose":
        return [Shape(weight.shape[1] * taken.get("group", 1), _own(node))]
    reach = (weight.shape[2] - 1) * taken.get("dilations", [1])[0]
    is_kept = sum(taken.get("pads", [0, 0])) == reach and taken.get("strides", [1]) == [1]
    is_known = node.input[0] in found and "auto_pad" not in taken
    return [Shape(weight.shape[0], found[node.input[0]].frames if is_kept and is_known else _own(node))]


def _broadcast(node: NodeProto, found: Shapes, known: Constants) -> list[Shape]:
    channels: list[int | None] = []
    frames: set[str] = set()
    for name in node.input:
        if name in found:
            channels.append(found[name].channels)
            frames |= found[name].frames
            continue
        value = known.get(name)
        if value is None or value.ndim > RANK:
            return []
        batch, count, length = (1,) * (RANK - value.ndim) + value.shape
        if batch != 1:
            return []
        channels.append(count)
        frames |= {name} if length != 1 else set()
    if not any(name in found for name in node.input):
        return []
    most = max((count for count in channels if count is not None), default=1)
    return [Shape(most if most > 1 or None not in channels else None, frozenset(frames))]


def _sliced(node: NodeProto, found: Shapes, known: Constants) -> list[Shape]:
    if node.input[0] not in found:
        return []
    entering, told = found[node.input[0]], cuts(node, known)
    if told is None or any(axis % RANK != 1 for axis, _ in told):
        return [Shape(None, _own(node))]
    channels = entering.channels
    for _, kept in told:
        channels = None if channels is None else len(range(channels)[kept])
    return [Shape(channels, entering.frames)]


def _split(node: NodeProto, found: Shapes, known: Constants) -> list[Shape]:
    if node.input[0] not in found:
        return []
    taken = attributes(node)
    sizes = known.get(node.input[1]) if len(node.input) > 1 else taken.get("split")
    if taken.get("axis", 0) % RANK != 1 or sizes is None:
        return [Shape(None, frozenset({name})) for name in node.output]
    return [Shape(int(size), found[node.input[0]].frames) for size in sizes]


def _concatenated(node: NodeProto, found: Shapes, known: Constants) -> list[Shape]:
    del known
    if not all(name in found for name in node.input):
        return []
    if attributes(node)["axis"] % RANK != 1:
        return [Shape(None, _own(node))]
    counts = [found[name].channels for name in node.input]
    whole = None if None in counts else sum(count or 0 for count in counts)
    return [Shape(whole, frozenset().union(*(found[name].frames for name in node.input)))]


def cuts(node: NodeProto, known: Constants) -> list[tuple[int, slice]] | None:
    """Returns along which axes a ``Slice`` cuts, and what it leaves; none: it takes all; None: not known."""
    given = [known[name].reshape(-1).tolist() for name in node.input[1:] if name in known]
    if len(given) < max(2, len(node.input) - 1):
        return None
    starts, ends, *more = given
    axes = more[0] if more else range(len(starts))
    steps = more[1] if len(more) > 1 else [1] * len(starts)
    return [
        (axis, slice(start, end, step))
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
        if (start, step) != (0, 1) or end < TO_THE_END
    ]


def _own(node: NodeProto) -> frozenset[str]:
    return frozenset({node.output[0]})


_WAYS: dict[str, Callable[[NodeProto, Shapes, Constants], list[Shape]]] = {
    **dict.fromkeys(EACH, _broadcast),
    **dict.fromkeys(("Conv", "ConvTranspose"), _convolved),
    "Slice": _sliced,
    "Split": _split,
    "Concat": _concatenated,
}
