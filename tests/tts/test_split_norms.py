"""A layer normalization in nine nodes is joined where it is one, and only there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from services.tts.split_norms import joined
from tests.models.tiny_vits import Net

BOUND = 1e-5
CHANNELS, COLUMNS = 6, 9
NODES = ["ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"]


def plain(net: Net, x: str = "x", **ways: Any) -> str:
    """Writes the nine nodes, one or another of them in another way."""
    way = {"axes": [-1], "keepdims": 1}
    mean = net.op("ReduceMean", x, **(way | ways.get("mean", {})))
    apart = net.op("Sub", *ways.get("sub", (x, mean)))
    power = net.op("Pow", apart, net.const(ways.get("power", 2.0)))
    variance = net.op("ReduceMean", power, **(way | ways.get("variance", {})))
    tiny = ways.get("tiny") or net.const(1e-5)
    root = net.op("Sqrt", net.op("Add", variance, tiny))
    even = net.op("Div", *((root, apart) if ways.get("is_turned") else (apart, root)))
    scaled = net.op("Mul", even, ways.get("scale") or net.weight(CHANNELS, scale=1.0))
    return str(net.op("Add", scaled, ways.get("shift") or net.weight(CHANNELS, scale=1.0)))


def model(net: Net, *outputs: str) -> onnx.ModelProto:
    """Takes ``x``, ``[1, columns, channels]``."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, None, CHANNELS])]
    leaving = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(net.nodes, "part", inputs, leaving, net.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def run(made: onnx.ModelProto, x: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {"x": x}))


def kinds_of(before: onnx.ModelProto) -> list[str]:
    """Returns what nodes the part has when they are joined; its numbers are what they were."""
    x = np.random.default_rng(2).normal(1.0, 2.0, (1, COLUMNS, CHANNELS)).astype(np.float32)
    made = joined(before)
    for one, other in zip(run(before, x), run(made, x), strict=True):
        np.testing.assert_allclose(one, other, atol=BOUND, rtol=BOUND)
    return [node.op_type for node in made.graph.node]


@pytest.fixture
def net() -> Net:
    return Net(1, CHANNELS)


def test_nine_nodes_become_one(net: Net) -> None:
    assert kinds_of(model(net, plain(net))) == ["LayerNormalization"]


def test_each_of_several_is_joined_and_what_stands_between_stays(net: Net) -> None:
    first = net.op("Add", "x", plain(net))
    second = plain(net, net.op("Relu", first))
    kinds = kinds_of(model(net, net.op("Sub", first, second)))
    assert kinds == ["LayerNormalization", "Add", "Relu", "LayerNormalization", "Sub"]


def test_numbers_may_be_constants_of_any_kind(net: Net) -> None:
    scale = net.op("Constant", value=onnx.numpy_helper.from_array(np.full(CHANNELS, 0.5, np.float32)))
    shift = net.op("Identity", net.weight(CHANNELS, scale=1.0))
    made = plain(net, tiny=net.const([1e-3]), power=[2.0], scale=scale, shift=shift)
    assert kinds_of(model(net, made)) == ["Constant", "Identity", "LayerNormalization"]


@pytest.mark.parametrize(
    "ways",
    [
        {"mean": {"axes": [1]}},
        {"variance": {"axes": [1]}},
        {"mean": {"axes": [-1, -2]}},
        {"power": 3.0},
        {"power": [2.0] * CHANNELS},
        {"variance": {"keepdims": 0, "axes": [0]}},
        {"is_turned": True},
    ],
    ids=str,
)
def test_another_computation_stays(net: Net, ways: dict[str, Any]) -> None:
    assert kinds_of(model(net, plain(net, **ways))) == NODES


CONSTANTS: dict[str, Callable[[Net], dict[str, str]]] = {
    "computed scale": lambda net: {"scale": net.op("Tanh", net.weight(CHANNELS, scale=1.0))},
    "computed shift": lambda net: {"shift": net.op("Tanh", "x")},
    "single scale": lambda net: {"scale": net.const(0.5)},
    "scale of one": lambda net: {"scale": net.const([0.5]), "shift": net.const([0.5])},
    "wide shift": lambda net: {"shift": net.weight(COLUMNS, CHANNELS, scale=1.0)},
    "many small numbers": lambda net: {"tiny": net.const(np.full((COLUMNS, 1), 1e-5))},
}


@pytest.mark.parametrize("kind", CONSTANTS)
def test_what_is_scaled_by_something_else_stays(net: Net, kind: str) -> None:
    ways = CONSTANTS[kind](net)
    assert kinds_of(model(net, plain(net, **ways)))[-9:] == NODES


def test_another_mean_or_difference_is_none(net: Net) -> None:
    other = net.op("ReduceMean", net.op("Relu", "x"), axes=[-1])
    made = plain(net, sub=("x", other))
    assert kinds_of(model(net, made))[-9:] == NODES
    net = Net(1, CHANNELS)
    made = plain(net, sub=(net.op("ReduceMean", "x", axes=[-1]), "x"))
    assert kinds_of(model(net, made))[-9:] == NODES


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("is_output", [True, False])
def test_what_somebody_else_takes_too_stays(net: Net, place: int, is_output: bool) -> None:
    made = plain(net)
    handed_on = str(net.nodes[place].output[0])
    before = model(net, made, handed_on if is_output else net.op("Relu", handed_on))
    assert kinds_of(before)[:9] == NODES


def test_what_a_graph_inside_takes_stays(net: Net) -> None:
    made = plain(net)
    result = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    nodes = [helper.make_node("Relu", [net.nodes[6].output[0]], ["inner"])]
    inner = helper.make_graph(nodes, "inner", [], [result])
    other = net.op("If", net.const(True, np.bool_), then_branch=inner, else_branch=inner)
    assert kinds_of(model(net, made, other))[:9] == NODES
