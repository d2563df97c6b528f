"""Joins a layer normalization that an exporter wrote as nine nodes, so that it is computed in one.

ONNX Runtime would do so itself, but moves the transposition before it out of the way first, and then no
longer knows it. Of the text part, with 36 of them, that is a tenth of the time. Ba, Kiros and Hinton 2016,
arXiv:1607.06450.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

_SQUARE = 2.0
_REST = ("Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add")
"""Behind the difference from the mean, each the only one to use the one before."""
Array = npt.NDArray[Any]


def joined(part: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a part that computes the same with its normalizations as single nodes."""
    made = onnx.ModelProto()
    made.CopyFrom(part)
    graph = made.graph
    known = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    known |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in known:
            known[node.output[0]] = known[node.input[0]]
    users: dict[str, list[int]] = {}
    for index, node in enumerate(graph.node):
        for name in node.input:
            users.setdefault(name, []).append(index)
    nodes: dict[int, NodeProto] = dict(enumerate(graph.node))
    for index, node in list(nodes.items()):
        chain = _chain(graph.node, users, index) if node.op_type == "ReduceMean" else []
        one = _one([graph.node[at] for at in chain], known) if chain else None
        if one is not None:
            for at in chain[:-1]:
                del nodes[at]
            nodes[chain[-1]] = one
    kept = [nodes[index] for index in sorted(nodes)]
    del graph.node[:]
    graph.node.extend(kept)
    return made


def _chain(nodes: Sequence[NodeProto], users: Mapping[str, Sequence[int]], first: int) -> list[int]:
    """Returns mean, difference and all behind it; empty: they are no normalization."""
    found = [first]
    source = nodes[first].input[0]
    (difference,) = _users(nodes, users, first, 1) or (-1,)
    if difference < 0 or nodes[difference].op_type != "Sub" or nodes[difference].input[0] != source:
        return []
    found.append(difference)
    at = next((index for index in _users(nodes, users, difference, 2) if nodes[index].op_type == "Pow"), -1)
    for kind in _REST:
        if at < 0 or nodes[at].op_type != kind:
            return []
        found.append(at)
        at = next(iter(_users(nodes, users, at, 1)), -1)
    return found if nodes[found[6]].input[0] == nodes[difference].output[0] else []


def _users(
    nodes: Sequence[NodeProto], users: Mapping[str, Sequence[int]], index: int, count: int
) -> list[int]:
    """Returns who uses a node's result, if so many do."""
    found = list(users.get(nodes[index].output[0], ()))
    return found if len(found) == count else []


def _one(chain: Sequence[NodeProto], known: Mapping[str, Array]) -> NodeProto | None:
    """Returns one node for all; None: it is none over the last axis, or not with constants."""
    mean, _, power, variance, epsilon, _, _, scale, shift = chain
    last = [helper.get_attribute_value(item) for item in mean.attribute if item.name == "axes"]
    same = [helper.get_attribute_value(item) for item in variance.attribute if item.name == "axes"]
    kept = [
        item for node in (mean, variance) for item in node.attribute if item.name == "keepdims" and not item.i
    ]
    constants = [known.get(node.input[1]) for node in (power, epsilon, scale, shift)]
    if last != [[-1]] or same != last or kept or any(value is None for value in constants):
        return None
    square, tiny, weight, bias = constants
    if square.size != 1 or float(square.reshape(())) != _SQUARE or tiny.size != 1:
        return None
    if weight.ndim != 1 or bias.shape != weight.shape:
        return None
    return helper.make_node(
        "LayerNormalization", [mean.input[0], scale.input[1], shift.input[1]], [shift.output[0]],
        axis=-1, epsilon=float(tiny.reshape(())),
    )  # fmt: skip
