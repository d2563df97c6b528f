"""A model's nodes and tensors: who makes each, who uses it, what lies before and behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from services.tts.split_reach import Step

TEXT_INPUTS = ("input", "input_lengths", "scales")
"""Piper's own; any other input of the graph names the speaker."""
RANDOM = frozenset({"RandomNormalLike", "RandomNormal", "RandomUniformLike", "RandomUniform"})
"""Nodes that make random numbers."""
TO_THE_END = 2**31 - 1
"""An end of a slice from which on it is the tensor's own."""


class Graph:
    """Who makes and who uses each tensor of a model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.constants = {item.name: item for item in model.graph.initializer}
        self.inputs = [item.name for item in model.graph.input if item.name not in self.constants]
        self.takes = [tuple(_takes(node)) for node in self.nodes]
        self.maker = {name: index for index, node in enumerate(self.nodes) for name in node.output if name}
        self.users: dict[str, list[int]] = {}
        for index, names in enumerate(self.takes):
            for name in names:
                self.users.setdefault(name, []).append(index)

    def before(self, names: Iterable[str]) -> set[int]:
        """Returns the nodes that these tensors come from."""
        found: set[int] = set()
        waiting = list(names)
        while waiting:
            index = self.maker.get(waiting.pop())
            if index is not None and index not in found:
                found.add(index)
                waiting.extend(self.takes[index])
        return found

    def behind(self, name: str) -> set[int]:
        """Returns the nodes that depend on a tensor."""
        found: set[int] = set()
        waiting = [name]
        while waiting:
            for index in self.users.get(waiting.pop(), ()):
                if index not in found:
                    found.add(index)
                    waiting.extend(self.nodes[index].output)
        return found

    def sources(self, name: str) -> set[str]:
        """Returns the inputs of the graph that a tensor depends on; ``random`` stands for random numbers."""
        nodes = self.before([name])
        taken = {taken for index in nodes for taken in self.takes[index]} | {name}
        found = taken & set(self.inputs)
        return found | ({"random"} if any(self.nodes[index].op_type in RANDOM for index in nodes) else set())

    def depends_on_text(self, name: str) -> bool:
        """Whether a tensor differs with what is said, not only with who says it."""
        return bool(self.sources(name) & {*TEXT_INPUTS, "random"})

    def part(self, name: str, entering: list[str], leaving: list[str]) -> onnx.ModelProto:
        """Returns a model of its own that makes ``leaving`` from ``entering``."""
        cut = self.before_until(leaving, set(entering))
        nodes = [self.nodes[index] for index in sorted(cut)]
        used = {taken for index in cut for taken in self.takes[index]} | set(leaving)
        constants = [item for key, item in self.constants.items() if key in used]
        known = {item.name: item for item in self.model.graph.input}
        inputs = [known.get(key) or _frames(key) for key in entering]
        outputs = [helper.make_tensor_value_info(key, TensorProto.FLOAT, None) for key in leaving]
        graph = helper.make_graph(nodes, name, inputs, outputs, constants)
        return helper.make_model(
            graph, opset_imports=list(self.model.opset_import), ir_version=self.model.ir_version
        )

    def before_until(self, names: Iterable[str], stops: set[str]) -> set[int]:
        """Returns the nodes that these tensors come from, up to those tensors that are given."""
        found: set[int] = set()
        waiting = [name for name in names if name not in stops]
        while waiting:
            index = self.maker.get(waiting.pop())
            if index is not None and index not in found:
                found.add(index)
                waiting.extend(name for name in self.takes[index] if name not in stops)
        return found


def step(graph: Graph, index: int) -> Step:
    """Returns a node as ``split_reach`` takes it."""
    node = graph.nodes[index]
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    kernel = list(attributes.get("kernel_shape", []))
    if node.op_type in {"Conv", "ConvTranspose"} and not kernel:
        weight = graph.constants.get(node.input[1])
        kernel = list(weight.dims[2:]) if weight is not None else []
    pads = list(attributes.get("pads", [0] * 2 * len(kernel)))
    kind = node.op_type
    axes: tuple[int, ...] = (int(attributes["axis"]),) if "axis" in attributes else ()
    if kind == "Slice":
        kind, axes = _slice(graph, node)
    return Step(
        kind=kind, takes=graph.takes[index], makes=tuple(node.output), kernel=tuple(kernel),
        stride=int(next(iter(attributes.get("strides", [1])))),
        dilation=int(next(iter(attributes.get("dilations", [1])))), pads=tuple(pads), axes=axes,
    )  # fmt: skip


def _slice(graph: Graph, node: NodeProto) -> tuple[str, tuple[int, ...]]:
    """Returns what a slice is, ``Identity`` where it takes everything, and along which axes it cuts."""
    starts, ends, axes, steps = [*(_values(graph, name) for name in node.input[1:]), [], [], []][:4]
    steps = steps or [1] * len(starts)
    cuts = tuple(
        axis
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=False)
        if (start, step) != (0, 1) or end < TO_THE_END
    )
    is_known = 0 < len(axes) == len(starts) == len(ends) == len(steps)
    return ("Slice", cuts) if cuts or not is_known else ("Identity", ())


def _values(graph: Graph, name: str) -> list[int]:
    """Returns a constant's numbers; none: it is computed."""
    tensor = graph.constants.get(name)
    index = graph.maker.get(name)
    if tensor is None and index is not None and graph.nodes[index].op_type == "Constant":
        tensor = graph.nodes[index].attribute[0].t
    return [int(value) for value in numpy_helper.to_array(tensor).reshape(-1)] if tensor is not None else []


def _takes(node: NodeProto) -> Iterator[str]:
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in [attribute.g, *attribute.graphs]:
            made = {name for each in inner.node for name in each.output} | {i.name for i in inner.initializer}
            made |= {item.name for item in inner.input}
            yield from (name for each in inner.node for name in _takes(each) if name not in made)


def _frames(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}.batch", f"{name}.c", f"{name}.t"])
