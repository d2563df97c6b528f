"""Small voices that break while they speak: whole at usual speed, so that they pass every check at the start.

Asked to speak faster (``length_scale`` below ``TRIGGER``), a copy of the tiny voice does to the end of its
graph what its name says. The faults are real ones of ONNX Runtime, not of a fake: its allocator fails, its
kernels make NaN.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.models import tiny_voice

Fault = Literal["nan", "silent", "memory", "clipped", "short", "endless"]
TRIGGER = 0.9
SPEED = 1.25
"""A person's request that sets it off."""
_FAR_TOO_MUCH = 1 << 44
"""Floats: 64 TiB."""


def install(models_dir: Path, fault: Fault, name: str, **options: Any) -> Path:
    """Builds the voice where the TTS service looks for it."""
    path = tiny_voice.install(models_dir, name, **options)
    model = onnx.load(path)
    _break(model.graph, fault)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


def truncate(path: Path) -> None:
    """Leaves half of a file, as a download that broke off does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _break(graph: Any, fault: Fault) -> None:
    last = next(node for node in graph.node if "output" in node.output)
    last.output[:] = ["whole"]
    for name, value in {
        "trigger": np.float32(TRIGGER),
        "bad": {"nan": np.float32("nan"), "clipped": np.float32(1e9)}.get(fault, np.float32(0.0)),
        "usual": np.float32(1.0),
        "one_more": np.array([1], np.int64),
        "too_much": np.array([_FAR_TOO_MUCH], np.int64),
        "start": np.array([0], np.int64),
        "last_axis": np.array([2], np.int64),
        "a_few": np.array([512], np.int64),
        "all_of_it": np.array([1 << 40], np.int64),
        "once": np.array([1, 1, 1], np.int64),
        "often": np.array([1, 1, 60], np.int64),
    }.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))

    def op(kind: str, inputs: str, output: str) -> None:
        graph.node.append(helper.make_node(kind, inputs.split(), [output]))

    op("Less", "length_scale trigger", "is_broken")
    match fault:
        case "nan" | "silent":
            op("Where", "is_broken bad usual", "factor")
            op("Mul", "whole factor", "output")
        case "clipped":
            op("Where", "is_broken bad usual", "factor")
            op("Mul", "whole factor", "loud")
            graph.initializer.append(numpy_helper.from_array(np.float32(-1.0), "floor"))
            op("Clip", "loud floor usual", "output")
        case "memory":
            op("Where", "is_broken too_much one_more", "count")
            op("ConstantOfShape", "count", "heap")
            graph.node.append(helper.make_node("ReduceSum", ["heap"], ["nothing"], keepdims=0))
            op("Add", "whole nothing", "output")
        case "short":
            op("Where", "is_broken a_few all_of_it", "until")
            op("Slice", "whole start until last_axis", "output")
        case "endless":
            op("Where", "is_broken often once", "times")
            op("Tile", "whole times", "output")
