"""Which other files an ONNX model needs, as its own file says, without a runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def external_files(path: Path) -> list[str] | None:
    """Returns the names of files in which a model keeps tensors; blocks while the model is read.

    A model of several files is one that can be half there, and whose other half nobody has hashed. Nothing
    of them is opened here. A file that breaks off, or is something else, names none: the runtime refuses it.
    None: the package ``onnx`` is not installed, so it cannot be told.
    """
    if importlib.util.find_spec("onnx") is None:
        return None
    import onnx  # noqa: PLC0415 - only where a model has changed
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - as above

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        return []
    tensors = [
        *_tensors(model.graph),
        *(tensor for each in model.functions for tensor in _of_nodes(each.node)),
    ]
    external = (tensor for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL)
    return sorted(
        {entry.value for tensor in external for entry in tensor.external_data if entry.key == "location"}
    )


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for graph in (attribute.g, *attribute.graphs):
                yield from _tensors(graph)
