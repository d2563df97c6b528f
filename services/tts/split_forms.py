"""The forms in which a part's tensors are there while it is rewritten (``split_planes``), and its new nodes.

A tensor is there as it was, as a picture one pixel high (``<name>.plane``), as one number that stands for all
of its own (``<name>.number``), or in several of these. A form is made when it is first asked for, so none is
made for nothing. Some tensors are only other names of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from services.tts.split_nodes import Graph
from services.tts.split_shapes import Array

HEIGHT = 2
"""The axis that a picture has more."""


class Forms:
    """What there is of the new part so far."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._flat = set(sources)
        self._planes: set[str] = set()
        self._numbers: set[str] = set()
        self._late: dict[str, NodeProto] = {}
        """What makes the tensors that nobody has needed as they were."""
        self._same: dict[str, str] = {}
        """Other names."""
        self._nodes: list[NodeProto] = []
        self._made: dict[str, Array] = {}
        """New constants."""

    def part(self, old: onnx.ModelProto) -> onnx.ModelProto:
        """Returns the new part in place of the old one, with those of its constants that are still used."""
        for output in old.graph.output:
            self.keep_name(output.name)
        new = onnx.ModelProto()
        new.CopyFrom(old)
        graph = new.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        used = {name for taken in Graph(new).takes for name in taken} | {item.name for item in graph.output}
        graph.initializer.extend(item for item in old.graph.initializer if item.name in used)
        graph.initializer.extend(
            numpy_helper.from_array(value, name) for name, value in self._made.items() if name in used
        )
        return new

    def name(self, name: str) -> str:
        """Returns the tensor's first name."""
        return self._same.get(name, name)

    def is_plane(self, name: str) -> bool:
        """Whether it is there as a picture."""
        return self.name(name) in self._planes

    def is_number(self, name: str) -> bool:
        """Whether it is there as one number."""
        return self.name(name) in self._numbers

    def flat(self, name: str) -> str:
        """Returns the name of the tensor as it was."""
        name = self.name(name)
        if name in self._late:
            self.keep(self._late.pop(name))
        elif name in self._planes and name not in self._flat:
            self.add("Squeeze", [_plane(name), self.integers(HEIGHT)], name)
            self._flat.add(name)
        return name

    def plane(self, name: str) -> str:
        """Returns the name of its picture."""
        name = self.name(name)
        if name not in self._planes:
            self.add("Unsqueeze", [self.flat(name), self.integers(HEIGHT)], _plane(name))
            self._planes.add(name)
            self._flat.add(name)
        return _plane(name)

    def number(self, name: str) -> str:
        """Returns the name of its number, of a constant its own."""
        return _number(self.name(name)) if self.is_number(name) else name

    def keep_name(self, name: str) -> None:
        """The tensor is used as it was and by this very name."""
        flat = self.flat(name)
        if flat != name:
            self.add("Identity", [flat], name)
            del self._same[name]
            self._flat.add(name)

    def rename(self, other: str, name: str) -> None:
        """``other`` is but another name of a tensor."""
        self._same[other] = self.name(name)

    def keep(self, node: NodeProto) -> None:
        """A node stays, and takes and makes tensors as they were."""
        self._copy(node, [self.flat(name) for name in node.input], list(node.output))
        self._flat.update(filter(None, node.output))

    def delay(self, node: NodeProto) -> None:
        """A node that stays, but only if somebody needs what it makes as it was."""
        self._late[node.output[0]] = node

    def picture(self, node: NodeProto, inputs: Sequence[str], **changed: Any) -> None:
        """Writes a node that makes pictures, with some of its attributes changed."""
        self._copy(node, inputs, [_plane(name) if name else "" for name in node.output], **changed)
        self._planes.update(filter(None, node.output))

    def single(self, node: NodeProto, value: Array | None = None) -> None:
        """Writes a node whose result is one number all over: ``value``, or what it makes of such ones."""
        if value is None:
            self._copy(node, [self.number(name) for name in node.input], [_number(node.output[0])])
        else:
            self._made[_number(node.output[0])] = value.reshape(())
        self._numbers.add(node.output[0])
        self.delay(node)

    def made_plane(self, name: str) -> str:
        """Returns the name of a picture that the caller makes."""
        self._planes.add(name)
        return _plane(name)

    def constant(self, name: str, value: Array) -> str:
        """Returns the name of a new constant; ``name`` stands for it alone, or for another form of it."""
        name = f"{name}.for-planes"
        self._made[name] = np.ascontiguousarray(value)
        return name

    def integers(self, *numbers: int) -> str:
        """Returns the name of a new constant with these numbers."""
        return self.constant(".".join(map(str, numbers)), np.array(numbers, np.int64))

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        """Writes a new node."""
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))

    def _copy(self, node: NodeProto, inputs: Sequence[str], outputs: Sequence[str], **changed: Any) -> None:
        made = NodeProto()
        made.CopyFrom(node)
        del made.input[:], made.output[:]
        made.input.extend(inputs)
        made.output.extend(outputs)
        for item in made.attribute:
            if item.name in changed:
                item.CopyFrom(helper.make_attribute(item.name, changed[item.name]))
        self._nodes.append(made)


def _plane(name: str) -> str:
    return f"{name}.plane"


def _number(name: str) -> str:
    return f"{name}.number"
