"""Puts the places into a decoder where a window drops what nothing used depends on (``crops``).

A place is the data input of a transposed convolution through which everything goes that comes from the
frames: then what is behind it sees the cropped columns alone, and by how much it looks around is counted for
that rest of the graph (``split_reach``). A decoder in which something goes around such a place, be it the
size of an early tensor, is not cropped there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from services.tts.crops import Crop
from services.tts.split_nodes import Graph, step
from services.tts.split_reach import margin

BEGIN, END = "eva.begin.{}", "eva.end.{}"
"""Inputs of a cropped part, for each place: the first column that is kept and, as in Python, the end."""
_AXIS, _CROPPED = "eva.axis", "eva.cropped.{}"
_SLICE_TAKES_INPUTS = 10
"""The ONNX operator set from which on a slice's ends may be computed."""


def places(graph: Graph, source: str, result: str) -> tuple[Crop, ...]:
    """Returns where what comes from ``source`` may be cropped on its way to ``result``; in order.

    Raises:
        ValueError: the way cannot be measured, see ``split_reach.margin``.
    """
    version = next((item.version for item in graph.model.opset_import if item.domain in {"", "ai.onnx"}), 0)
    if version < _SLICE_TAKES_INPUTS:
        return ()
    way = graph.behind(source) & graph.before([result])
    found = []
    for index in sorted(way):
        node = graph.nodes[index]
        if node.op_type == "ConvTranspose" and _is_only_way(graph, source, result, index):
            tensor = str(node.input[0])
            before = graph.behind(source) & graph.before([tensor])
            _, rate = margin([step(graph, at) for at in sorted(before)], source, tensor)
            rest = ({index} | graph.behind(node.output[0])) & way
            reach, _ = margin([step(graph, at) for at in sorted(rest)], tensor, result)
            found.append(Crop(tensor=tensor, rate=rate, margin=reach))
    return tuple(sorted(found, key=lambda crop: crop.rate))


def cropped(part: onnx.ModelProto, crops: Sequence[Crop]) -> onnx.ModelProto:
    """Returns a decoder that drops columns where ``crops`` say; it takes ``BEGIN`` and ``END`` of each."""
    if not crops:
        return part
    made = onnx.ModelProto()
    made.CopyFrom(part)
    graph = made.graph
    graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), _AXIS))
    for number, crop in enumerate(crops):
        ends = BEGIN.format(number), END.format(number)
        graph.input.extend(helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in ends)
        kept = _CROPPED.format(number)
        at, node = next(
            (at, node)
            for at, node in enumerate(graph.node)
            if node.op_type == "ConvTranspose" and node.input[0] == crop.tensor
        )
        node.input[0] = kept
        graph.node.insert(at, helper.make_node("Slice", [crop.tensor, *ends, _AXIS], [kept]))
    return made


def _is_only_way(graph: Graph, source: str, result: str, index: int) -> bool:
    """Whether all that comes from the frames, sizes too, goes through a node."""
    around = graph.before_until([result], set(graph.nodes[index].output))
    return source not in {name for at in around for name in graph.takes[at]}
