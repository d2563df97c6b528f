"""A turn model of 1 KB with the contract of Smart Turn v3: a quiet end means that the person is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def build(
    path: Path,
    *,
    name: str = "input_features",
    mels: int = 80,
    outputs: int = 1,
    is_probability: bool = True,
) -> Path:
    """Writes the model; other arguments than the defaults break the contract."""
    constants = {
        "starts": np.array([780], np.int64),  # the last 200 ms
        "ends": np.array([800], np.int64),
        "axes": np.array([2], np.int64),
        "both": np.array([1, 2], np.int64),
        "middle": np.array([0.3], np.float32),
        "slope": np.array([-20.0], np.float32),
        "shape": np.array([-1, 1], np.int64),
        "width": np.array([1, outputs], np.int64),
    }
    nodes = [
        helper.make_node("Slice", [name, "starts", "ends", "axes"], ["tail"]),
        helper.make_node("ReduceMean", ["tail", "both"], ["loudness"], keepdims=0),
        helper.make_node("Sub", ["loudness", "middle"], ["over"]),
        helper.make_node("Mul", ["over", "slope"], ["score"]),
        helper.make_node("Sigmoid" if is_probability else "Abs", ["score"], ["each"]),
        helper.make_node("Reshape", ["each", "shape"], ["column"]),
        helper.make_node("Tile", ["column", "width"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "turn",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", mels, 800])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
