"""Joins a layer normalization that an exporter wrote as nine nodes, so that it is computed in one.

ONNX Runtime would do so itself, but moves the transposition before it out of the way first, and then no
longer knows it. Of the text part, with 36 of them, that is a tenth of the time. ONNX Runtime knows the joined
node in every operator set, the standard from 17 on. Ba, Kiros and Hinton 2016, arXiv:1607.06450.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import NodeProto, helper

from services.tts.split_nodes import Graph
from services.tts.split_shapes import Array, attributes, constants

_SQUARE = 2.0
_CHAIN = ("ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add")
_DIFFERENCE = 1
"""Its place in the chain; it goes into the division too."""


def joined(part: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a part that computes the same with its normalizations as single nodes."""
    graph, known = Graph(part), constants(part)
    leaving = {item.name for item in part.graph.output}
    nodes: dict[int, NodeProto] = dict(enumerate(graph.nodes))
    for first in range(len(graph.nodes)):
        chain = _chain(graph, leaving, first)
        one = _one([graph.nodes[index] for index in chain], known) if chain else None
        if one is not None:
            for index in chain:
                del nodes[index]
            nodes[chain[-1]] = one
    made = onnx.ModelProto()
    made.CopyFrom(part)
    del made.graph.node[:]
    made.graph.node.extend(nodes[index] for index in sorted(nodes))
    return made


def _chain(graph: Graph, leaving: set[str], first: int) -> list[int]:
    """Returns the nodes from a mean on whose results nobody else takes; empty: they are no such chain."""
    if graph.nodes[first].op_type != _CHAIN[0]:
        return []
    found = [first]
    for place, kind in enumerate(_CHAIN[1:]):
        result = graph.nodes[found[-1]].output[0]
        users = graph.users.get(result, [])
        following = [user for user in users if graph.nodes[user].op_type == kind]
        if not following or result in leaving or len(users) != (2 if place == _DIFFERENCE else 1):
            return []
        found.append(following[0])
    return found


def _one(chain: Sequence[NodeProto], known: Mapping[str, Array]) -> NodeProto | None:
    """Returns one node for all; None: it is none over the last axis, or not with constants."""
    mean, difference, power, variance, epsilon, root, division, scale, shift = chain
    taken = [*difference.input, *division.input]
    if taken != [mean.input[0], mean.output[0], difference.output[0], root.output[0]]:
        return None
    for node in (mean, variance):
        way = attributes(node)
        if way.get("axes") != [-1] or not way.get("keepdims", 1):
            return None
    numbers = [known[node.input[1]] for node in (power, epsilon, scale, shift) if node.input[1] in known]
    if len(numbers) < 4:
        return None
    square, tiny, weight, bias = numbers
    if square.size != 1 or float(square.item()) != _SQUARE or tiny.size != 1:
        return None
    if weight.ndim != 1 or weight.size == 1 or bias.shape != weight.shape:
        return None
    return helper.make_node(
        "LayerNormalization", [mean.input[0], scale.input[1], shift.input[1]], [shift.output[0]],
        axis=-1, epsilon=float(tiny.item()),
    )  # fmt: skip
