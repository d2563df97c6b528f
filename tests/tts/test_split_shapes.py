"""What is told of shapes is true, whatever the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from services.tts.split_shapes import Shape, constants, shapes
from tests.models.tiny_vits import Net

CHANNELS, FRAMES = 4, 6
Size = tuple[int, int]
SOURCES: dict[str, Size] = {
    "x": (CHANNELS, FRAMES),
    "mask": (1, FRAMES),
    "speaker": (CHANNELS, 1),
    "one": (1, 1),
}
KINDS = [
    "conv", "short", "up", "add", "tanh", "constant", "row", "zeros", "channels", "frames", "same",
    "computed", "split", "split frames", "join", "join frames", "unknown",
]  # fmt: skip


def known_shapes(net: Net) -> dict[str, Shape]:
    graph = helper.make_graph(net.nodes, "part", [], [], net.constants)
    return shapes(net.nodes, SOURCES, constants(helper.make_model(graph)))


def ends(net: Net, *numbers: int) -> list[str]:
    return [net.const([number], np.int64) for number in numbers]


def add(net: Net, sizes: dict[str, Size], kind: str, x: str, y: str) -> None:
    """Writes a node of a kind, if it can take these tensors, and notes what size its results have."""
    (channels, frames), others = sizes[x], sizes[y]
    if kind == "conv":
        sizes[net.conv(x, (CHANNELS, channels), 3)] = (CHANNELS, frames)
    elif kind == "short" and frames > 2:
        sizes[net.op("Conv", x, net.weight(CHANNELS, channels, 3, scale=1.0))] = (CHANNELS, frames - 2)
    elif kind == "up":
        made = net.op("ConvTranspose", x, net.weight(channels, 2, 2, scale=1.0), strides=[2])
        sizes[made] = (2, 2 * frames)
    elif kind == "add" and all(
        1 in pair or pair[0] == pair[1] for pair in zip(sizes[x], others, strict=True)
    ):
        sizes[net.op("Add", x, y)] = (max(channels, others[0]), max(frames, others[1]))
    elif kind == "tanh":
        sizes[net.op("Tanh", x)] = sizes[x]
    elif kind == "constant" and channels in {1, CHANNELS}:
        sizes[net.op("Mul", net.weight(CHANNELS, 1, scale=1.0), x)] = (CHANNELS, frames)
    elif kind == "row" and frames in {1, FRAMES}:
        sizes[net.op("Sub", x, net.weight(FRAMES, scale=1.0))] = (channels, FRAMES)
    elif kind == "zeros":
        sizes[net.zeros_like(x)] = sizes[x]
    else:
        cut(net, sizes, kind, x)
        join(net, sizes, kind, x, y)


def cut(net: Net, sizes: dict[str, Size], kind: str, x: str) -> None:
    channels, frames = sizes[x]
    if kind == "channels":
        sizes[net.op("Slice", x, *ends(net, 0, 9, 1, 2))] = ((channels + 1) // 2, frames)
    elif kind == "frames":
        sizes[net.op("Slice", x, *ends(net, 0, 1, 2))] = (channels, 1)
    elif kind == "same":
        sizes[net.op("Slice", x, *ends(net, 0, 2**31 - 1, 2))] = sizes[x]
    elif kind == "computed":
        far = net.op("Abs", ends(net, 1)[0])
        sizes[net.op("Slice", x, *ends(net, 0), far, *ends(net, 2))] = (channels, 1)


def join(net: Net, sizes: dict[str, Size], kind: str, x: str, y: str) -> None:
    (channels, frames), others = sizes[x], sizes[y]
    axis = 2 if kind.endswith("frames") else 1
    length = (channels, frames)[axis - 1]
    if kind.startswith("split") and length > 1:
        told: Any = net.const([1, length - 1], np.int64)
        for name, part in zip(
            net.op("Split", x, told, outputs=2, axis=axis - 3), (1, length - 1), strict=True
        ):
            sizes[name] = (part, frames) if axis == 1 else (channels, part)
    elif kind.startswith("join") and others[axis % 2] == sizes[x][axis % 2]:
        whole = length + others[axis - 1]
        sizes[net.op("Concat", x, y, axis=axis)] = (whole, frames) if axis == 1 else (channels, whole)
    elif kind == "unknown":
        sizes[net.op("Softmax", x, axis=2)] = sizes[x]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 30), st.integers(0, 30)), max_size=16))
def test_channels_are_those_that_there_are_and_what_covers_another_is_as_large(
    steps: list[tuple[str, int, int]],
) -> None:
    net, sizes = Net(1, CHANNELS), dict(SOURCES)
    for kind, one, other in steps:
        add(net, sizes, kind, list(sizes)[one % len(sizes)], list(sizes)[other % len(sizes)])
    found = known_shapes(net)
    for name, shape in found.items():
        assert shape.channels in {None, sizes[name][0]}
        assert all(
            all(b in {1, a} for a, b in zip(sizes[name], sizes[other], strict=True))
            for other, smaller in found.items()
            if shape.covers(smaller)
        )


def test_what_comes_of_the_same_frames_is_as_large() -> None:
    net = Net(1, CHANNELS)
    masked = net.op("Mul", net.conv("x", (8, CHANNELS), 5, 2), "mask")
    zeros = net.zeros_like(masked)
    hidden = net.conv(net.op("Tanh", net.op("Sum", masked, "mask", net.const(1.0))), (16, 8), 3)
    half = net.op("Slice", hidden, *ends(net, 8, 16, 1))
    first, _ = net.op("Split", hidden, net.const([8, 8], np.int64), outputs=2, axis=1)
    whole = net.op("Concat", half, first, axis=1)
    found = known_shapes(net)
    assert found[half].covers(found[zeros])
    assert found[first].covers(found[masked])
    assert found[whole].covers(found[hidden])
    assert not found[whole].covers(found[half])
    assert found[zeros] == found[masked] == Shape(8, frozenset({"x", "mask"}))


def test_of_other_ranks_nothing_is_told() -> None:
    net = Net(1, CHANNELS)
    flat = net.conv("x", (CHANNELS, CHANNELS), 3)
    less = net.op("ReduceMean", flat, axes=[2], keepdims=0)
    more = net.op("Add", flat, net.weight(2, 1, 1, 1, scale=1.0))
    batch = net.op("Add", flat, net.weight(2, 1, 1, scale=1.0))
    joined = net.op("Concat", flat, less, axis=1)
    constant = net.op("Tanh", net.weight(CHANNELS, scale=1.0))
    computed = net.op("Conv", "x", net.op("Tanh", net.weight(CHANNELS, CHANNELS, 1, scale=1.0)))
    pictures = net.op("Conv", more, net.weight(CHANNELS, CHANNELS, 1, 1, scale=1.0))
    names = {
        less,
        more,
        batch,
        joined,
        constant,
        computed,
        pictures,
        net.op("Slice", less, *ends(net, 0, 1, 0)),
    }
    names |= {*net.op("Split", less, outputs=2, axis=1), net.op("Tanh", less)}
    assert names.isdisjoint(known_shapes(net))
