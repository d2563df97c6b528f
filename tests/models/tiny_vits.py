"""A Piper voice of VITS' own structure, built by the tests: small channels, random weights, noise for a
voice.

Where ``tiny_voice`` says words in tones, this one is built as real exports are: durations with their
``Ceil``, random numbers added to what the text became, coupling layers under a mask with channels turned
around, a decoder of transposed convolutions and residual blocks with dilation, and a speaker who enters
both. Each phoneme's numbers depend on its neighbours. Names are numbers, so nothing can be found by them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models.tiny_voice import N_IDS, PAUSE_FRAMES, SYMBOLS

CHANNELS = 16
"""As many as a block has, so that its convolutions are written as those of pictures; half as many are not."""
FAST = {"up": ((8, 16), (8, 16), (4, 8)), "blocks": ((3, (1, 2)), (5, (2, 6)), (7, (3, 12)))}
"""The decoder of Piper's low and medium voices: strides and kernels, kernels and dilations."""
_DENSE = (1, 1, 3, 1, 5, 1)
FINE = {"up": ((8, 16), (8, 16), (2, 4), (2, 4)), "blocks": ((3, _DENSE), (7, _DENSE), (11, _DENSE))}
"""Likewise of high ones."""


class Net:
    """Nodes and weights; tensors are called by numbers."""

    def __init__(self, seed: int, channels: int) -> None:
        self.channels = channels
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._random = np.random.default_rng(seed)
        self._count = 0

    def name(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = self.name()
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def weight(self, *shape: int, scale: float) -> str:
        return self.const(self._random.normal(0.0, scale, shape))

    def conv(self, x: str, channels: tuple[int, int], kernel: int, dilation: int = 1) -> str:
        scale = 0.6 / np.sqrt(channels[1] * kernel)
        pad = (kernel - 1) * dilation // 2
        return str(
            self.op(
                "Conv", x, self.weight(*channels, kernel, scale=scale), self.weight(channels[0], scale=0.1),
                kernel_shape=[kernel], dilations=[dilation], pads=[pad, pad],
            )
        )  # fmt: skip

    def up(self, x: str, stride: int, kernel: int) -> str:
        pad = (kernel - stride) // 2
        weight = self.weight(self.channels, self.channels, kernel, scale=0.7 / np.sqrt(self.channels))
        return str(
            self.op(
                "ConvTranspose", x, weight, self.weight(self.channels, scale=0.1),
                kernel_shape=[kernel], strides=[stride], pads=[pad, pad],
            )
        )  # fmt: skip

    def zeros_like(self, x: str) -> str:
        zero = numpy_helper.from_array(np.zeros(1, np.float32))
        return str(self.op("ConstantOfShape", self.op("Shape", x), value=zero))

    def normalized(self, x: str) -> str:
        """Layer normalization over channels, node by node as exporters write it."""
        rows = self.op("Transpose", x, perm=[0, 2, 1])
        apart = self.op("Sub", rows, self.op("ReduceMean", rows, axes=[-1]))
        variance = self.op("ReduceMean", self.op("Pow", apart, self.const(2.0)), axes=[-1])
        even = self.op("Div", apart, self.op("Sqrt", self.op("Add", variance, self.const(1e-5))))
        scaled = self.op("Mul", even, self.weight(self.channels, scale=1.0))
        shifted = self.op("Add", scaled, self.weight(self.channels, scale=0.1))
        return str(self.op("Transpose", shifted, perm=[0, 2, 1]))


def _text(net: Net, scales: dict[str, str]) -> tuple[str, str]:
    """Returns the columns of all frames, random numbers added, and the mask."""
    rows = net.op("Gather", net.weight(N_IDS, net.channels, scale=1.0), "input", axis=0)
    rows = net.conv(net.op("Transpose", rows, perm=[0, 2, 1]), (net.channels, net.channels), 5)
    rows = net.normalized(rows)
    frames = [PAUSE_FRAMES.get(symbol, 3) for symbol in SYMBOLS]
    table = net.const(np.pad(np.array(frames, np.float32), (0, N_IDS - len(frames))))
    plain = net.op("Unsqueeze", net.op("Gather", table, "input", axis=0), net.const([1], np.int64))
    shaky = net.op("Mul", net.op("RandomNormalLike", plain), scales["noise_w"])
    uneven = net.op("Mul", plain, net.op("Exp", net.op("Mul", shaky, net.const(0.3))))
    whole = net.op("Ceil", net.op("Mul", uneven, scales["length"]))
    end = net.op("CumSum", whole, net.const(2, np.int64))
    start = net.op("Sub", end, whole)
    total = net.op("Max", net.op("ReduceSum", whole, net.const([1, 2], np.int64), keepdims=0), net.const(1.0))
    most = net.op("Cast", net.op("ReduceMax", total, keepdims=0), to=TensorProto.INT64)
    frame = net.op("Range", net.const(0, np.int64), most, net.const(1, np.int64))
    frame = net.op("Cast", frame, to=TensorProto.FLOAT)
    row = net.op("Unsqueeze", frame, net.const([0], np.int64))
    mask = net.op("Less", row, net.op("Unsqueeze", total, net.const([1], np.int64)))
    mask = net.op("Cast", net.op("Unsqueeze", mask, net.const([1], np.int64)), to=TensorProto.FLOAT)
    begun = net.op("GreaterOrEqual", row, net.op("Transpose", start, perm=[0, 2, 1]))
    ahead = net.op("Less", row, net.op("Transpose", end, perm=[0, 2, 1]))
    path = net.op("Cast", net.op("And", begun, ahead), to=TensorProto.FLOAT)
    mean = net.op("MatMul", rows, path)
    noise = net.op("Mul", net.op("Mul", net.op("RandomNormalLike", mean), net.const(0.5)), scales["noise"])
    return str(net.op("Add", mean, noise)), str(mask)


def _flow(net: Net, x: str, mask: str, speaker: str) -> str:
    half = net.channels // 2
    ends = net.const([-1], np.int64), net.const([-(2**62)], np.int64)
    for _ in range(2):
        x = net.op("Slice", x, *ends, net.const([1], np.int64), net.const([-1], np.int64))
        first, second = net.op("Split", x, net.const([half, half], np.int64), outputs=2, axis=1)
        hidden = net.op("Mul", net.conv(first, (net.channels, half), 1), mask)
        for _ in range(2):
            inner = net.conv(hidden, (net.channels, net.channels), 5)
            given = net.conv(speaker, (net.channels, net.channels), 1) if speaker else net.zeros_like(inner)
            inner = net.op("Add", inner, given)
            zero, far = net.const([0], np.int64), net.const([2**31 - 1], np.int64)
            gated = net.op("Slice", inner, zero, far, net.const([2], np.int64))  # takes all, as exports do
            gated = net.op("Mul", net.op("Tanh", gated), net.op("Sigmoid", inner))
            hidden = net.op("Mul", net.op("Add", hidden, gated), mask)
        shift = net.op("Mul", net.conv(hidden, (half, net.channels), 1), mask)
        even = net.op("Exp", net.op("Neg", net.zeros_like(shift)))
        x = net.op("Concat", first, net.op("Mul", net.op("Sub", second, shift), even), axis=1)
    return str(net.op("Mul", x, mask))


def _decoder(net: Net, x: str, speaker: str, shape: dict[str, Any], kind: str) -> str:
    frames = net.op("Shape", x) if kind == "sized" else ""
    x = net.conv(x, (net.channels, net.channels), 7)
    if speaker:
        x = net.op("Add", x, net.conv(speaker, (net.channels, net.channels), 1))
    if kind == "global":  # each frame hears of all others
        x = net.op("Sub", x, net.op("ReduceMean", x, axes=[2]))
    for stride, kernel in shape["up"]:
        x = net.up(net.op("LeakyRelu", x, alpha=0.1), stride, kernel)
        blocks = []
        for size, dilations in shape["blocks"]:
            y = x
            for dilation in dilations:
                inner = net.op("LeakyRelu", y, alpha=0.1)
                y = net.op("Add", net.conv(inner, (net.channels, net.channels), size, dilation), y)
            blocks.append(y)
        x = net.op("Div", net.op("Sum", *blocks), net.const(float(len(blocks))))
    if kind == "sized":
        hop = int(np.prod([stride for stride, _ in shape["up"]]))
        frames = net.op("Mul", frames, net.const([1, 1, hop], np.int64))
        x = net.op("Add", x, net.op("ConstantOfShape", frames))
    if kind == "attentive":
        x = net.op("Mul", x, net.op("Softmax", x, axis=2))
    return str(net.op("Tanh", net.conv(net.op("LeakyRelu", x, alpha=0.1), (1, net.channels), 7)))


def build(
    path: Path,
    *,
    speakers: tuple[str, ...] = (),
    shape: dict[str, Any] = FAST,
    kind: str = "plain",
    channels: int = CHANNELS,
    seed: int = 1,
    rate_hz: int = 22050,
) -> Path:
    """Writes ``<path>`` and ``<path>.json``; returns the path.

    ``kind``: ``plain``; ``flowless``; ``global`` and ``attentive``, whose decoder needs all frames at once;
    ``sized``, whose decoder asks at its end how many frames it began with; ``straight``, which has no
    transposed convolution; ``blurred``, whose flow sees all frames.
    """
    net = Net(seed, channels)
    names = ("noise", "length", "noise_w")
    scales = {
        name: net.op("Gather", "scales", net.const(index, np.int64), axis=0)
        for index, name in enumerate(names)
    }
    speaker = ""
    if speakers:
        speaker = net.op("Gather", net.weight(len(speakers), net.channels, scale=1.0), "sid", axis=0)
        speaker = net.op("Unsqueeze", speaker, net.const([2], np.int64))
    x, mask = _text(net, scales)
    if kind == "blurred":
        x = net.op("Sub", x, net.op("ReduceMean", x, axes=[2]))
    x = net.op("Mul", x, mask) if kind == "flowless" else _flow(net, x, mask, speaker)
    made = net.conv(x, (1, net.channels), 7) if kind == "straight" else _decoder(net, x, speaker, shape, kind)
    net.nodes.append(helper.make_node("Identity", [made], ["output"]))
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, ["batch_size", "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch_size"]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        *([helper.make_tensor_value_info("sid", TensorProto.INT64, ["batch_size"])] if speakers else []),
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch_size", 1, "time"])]
    graph = helper.make_graph(net.nodes, "tiny_vits", inputs, outputs, net.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    config = {
        "audio": {"sample_rate": rate_hz, "quality": "low"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.0, "length_scale": 1.0, "noise_w": 0.0},
        "phoneme_type": "espeak",
        "phoneme_id_map": {symbol: [index] for index, symbol in enumerate(SYMBOLS)},
        "num_symbols": N_IDS,
        "num_speakers": max(1, len(speakers)),
        "speaker_id_map": {name: index for index, name in enumerate(speakers)},
        "language": {"code": "en_US"},
    }
    path.with_name(path.name + ".json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    return path
