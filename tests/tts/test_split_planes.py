"""Graphs written by pictures compute what they did; small ones, of each node that is known and of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from services.tts.split_planes import BLOCK, planes
from services.tts.split_shapes import EACH
from tests.models.tiny_vits import Net

BOUND = 1e-5
WIDE, FRAMES = (BLOCK, BLOCK), 20
Array = npt.NDArray[Any]
SOURCES: dict[str, Sequence[int]] = {
    "x": (1, BLOCK, FRAMES),
    "mask": (1, 1, FRAMES),
    "speaker": (1, BLOCK, 1),
}
ENDS = {"begin": 2, "end": 11}
"""Further inputs, which do not depend on the frames."""


@pytest.fixture
def net() -> Net:
    return Net(1, BLOCK)


def model(net: Net, outputs: Sequence[str]) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None, None]) for name in SOURCES
    ] + [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in ENDS]
    integers = {node.output[0] for node in net.nodes if node.op_type == "Shape"}
    leaving = [
        helper.make_tensor_value_info(
            name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, None
        )
        for name in outputs
    ]
    graph = helper.make_graph(net.nodes, "part", inputs, leaving, net.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def run(made: onnx.ModelProto, batch: int) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(2)
    inputs: dict[str, Array] = {
        name: random.normal(size=(batch, *size[1:])).astype(np.float32) for name, size in SOURCES.items()
    } | {name: np.array([at], np.int64) for name, at in ENDS.items()}
    return list(session.run([item.name for item in made.graph.output], inputs))


def written(net: Net, *outputs: str, batch: int = 1, **options: Any) -> onnx.ModelProto:
    """Returns the part by pictures; its numbers and shapes are those of the part as it was."""
    before = model(net, outputs)
    made = planes(before, list(SOURCES), **options)
    assert [item.name for item in made.graph.output] == list(outputs)
    for one, other in zip(run(before, batch), run(made, batch), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert np.abs(one.astype(float) - other).max(initial=0) <= BOUND * max(
            1.0, np.abs(one).max(initial=0)
        )
    return made


def kinds(made: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in made.graph.node)


def ranks(made: onnx.ModelProto) -> list[int]:
    """Returns of which rank the weights of each convolution are."""
    dims = {item.name: len(item.dims) for item in made.graph.initializer}
    return [dims[node.input[1]] for node in made.graph.node if node.op_type.startswith("Conv")]


def changes_of_form(made: onnx.ModelProto) -> tuple[int, int]:
    return kinds(made)["Unsqueeze"], kinds(made)["Squeeze"]


# Convolutions


@pytest.mark.parametrize(
    ("channels", "rank"), [((16, 16), 4), ((32, 16), 4), ((8, 16), 3), ((24, 16), 3), ((1, 16), 3)]
)
def test_convolutions_of_whole_blocks_become_those_of_pictures_and_others_stay(
    net: Net, channels: tuple[int, int], rank: int
) -> None:
    made = written(net, net.conv("x", channels, 5, 2))
    assert ranks(made) == [rank]
    assert changes_of_form(made) == ((1, 1) if rank == 4 else (0, 0))


@pytest.mark.parametrize(
    "way",
    [
        {},
        {"pads": [3, 0]},
        {"strides": [2], "pads": [1, 1]},
        {"dilations": [3], "pads": [3, 3]},
        {"kernel_shape": [3]},
        {"auto_pad": "NOTSET", "pads": [1, 1]},
    ],
    ids=str,
)
def test_convolutions_keep_their_way(net: Net, way: dict[str, Any]) -> None:
    plain = net.op("Conv", "x", net.weight(32, BLOCK, 3, scale=0.2), **way)
    with_bias = net.op("Conv", "x", net.weight(32, BLOCK, 3, scale=0.2), net.weight(32, scale=1), **way)
    assert ranks(written(net, plain, with_bias)) == [4, 4]


def test_groups_of_whole_blocks_are_kept_apart(net: Net) -> None:
    wide = net.conv("x", (32, BLOCK), 3)
    made = net.op("Conv", wide, net.weight(32, BLOCK, 3, scale=0.2), group=2, pads=[1, 1])
    alone = net.op("Conv", "x", net.weight(BLOCK, 1, 3, scale=0.2), group=BLOCK, pads=[1, 1])
    assert ranks(written(net, made, alone)) == [4, 4, 3]


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_what_pads_by_itself_stays(net: Net, kind: str) -> None:
    made = net.op(kind, "x", net.weight(BLOCK, BLOCK, 3, scale=0.2), auto_pad="SAME_UPPER")
    assert ranks(written(net, made)) == [3]


def test_what_convolves_with_computed_numbers_stays(net: Net) -> None:
    weight = net.op("Tanh", net.weight(BLOCK, BLOCK, 3, scale=0.2))
    own = net.op("Transpose", net.op("MatMul", "x", net.op("Transpose", "x", perm=[0, 2, 1])), perm=[1, 2, 0])
    made = written(net, net.op("Conv", "x", weight), net.op("Conv", "x", own))
    assert kinds(made)["Unsqueeze"] == 0


def test_a_bias_may_come_from_the_frames(net: Net) -> None:
    pictured = net.conv("x", WIDE, 1)
    bias = net.op("ReduceMean", pictured, axes=[0, 2], keepdims=0)
    made = written(net, net.op("Conv", pictured, net.weight(BLOCK, BLOCK, 1, scale=0.2), bias))
    assert ranks(made) == [4, 4]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(
    ("stride", "kernel", "pads"),
    [
        (8, 16, [4, 4]), (4, 8, [2, 2]), (2, 4, [1, 1]), (2, 4, [2, 0]), (2, 4, [0, 2]), (3, 3, [0, 0]),
        (1, 3, [1, 1]), (3, 10, [4, 3]), (5, 8, [1, 2]),
    ],
)  # fmt: skip
def test_transposed_convolutions_become_plain_ones(
    net: Net, stride: int, kernel: int, pads: list[int], has_bias: bool
) -> None:
    bias = [net.weight(32, scale=1.0)] if has_bias else []
    weight = net.weight(BLOCK, 32, kernel, scale=0.2)
    up = net.op("ConvTranspose", "x", weight, *bias, strides=[stride], pads=pads)
    made = written(net, net.op("Tanh", up), batch=2)
    assert kinds(made)["ConvTranspose"] == 0
    assert set(ranks(made)) == {4}
    assert changes_of_form(made) == (1, 1)


@pytest.mark.parametrize(
    "way",
    [
        {"strides": [2], "pads": [1, 0]},
        {"strides": [2], "pads": [1, 1], "output_padding": [1]},
        {"strides": [2], "output_shape": [40]},
        {"strides": [2], "pads": [3, 2], "dilations": [2]},
    ],
    ids=str,
)
def test_transposed_convolutions_of_another_kind_stay(net: Net, way: dict[str, Any]) -> None:
    up = net.op("ConvTranspose", "x", net.weight(BLOCK, BLOCK, 4, scale=0.2), **way)
    assert ranks(written(net, up)) == [3]


def test_transposed_convolutions_in_groups_or_with_a_computed_bias_stay(net: Net) -> None:
    weight = net.weight(BLOCK, BLOCK, 4, scale=0.2)
    way: dict[str, Any] = {"strides": [2], "pads": [1, 1]}
    bias = net.op("Tanh", net.weight(BLOCK, scale=1.0))
    wide = net.conv("x", (32, BLOCK), 1)
    grouped = net.op("ConvTranspose", wide, net.weight(32, BLOCK, 4, scale=0.2), group=2, **way)
    made = written(net, net.op("ConvTranspose", "x", weight, bias, **way), grouped)
    assert kinds(made)["ConvTranspose"] == 2


# Nodes that work number by number


@pytest.mark.parametrize("kind", sorted(EACH))
def test_what_works_number_by_number_works_on_pictures(net: Net, kind: str) -> None:
    one, other = (net.op("Sigmoid", net.conv("x", WIDE, 3)) for _ in range(2))
    takes = [one, other] if kind in {"Add", "Sub", "Mul", "Div", "Sum"} else [one]
    assert changes_of_form(written(net, net.op(kind, *takes), batch=2)) == (1, 1)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    "dims",
    [(), (1,), (FRAMES,), (BLOCK, 1), (1, FRAMES), (BLOCK, FRAMES), (1, 1, 1), (1, BLOCK, 1), (1, 1, FRAMES)],
    ids=str,
)
def test_constants_of_each_rank_are_joined_as_they_were(
    net: Net, dims: tuple[int, ...], is_first: bool
) -> None:
    takes = [net.conv("x", WIDE, 1), net.weight(*dims, scale=1.0)]
    made = written(net, net.op("Sub", *(takes[::-1] if is_first else takes)), batch=2)
    assert changes_of_form(made) == (1, 1)


def test_a_constant_that_makes_a_batch_or_an_axis_is_joined_to_what_was(net: Net) -> None:
    pictured = net.conv("x", WIDE, 1)
    batch = net.op("Add", pictured, net.weight(3, BLOCK, FRAMES, scale=1.0))
    axis = net.op("Add", pictured, net.weight(2, 1, BLOCK, FRAMES, scale=1.0))
    made = written(net, batch, axis, net.op("Tanh", axis))
    assert changes_of_form(made) == (1, 1)


def test_a_weight_may_be_a_constant_of_another_node_too(net: Net) -> None:
    weight = net.weight(BLOCK, BLOCK, 1, scale=0.2)
    pictured = net.op("Conv", "x", weight)
    line = net.op("Slice", weight, *(net.const([n], np.int64) for n in (0, 1, 0)))
    written(net, net.op("Add", pictured, line), net.op("MatMul", weight, net.const(np.ones((1, 3)))))


def test_masks_and_speakers_become_pictures_once(net: Net) -> None:
    masked = net.op("Mul", net.conv("x", WIDE, 3), "mask")
    spoken = net.op("Add", net.op("Mul", masked, "mask"), "speaker")
    assert changes_of_form(written(net, net.op("Mul", spoken, "speaker"), batch=2)) == (3, 1)


def test_what_is_no_picture_yet_stays_as_it_is(net: Net) -> None:
    made = written(net, net.op("Tanh", net.op("Mul", "x", "mask")))
    assert changes_of_form(made) == (0, 0)


@pytest.mark.parametrize("axes", [[0, 1, 2], [0, 1], [0]], ids=["number", "row", "table"])
def test_tensors_of_other_ranks_are_joined_as_they_were(net: Net, axes: list[int]) -> None:
    pictured = net.conv("x", WIDE, 1)
    less = net.op("ReduceMean", pictured, axes=axes, keepdims=0)
    made = written(net, net.op("Tanh", net.op("Sub", pictured, net.op("Tanh", less))))
    assert changes_of_form(made) == (1, 1)


def test_a_constant_that_is_computed_is_joined_as_it_was(net: Net) -> None:
    computed = net.op("Tanh", net.weight(BLOCK, 1, scale=1.0))
    written(net, net.op("Add", net.conv("x", WIDE, 1), computed))


# Unknown nodes, mixed uses, outputs


def test_unknown_nodes_get_the_tensors_as_they_were(net: Net) -> None:
    far = net.op("Softmax", net.conv("x", WIDE, 3), axis=2)
    made = written(net, net.op("Clip", net.conv(far, WIDE, 3), "", net.const(0.1)))
    assert ranks(made) == [4, 4]
    assert changes_of_form(made) == (2, 2)


def test_a_tensor_may_be_used_in_both_forms(net: Net) -> None:
    pictured = net.conv("x", WIDE, 3)
    flat = net.op("Softmax", pictured, axis=2)
    both = net.op("Add", net.op("Tanh", pictured), "x")
    made = written(net, pictured, flat, both, net.op("CumSum", pictured, net.const(2, np.int64)))
    assert changes_of_form(made) == (1, 2)


def test_an_output_may_be_but_another_name(net: Net) -> None:
    ends = [net.const([n], np.int64) for n in (0, 2**31 - 1, 2)]
    pictured = net.conv("x", WIDE, 3)
    same = net.op("Slice", pictured, *ends)
    again = net.op("Slice", same, *ends)
    first = net.op("Slice", "x", *ends)
    made = written(net, again, first, net.op("Tanh", again), same)
    assert kinds(made)["Slice"] == 0
    written(net, again)
    written(net, net.op("Identity", net.weight(2, 3, scale=1.0)), again)


def test_graphs_inside_find_what_they_take(net: Net) -> None:
    ends = [net.const([n], np.int64) for n in (0, 2**31 - 1, 2)]
    pictured = net.conv("x", WIDE, 3)
    same, only = net.op("Slice", pictured, *ends), net.weight(BLOCK, 1, scale=1.0)
    floor = net.op("ConstantOfShape", net.op("Shape", pictured))
    branches = {}
    for name, other in (("then_branch", only), ("else_branch", floor)):
        nodes = [helper.make_node("Add", [same, other], [f"{name}.sum"])]
        result = helper.make_tensor_value_info(f"{name}.sum", TensorProto.FLOAT, None)
        branches[name] = helper.make_graph(nodes, name, [], [result])
    asked = net.op("Greater", net.op("ReduceMax", "x", keepdims=0), net.const(0.0))
    made = net.op("If", asked, **branches)
    written(net, net.op("Tanh", made), net.op("Tanh", same))


def test_a_graph_inside_that_takes_constants_alone_keeps_them(net: Net) -> None:
    only = net.weight(BLOCK, 1, scale=1.0)
    result = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    inner = helper.make_graph([helper.make_node("Tanh", [only], ["inner"])], "inner", [], [result])
    made = net.op("If", net.const(True, np.bool_), then_branch=inner, else_branch=inner)
    written(net, net.op("Add", net.conv("x", WIDE, 1), made))


def test_results_that_nobody_names_are_no_tensors(net: Net) -> None:
    pictured = net.conv("x", WIDE, 3)
    kept, _ = net.op("Dropout", pictured, outputs=2)
    net.nodes[-1].output[1] = ""
    high, low = net.const(0.5), net.const(-0.5)
    written(
        net,
        net.op("Clip", kept, "", high),
        net.op("Clip", pictured, low, high),
        net.op("Clip", "x", "", high),
    )


# Cutting and joining


@pytest.mark.parametrize("kind", [np.int64, np.int32])
@pytest.mark.parametrize(
    ("start", "end", "axis", "step"),
    [
        (0, 8, 1, 1),
        (3, 2**31 - 1, 1, 2),
        (-1, -(2**31) + 1, 1, -1),
        (2, -3, 2, 1),
        (0, 7, -1, 1),
        (4, 9, -2, 1),
    ],
)
def test_slices_along_channels_and_frames(
    net: Net, start: int, end: int, axis: int, step: int, kind: Any
) -> None:
    ends = [net.const([n], kind) for n in (start, end, axis, step)]
    pictured = net.conv("x", WIDE, 3)
    made = written(net, net.op("Slice", pictured, *ends), net.op("Slice", pictured, *ends[:3]))
    assert changes_of_form(made) == (1, 2)


def test_slices_along_several_axes_and_those_that_do_not_tell_theirs(net: Net) -> None:
    pictured = net.conv("x", WIDE, 3)
    starts, ends = net.const([0, 2, 3], np.int64), net.const([1, 9, 11], np.int64)
    axes = net.const([0, 1, 2], np.int64)
    both = net.op("Slice", pictured, starts, ends, axes)
    by_default = net.op("Slice", pictured, starts, ends)
    steps = net.op("Slice", pictured, starts, ends, "", net.const([1, 2, 2], np.int64))
    written(net, both, by_default, steps, net.op("Tanh", both))


def test_ends_of_a_slice_may_be_computed(net: Net) -> None:
    pictured, axis = net.conv("x", WIDE, 3), net.const([2], np.int64)
    given = net.op("Slice", pictured, "begin", "end", axis)
    last = net.op("Slice", net.op("Shape", pictured), net.const([2], np.int64), net.const([3], np.int64))
    less = net.op("Sub", last, net.const([4], np.int64))
    own = net.op("Slice", pictured, net.const([1], np.int64), less, axis)
    moved = net.op("Slice", pictured, "begin", "end", net.op("Identity", net.op("Abs", axis)))
    made = written(net, net.op("Tanh", given), net.op("Tanh", own), moved)
    assert changes_of_form(made) == (1, 3)


@pytest.mark.parametrize("axis", [1, 2, -1, -2])
def test_splits_and_joins(net: Net, axis: int) -> None:
    pictured = net.conv("x", WIDE, 3)
    sizes = [6, 10] if axis % 3 == 1 else [6, 14]
    first, second = net.op("Split", pictured, net.const(sizes, np.int64), outputs=2, axis=axis)
    half, other = net.op("Split", net.op("Tanh", pictured), outputs=2, axis=axis)
    joined = net.op("Concat", second, first, first, axis=axis)
    mixed = net.op("Concat", "x", half, other, axis=axis)
    made = written(net, joined, net.op("Tanh", mixed), batch=2)
    assert changes_of_form(made) == (1, 2)


def test_splits_along_the_batch_and_joins_with_constants(net: Net) -> None:
    pictured = net.conv("x", WIDE, 3)
    one, other = net.op("Split", pictured, outputs=2)
    joined = net.op("Concat", pictured, net.weight(2, BLOCK, 3, scale=1.0), axis=2)
    written(net, one, net.op("Tanh", other), net.op("Tanh", joined), batch=2)


# Tensors of one number


def test_a_tensor_of_one_number_is_that_number_where_it_is_joined_to_one_as_large(net: Net) -> None:
    masked = net.op("Mul", net.conv("x", (32, BLOCK), 3), "mask")
    zeros = net.zeros_like(masked)
    hidden = net.op("Tanh", net.op("Add", masked, zeros))
    half = net.op("Slice", net.conv(hidden, (64, 32), 3), *(net.const([n], np.int64) for n in (32, 64, 1)))
    evened = net.op("Mul", net.op("Exp", net.op("Neg", zeros)), net.op("Add", zeros, half))
    made = written(net, net.op("Sub", evened, net.op("Mul", zeros, net.const(2.0))))
    assert changes_of_form(made) == (2, 1)
    assert kinds(made)["Shape"] == kinds(made)["ConstantOfShape"] == 0


@pytest.mark.parametrize("large", ["x", "pictured", "up", "flat"])
@pytest.mark.parametrize("small", ["mask", "speaker", "narrow", "again", "x"])
def test_it_is_as_large_as_it_was_where_it_is_larger(net: Net, large: str, small: str) -> None:
    named = {"x": "x", "mask": "mask", "speaker": "speaker", "pictured": net.conv("x", WIDE, 3)}
    named["up"] = net.up(
        net.op("Slice", named["pictured"], *(net.const([n], np.int64) for n in (0, 1, 2))), FRAMES, FRAMES
    )
    named["flat"] = net.op("Softmax", named["pictured"], axis=2)
    named["narrow"] = net.op("ReduceMean", named["pictured"], axes=[1])
    named["again"] = net.conv(net.conv("speaker", WIDE, 1), WIDE, 1)
    joined = net.op("Add", named[small], net.zeros_like(named[large]))
    written(net, joined, net.op("Tanh", net.op("Add", net.zeros_like(named[large]), named[small])))


def test_it_is_there_where_something_else_takes_it(net: Net) -> None:
    pictured = net.conv("x", WIDE, 3)
    size = net.op("Shape", pictured)
    zeros = net.op("ConstantOfShape", size)
    summed = net.op("Add", pictured, zeros)
    some = net.op("Softmax", zeros, axis=2)
    joined = net.op("Concat", pictured, zeros, axis=1)
    convolved = net.conv(net.op("Exp", zeros), WIDE, 1)
    count = net.op("Cast", net.op("Gather", size, net.const(2, np.int64)), to=TensorProto.FLOAT)
    written(net, zeros, summed, some, joined, convolved, size, net.op("Mul", pictured, count))
    written(net, summed, size)


def test_sizes_of_a_part_of_the_axes_are_no_sizes_of_a_tensor(net: Net) -> None:
    pictured = net.conv("x", WIDE, 3)
    row = net.op("ConstantOfShape", net.op("Shape", pictured, start=2))
    written(net, net.op("Add", pictured, row), row, net.op("Unsqueeze", row, net.const([0, 1], np.int64)))


# Parts that do not begin with frames


def test_of_other_parts_only_convolutions_are_written(net: Net) -> None:
    hidden = net.op("Relu", net.conv("x", WIDE, 3))
    masked = net.op("Mul", net.conv(hidden, WIDE, 3), "mask")
    up = net.up(masked, 2, 4)
    rows = net.op("Softmax", net.op("MatMul", net.op("Transpose", up, perm=[0, 2, 1]), up), axis=-1)
    half = net.op("Slice", up, *(net.const([n], np.int64) for n in (0, 2**31 - 1, 1)))
    zeros = net.op("Add", net.zeros_like(masked), masked)
    made = written(net, rows, half, zeros, is_all_rank_3=False)
    assert ranks(made) == [4] * 4
    assert changes_of_form(made) == (3, 3)
    assert kinds(made)["Slice"] == kinds(made)["ConstantOfShape"] == 1


# Any graph


def halves(net: Net, x: str, axis: int) -> list[str]:
    return list(net.op("Split", x, outputs=2, axis=axis))


STEPS: dict[str, Callable[[Net, str, str], str]] = {
    "conv": lambda net, x, _: net.conv(x, WIDE, 3),
    "up and down": lambda net, x, _: net.op(
        "Conv", net.up(x, 2, 4), net.weight(BLOCK, BLOCK, 2, scale=0.2), strides=[2]
    ),
    "tanh": lambda net, x, _: net.op("Tanh", x),
    "add": lambda net, x, y: net.op("Add", x, y),
    "mask": lambda net, x, _: net.op("Mul", x, "mask"),
    "speaker": lambda net, x, _: net.op("Sub", "speaker", x),
    "constant": lambda net, x, _: net.op("Mul", net.weight(BLOCK, 1, scale=1.0), x),
    "zeros": lambda net, x, y: net.op("Add", net.zeros_like(x), y),
    "zeros alone": lambda net, x, _: net.op("Exp", net.zeros_like(x)),
    "same": lambda net, x, _: net.op("Slice", x, *(net.const([n], np.int64) for n in (0, 2**31 - 1, 2))),
    "flip": lambda net, x, _: net.op("Slice", x, *(net.const([n], np.int64) for n in (-1, -99, 1, -1))),
    "halves": lambda net, x, y: net.op("Concat", halves(net, x, 1)[1], halves(net, y, -2)[0], axis=1),
    "narrow": lambda net, x, _: net.conv(net.conv(x, (8, BLOCK), 3), (BLOCK, 8), 3),
    "unknown": lambda net, x, _: net.op("Softmax", x, axis=2),
    "mean": lambda net, x, _: net.op("Sub", x, net.op("ReduceMean", x, axes=[2])),
    "number": lambda net, x, _: net.op("Sub", x, net.op("ReduceMax", x, keepdims=0)),
}  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 20), st.integers(0, 20)), max_size=14),
    st.sets(st.integers(0, 20), min_size=1, max_size=4), st.booleans(), st.integers(1, 2),
)  # fmt: skip
def test_any_graph_of_such_nodes_computes_the_same(
    steps: list[tuple[str, int, int]], leaving: set[int], is_all_rank_3: bool, batch: int
) -> None:
    net = Net(3, BLOCK)
    made = [net.conv("x", WIDE, 3)]
    for kind, one, other in steps:
        made.append(STEPS[kind](net, made[one % len(made)], made[other % len(made)]))
    outputs = dict.fromkeys(made[index % len(made)] for index in leaving)
    written(net, *outputs, batch=batch, is_all_rank_3=is_all_rank_3)
