"""Writes a part's convolutions as those of pictures one pixel high, which a processor computes faster.

ONNX Runtime lays ``[batch, channels, height, width]`` out in blocks of channels and runs kernels on them that
reach the processor's peak; ``[batch, channels, frames]`` it unrolls into a matrix first. The numbers are the
same, in another order of summation. Measured with the true architecture (medium, random weights, one thread
of a Xeon with AVX-512, `benchmarks.voice` has the whole): 83 instead of 44 to 66 thousand million products a
second, and the decoder takes 0.74 of its time. Without such kernels (some ARM processors) nothing is lost.

A transposed convolution has no such kernel and becomes a plain one that makes the columns of each phase as
channels of their own, which are then put in their order (sub-pixel convolution: Shi et al. 2016,
arXiv:1609.05158; exact here, since each phase has its own taps).

Tensors keep their names; the picture of one is called ``<name>.plane``. A node that is not known here gets
its tensors as they were, so every graph can be written so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from services.tts.phases import phases
from services.tts.split_nodes import TO_THE_END

BLOCK = 16
"""Channels of a block where it is largest; other numbers of channels are padded, which costs more than it gains."""
_HEIGHT = 2
"""The axis that is added."""
_RANK = 3
_EACH = frozenset(
    {
        "Add", "Sub", "Mul", "Div", "Neg", "Exp", "Log", "Sqrt", "Abs", "Tanh", "Sin", "Cos", "Erf",
        "Sigmoid", "LeakyRelu", "Relu", "Elu", "Selu", "Softplus", "Reciprocal", "Identity", "Sum",
    }
)  # fmt: skip
"""Work number by number."""
Array = npt.NDArray[Any]


def planes(part: onnx.ModelProto, sources: Sequence[str], *, is_all_rank_3: bool = True) -> onnx.ModelProto:
    """Returns a part that computes the same by pictures.

    Args:
        part: the model.
        sources: its inputs.
        is_all_rank_3: whether they are, and what is made of them number by number; else only convolutions
            are written as those of pictures, and what stands between them as it was.
    """
    return _Writer(part, sources, is_all_rank_3=is_all_rank_3).model()


class _Writer:
    def __init__(self, part: onnx.ModelProto, sources: Sequence[str], *, is_all_rank_3: bool) -> None:
        self._part = part
        self._known: dict[str, Array] = {i.name: numpy_helper.to_array(i) for i in part.graph.initializer}
        self._framed = set(sources)
        """Tensors that depend on the frames."""
        self._flat: set[str] = set(sources)
        """Those of them that are there as they were."""
        self._planes: set[str] = set()
        """Those of them that are there as pictures."""
        self._same: dict[str, str] = {}
        """Tensors that are others."""
        self._nodes: list[NodeProto] = []
        self._made: dict[str, Array] = {}
        """New constants."""
        self._users: dict[str, set[str]] = {}
        for node in part.graph.node:
            for name in node.input:
                self._users.setdefault(name, set()).add(node.op_type)
        self._ways: dict[str, Callable[[NodeProto], bool]] = {
            "Conv": self._conv, "ConvTranspose": self._transposed,
        }  # fmt: skip
        if is_all_rank_3:
            self._ways |= {
                "Slice": self._slice, "Split": self._along, "Concat": self._along,
                "ConstantOfShape": self._filled, "Shape": self._shape, **dict.fromkeys(_EACH, self._each),
            }  # fmt: skip

    def model(self) -> onnx.ModelProto:
        """Returns what was written."""
        for node in self._part.graph.node:
            self._write(node)
        made = onnx.ModelProto()
        made.CopyFrom(self._part)
        graph = made.graph
        for output in graph.output:
            if self._name(output.name) != output.name:
                self._add("Identity", [self._as_it_was(output.name)], output.name)
            else:
                self._as_it_was(output.name)
        used = {name for node in self._nodes for name in node.input}
        constants = [item for item in graph.initializer if item.name in used]
        constants += [numpy_helper.from_array(value, name) for name, value in self._made.items()]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(constants)
        return made

    def _write(self, node: NodeProto) -> None:
        if not any(self._name(name) in self._framed for name in node.input):
            self._learn(node)
            self._nodes.append(node)
            return
        self._framed.update(node.output)
        if self._ways.get(node.op_type, _unknown)(node):
            return
        names = [self._as_it_was(name) for name in node.input]
        self._copy(node, names, list(node.output), {})
        self._flat.update(node.output)

    def _learn(self, node: NodeProto) -> None:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            self._known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in self._known:
            self._known[node.output[0]] = self._known[node.input[0]]

    def _conv(self, node: NodeProto) -> bool:
        taken = _attributes(node)
        weight = self._known.get(node.input[1])
        if weight is None or weight.ndim != _RANK or weight.shape[0] % BLOCK or weight.shape[1] % BLOCK:
            return False
        before, behind = taken.get("pads", [0, 0])
        self._add(
            "Conv",
            [
                self._plane(node.input[0]),
                self._constant(node.input[1], weight[:, :, np.newaxis]),
                *node.input[2:],
            ],
            _plane(node.output[0]),
            kernel_shape=[1, weight.shape[2]], pads=[0, before, 0, behind], group=taken.get("group", 1),
            strides=[1, *taken.get("strides", [1])], dilations=[1, *taken.get("dilations", [1])],
        )  # fmt: skip
        self._planes.add(node.output[0])
        return True

    def _transposed(self, node: NodeProto) -> bool:
        taken = _attributes(node)
        weight, result = self._known.get(node.input[1]), node.output[0]
        stride = taken.get("strides", [1])[0]
        before, behind = taken.get("pads", [0, 0])
        is_plain = not {"output_padding", "output_shape", "auto_pad"} & taken.keys()
        if weight is None or weight.ndim != _RANK or not is_plain or weight.shape[0] % BLOCK:
            return False
        channels = weight.shape[1]
        if taken.get("group", 1) != 1 or taken.get("dilations", [1]) != [1] or channels % BLOCK:
            return False
        if weight.shape[2] - before - behind != stride:
            return False
        source, parts = self._plane(node.input[0]), []
        for number, group in enumerate(phases(weight, stride=stride, pad=before)):
            name = f"{result}.phase.{number}"
            inputs = [source, self._constant(f"{name}.w", group.weight[:, :, np.newaxis])]
            if len(node.input) > 2 and (bias := self._known.get(node.input[2])) is not None:
                inputs.append(self._constant(f"{name}.b", np.tile(bias, len(group.phases))))
            self._add(
                "Conv", inputs, name, kernel_shape=[1, group.weight.shape[2]],
                pads=[0, group.before, 0, group.behind],
            )  # fmt: skip
            parts.append(name)
        joined, apart, ordered = (f"{result}.{step}" for step in ("joined", "apart", "ordered"))
        self._add("Concat", parts, joined, axis=1)
        self._add("Reshape", [joined, self._shape_of("apart", [0, stride, channels, 1, -1])], apart)
        self._add("Transpose", [apart], ordered, perm=[0, 2, 3, 4, 1])
        self._add("Reshape", [ordered, self._shape_of("whole", [0, channels, 1, -1])], _plane(result))
        self._planes.add(result)
        return True

    def _each(self, node: NodeProto) -> bool:
        names = [self._name(name) for name in node.input]
        if not any(name in self._planes for name in names):
            return False
        constants = [name for name in names if name not in self._framed]
        if any(name not in self._known or self._known[name].ndim > _RANK for name in constants):
            return False
        self._picture(node, [self._operand(name) for name in names], {})
        return True

    def _operand(self, name: str) -> str:
        if name in self._framed:
            return self._plane(name)
        value = self._known[name]
        if value.ndim <= 1 and value.size <= 1:
            return name
        full = value.reshape((1,) * (_RANK - value.ndim) + value.shape)
        return self._constant(name, np.expand_dims(full, _HEIGHT))

    def _slice(self, node: NodeProto) -> bool:
        source = self._name(node.input[0])
        known = [self._known.get(name) for name in node.input[1:]]
        if len(node.input) > 3 and self._takes_all(known):
            self._same[node.output[0]] = source
            return True
        axes = known[2] if len(known) > 2 else None
        if source not in self._planes or axes is None:
            return False
        moved = np.array([_moved(int(axis)) for axis in axes], np.int64)
        starts_ends, steps = list(node.input[1:3]), list(node.input[4:])
        name = self._constant(f"{node.output[0]}.axes", moved)
        self._picture(node, [self._plane(source), *starts_ends, name, *steps], {})
        return True

    @staticmethod
    def _takes_all(known: Sequence[Array | None]) -> bool:
        starts, ends, _, steps = [*known, np.array([1])][:4]
        if starts is None or ends is None or steps is None:
            return False
        return bool((starts == 0).all() and (ends >= TO_THE_END).all() and (steps == 1).all())

    def _along(self, node: NodeProto) -> bool:
        """``Split`` and ``Concat``."""
        axis = _attributes(node).get("axis", 0)
        framed = list(node.input) if node.op_type == "Concat" else list(node.input[:1])
        names = [self._name(name) for name in framed]
        if not all(name in self._framed for name in names) or not any(name in self._planes for name in names):
            return False
        inputs = [self._plane(name) for name in names] + list(node.input[len(names) :])
        self._picture(node, inputs, {"axis": _moved(axis)})
        return True

    def _shape(self, node: NodeProto) -> bool:
        """The sizes of what is only filled with one number: it is that number (``_filled``)."""
        return self._users.get(node.output[0]) == {"ConstantOfShape"}

    def _filled(self, node: NodeProto) -> bool:
        """One number for each of a tensor's: where it is used with such a tensor, that number serves."""
        value = next((numpy_helper.to_array(item.t) for item in node.attribute), np.zeros(1, np.float32))
        if self._name(node.input[0]) in self._flat:
            return False
        name = node.output[0]
        self._made[name] = self._known[name] = value.reshape(())
        self._framed.discard(name)
        return True

    def _picture(self, node: NodeProto, inputs: list[str], changed: dict[str, Any]) -> None:
        self._copy(node, inputs, [_plane(name) for name in node.output], changed)
        self._planes.update(node.output)

    def _copy(self, node: NodeProto, inputs: list[str], outputs: list[str], changed: dict[str, Any]) -> None:
        made = NodeProto()
        made.CopyFrom(node)
        del made.input[:], made.output[:]
        made.input.extend(inputs)
        made.output.extend(outputs)
        for item in made.attribute:
            if item.name in changed:
                item.CopyFrom(helper.make_attribute(item.name, changed[item.name]))
        self._nodes.append(made)

    def _plane(self, name: str) -> str:
        """Returns the picture's name; it is made if it is not there."""
        name = self._name(name)
        if name not in self._planes:
            self._planes.add(name)
            self._add("Unsqueeze", [name, self._shape_of("height", [_HEIGHT])], _plane(name))
        return _plane(name)

    def _as_it_was(self, name: str) -> str:
        """Returns a tensor's name; it is made of its picture if only that is there."""
        name = self._name(name)
        if name in self._planes and name not in self._flat:
            self._flat.add(name)
            self._add("Squeeze", [_plane(name), self._shape_of("height", [_HEIGHT])], name)
        return name

    def _name(self, name: str) -> str:
        while name in self._same:
            name = self._same[name]
        return name

    def _constant(self, name: str, value: Array) -> str:
        name = f"{name}.for-planes"
        self._made[name] = np.ascontiguousarray(value)
        return name

    def _shape_of(self, name: str, numbers: Sequence[int]) -> str:
        return self._constant(f"{name}.{'.'.join(map(str, numbers))}", np.array(numbers, np.int64))

    def _add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))


def _unknown(node: NodeProto) -> bool:
    del node
    return False


def _plane(name: str) -> str:
    return f"{name}.plane"


def _moved(axis: int) -> int:
    """Returns an axis of rank 3 as one of rank 4."""
    axis %= _RANK
    return axis + 1 if axis >= _HEIGHT else axis


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}
