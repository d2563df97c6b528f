"""Writes a part's convolutions as those of pictures one pixel high, which a processor computes faster.

ONNX Runtime lays ``[batch, channels, height, width]`` out in blocks of channels and runs kernels on them that
reach the processor's peak; ``[batch, channels, frames]`` it unrolls into a matrix first. The numbers are the
same, in another order of summation. Measured with the true architecture (medium, random weights, one thread
of a Xeon with AVX-512, `benchmarks.voice` has the whole): 83 instead of 44 to 66 thousand million products a
second, and the decoder takes 0.74 of its time. Without such kernels (some ARM processors) nothing is lost.

A transposed convolution has no such kernel and becomes a plain one that makes the columns of each phase as
channels of their own, which are then put in their order (sub-pixel convolution: Shi et al. 2016,
arXiv:1609.05158; exact here, since each phase has its own taps).

Where a tensor is one number all over and joined number by number with what is as large, that number serves. A
node that is not known here gets its tensors as they were, so every graph can be written so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from services.tts.phases import phases
from services.tts.split_forms import HEIGHT, Forms
from services.tts.split_nodes import Graph
from services.tts.split_shapes import EACH, RANK, Array, Shape, attributes, constants, cuts, shapes

BLOCK = 16
"""Channels of a block where it is largest; padding other numbers up to it costs more than it gains."""


def planes(part: onnx.ModelProto, sources: Sequence[str], *, is_all_rank_3: bool = True) -> onnx.ModelProto:
    """Returns a part that computes the same by pictures.

    Args:
        part: the model.
        sources: its inputs that differ from run to run.
        is_all_rank_3: whether these are ``[batch, channels, frames]``, and what is made of them number by
            number is made of pictures too; else only convolutions are written as those of pictures.
    """
    return _Writer(part, sources, is_all_rank_3=is_all_rank_3).part()


class _Writer:
    def __init__(self, part: onnx.ModelProto, sources: Sequence[str], *, is_all_rank_3: bool) -> None:
        self._old, self._forms = part, Forms(sources)
        self._known = constants(part)
        self._shapes = shapes(part.graph.node, sources, self._known) if is_all_rank_3 else {}
        self._framed = set(sources)
        """Tensors that depend on the sources."""
        self._ways: dict[str, Callable[[NodeProto], bool]] = {
            "Conv": self._conv, "ConvTranspose": self._transposed,
        }  # fmt: skip
        if is_all_rank_3:
            self._ways |= {
                "Slice": self._slice, "Split": self._split, "Concat": self._concat,
                "ConstantOfShape": self._filled, "Shape": self._shape, **dict.fromkeys(EACH, self._each),
            }  # fmt: skip

    def part(self) -> onnx.ModelProto:
        graph = Graph(self._old)
        for node, taken in zip(graph.nodes, graph.takes, strict=True):
            self._write(node, taken)
        return self._forms.part(self._old)

    def _write(self, node: NodeProto, taken: Sequence[str]) -> None:
        if self._framed.isdisjoint(taken):
            self._forms.keep(node)
            return
        self._framed.update(filter(None, node.output))
        if self._ways.get(node.op_type, _unknown)(node):
            return
        for name in set(taken) - set(node.input):
            self._forms.keep_name(name)  # a graph inside takes it
        self._forms.keep(node)

    def _conv(self, node: NodeProto) -> bool:
        taken, weight = attributes(node), self._known.get(node.input[1])
        if weight is None or not _is_in_blocks(weight) or not _is_plain(taken):
            return False
        before, behind = taken.get("pads", [0, 0])
        source, pictures = self._forms.plane(node.input[0]), weight[:, :, np.newaxis]
        rest = [self._forms.flat(name) for name in node.input[2:]]
        self._forms.add(
            "Conv", [source, self._forms.constant(node.input[1], pictures), *rest],
            self._forms.made_plane(node.output[0]),
            kernel_shape=[1, weight.shape[2]], pads=[0, before, 0, behind], group=taken.get("group", 1),
            strides=[1, *taken.get("strides", [1])], dilations=[1, *taken.get("dilations", [1])],
        )  # fmt: skip
        return True

    def _transposed(self, node: NodeProto) -> bool:
        taken, weight = attributes(node), self._known.get(node.input[1])
        if weight is None or not _is_in_blocks(weight) or not _is_plain(taken):
            return False
        bias = self._known.get(node.input[2]) if node.input[2:] else np.zeros(weight.shape[1], weight.dtype)
        stride, (before, behind) = taken.get("strides", [1])[0], taken.get("pads", [0, 0])
        is_single = taken.get("group", 1) == 1 and taken.get("dilations", [1]) == [1]
        if bias is None or not is_single or weight.shape[2] - before - behind != stride:
            return False
        source, result, parts = self._forms.plane(node.input[0]), node.output[0], []
        for number, group in enumerate(phases(weight, stride=stride, pad=before)):
            parts.append(f"{result}.phase.{number}")
            weights = self._forms.constant(f"{parts[-1]}.w", group.weight[:, :, np.newaxis])
            biases = self._forms.constant(f"{parts[-1]}.b", np.tile(bias, len(group.phases)))
            self._forms.add(
                "Conv", [source, weights, biases], parts[-1], kernel_shape=[1, group.weight.shape[2]],
                pads=[0, group.before, 0, group.behind],
            )  # fmt: skip
        self._in_order(parts, result, stride, weight.shape[1])
        return True

    def _in_order(self, parts: Sequence[str], result: str, stride: int, channels: int) -> None:
        """Puts the columns of the phases, which are channels so far, side by side."""
        add, integers = self._forms.add, self._forms.integers
        joined, apart, ordered = (f"{result}.{step}" for step in ("joined", "apart", "ordered"))
        add("Concat", parts, joined, axis=1)
        add("Reshape", [joined, integers(0, stride, channels, 1, -1)], apart)
        add("Transpose", [apart], ordered, perm=[0, 2, 3, 4, 1])
        add("Reshape", [ordered, integers(0, channels, 1, -1)], self._forms.made_plane(result))

    def _each(self, node: NodeProto) -> bool:
        if node.output[0] not in self._shapes:
            return False
        if all(self._forms.is_number(name) or self._is_single(name) for name in node.input):
            self._forms.single(node)
            return True
        if not any(map(self._forms.is_plane, node.input)):
            return False
        large = [
            self._shapes[name]
            for name in node.input
            if name in self._shapes and not self._forms.is_number(name)
        ]
        self._forms.picture(node, [self._operand(name, large) for name in node.input])
        return True

    def _is_single(self, name: str) -> bool:
        return name in self._known and self._known[name].ndim == 0

    def _operand(self, name: str, large: Sequence[Shape]) -> str:
        value = self._known.get(name)
        if value is not None:
            return name if value.ndim < HEIGHT else self._forms.constant(name, np.expand_dims(value, -2))
        if self._forms.is_number(name) and any(shape.covers(self._shapes[name]) for shape in large):
            return self._forms.number(name)
        return self._forms.plane(name)

    def _slice(self, node: NodeProto) -> bool:
        if cuts(node, self._known) == []:
            self._forms.rename(node.output[0], node.input[0])
            return True
        axes = self._known.get(node.input[3]) if node.input[3:] else None
        if not self._forms.is_plane(node.input[0]) or axes is None:
            return False
        moved = np.array([_moved(int(axis)) for axis in axes], axes.dtype)
        ends, steps = (
            [self._forms.flat(name) for name in some] for some in (node.input[1:3], node.input[4:])
        )
        name = self._forms.constant(f"{node.output[0]}.axes", moved)
        self._forms.picture(node, [self._forms.plane(node.input[0]), *ends, name, *steps])
        return True

    def _split(self, node: NodeProto) -> bool:
        if not self._forms.is_plane(node.input[0]):
            return False
        sizes = [self._forms.flat(name) for name in node.input[1:]]
        axis = _moved(attributes(node).get("axis", 0))
        self._forms.picture(node, [self._forms.plane(node.input[0]), *sizes], axis=axis)
        return True

    def _concat(self, node: NodeProto) -> bool:
        if node.output[0] not in self._shapes or not any(map(self._forms.is_plane, node.input)):
            return False
        axis = _moved(attributes(node)["axis"])
        self._forms.picture(node, [self._forms.plane(name) for name in node.input], axis=axis)
        return True

    def _shape(self, node: NodeProto) -> bool:
        """The sizes of what is only filled with one number need not be known (``_filled``)."""
        self._forms.delay(node)
        return True

    def _filled(self, node: NodeProto) -> bool:
        """A tensor of one number."""
        if node.output[0] not in self._shapes:
            return False
        value = next((numpy_helper.to_array(item.t) for item in node.attribute), np.zeros(1, np.float32))
        self._forms.single(node, value)
        return True


def _unknown(node: NodeProto) -> bool:
    del node
    return False


def _moved(axis: int) -> int:
    """Returns an axis of rank 3 as one of rank 4."""
    axis %= RANK
    return axis + 1 if axis >= HEIGHT else axis


def _is_in_blocks(weight: Array) -> bool:
    """Whether a convolution takes and makes whole blocks of channels."""
    return weight.ndim == RANK and weight.shape[0] % BLOCK == 0 and weight.shape[1] % BLOCK == 0


def _is_plain(taken: dict[str, Any]) -> bool:
    """Whether a convolution's padding stands in its ``pads`` alone."""
    is_told = taken.get("auto_pad", b"NOTSET") == b"NOTSET" and "output_shape" not in taken
    return is_told and not any(taken.get("output_padding", ()))
