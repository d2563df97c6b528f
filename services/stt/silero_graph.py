"""Silero's graph, changed so that one call takes one frame of each of many sessions.

As it comes, ``input [T, 576]`` holds T frames of *one* stream: the convolutions see them as a batch, the
LSTM as T steps with states ``[1, 1, 128]``. The convolutions do not care whose frames they get; so the two
transpositions around the LSTM are turned, its T rows become a batch of T sessions with one step each, and the
states become ``[1, T, 128]``. No weight is touched, and the results are the same to the last bit
(``tests/stt/test_voice_activity.py`` allows 1e-5).
"""

from __future__ import annotations

from pathlib import Path

import onnx

STATES_IN, STATES_OUT = ("h", "c"), ("hn", "cn")
_BEFORE = ([0, 2, 1], [2, 0, 1])
"""[T, 128, 1] becomes [1, T, 128] where it became [T, 1, 128]."""
_BEHIND = ([1, 2, 0], [0, 2, 1])
"""[1, T, 128] becomes [1, 128, T] where [T, 1, 128] did."""


class UnknownGraph(ValueError):
    """The file is another version than the one that is known here."""


def batched(path: Path) -> bytes:
    """Returns the model with one frame of each session per row.

    Raises:
        UnknownGraph: it is not built as expected; nothing is guessed.
    """
    model = onnx.load(path)
    graph = model.graph
    lstm = _only([node for node in graph.node if node.op_type == "LSTM"], "LSTM")
    if list(lstm.input[5:7]) != list(STATES_IN) or list(lstm.output[1:3]) != list(STATES_OUT):
        raise UnknownGraph("the LSTM's states are not the model's")
    maker = {name: node for node in graph.node for name in node.output}
    before = maker.get(lstm.input[0])
    _turn(before, *_BEFORE)
    turns = [node for node in graph.node if node.op_type == "Transpose" and node is not before]
    _turn(_only(turns, "Transpose behind the LSTM"), *_BEHIND)
    for value in (*graph.input, *graph.output):
        if value.name in {*STATES_IN, *STATES_OUT}:
            value.type.tensor_type.shape.dim[1].dim_param = "sessions"
    return bytes(model.SerializeToString())


def _only(nodes: list[onnx.NodeProto], what: str) -> onnx.NodeProto:
    if len(nodes) != 1:
        raise UnknownGraph(f"{len(nodes)} times {what}, not once")
    return nodes[0]


def _turn(node: onnx.NodeProto | None, old: list[int], new: list[int]) -> None:
    if node is None or node.op_type != "Transpose":
        raise UnknownGraph("no Transpose before the LSTM")
    (order,) = [attribute for attribute in node.attribute if attribute.name == "perm"]
    if list(order.ints) != old:
        raise UnknownGraph(f"a Transpose by {list(order.ints)}, not by {old}")
    order.ints[:] = new
