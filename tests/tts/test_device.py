from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from services.tts import device
from services.tts.device import Device, OutOfMemory
from shared.errors import EngineRefused

NO_CUDA = pytest.mark.skipif(device.cuda_is_listed(), reason="this machine has CUDA")


def doubling() -> bytes:
    """A model that doubles what it is given."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", [x], [y])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    ).SerializeToString()


@pytest.mark.parametrize("is_file", [True, False])
def test_a_session_runs_a_model_of_a_file_or_of_bytes(tmp_path: Path, is_file: bool) -> None:
    path = tmp_path / "doubling.onnx"
    path.write_bytes(doubling())
    session = device.open_session(path if is_file else doubling(), "cpu", 1)
    (made,) = session.run(None, {"x": np.array([1, 2], np.float32)})
    assert made.tolist() == [2.0, 4.0]
    assert [given.name for given in session.get_inputs()] == ["x"]
    assert [given.name for given in session.get_outputs()] == ["y"]
    assert session.get_providers()[0] == "CPUExecutionProvider"
    assert session.device.name == "cpu"


def test_bound_inputs_and_outputs_give_what_unbound_ones_give() -> None:
    place = Device.of("cpu")
    session = place.open(doubling())
    given = {"x": np.arange(5, dtype=np.float32)}
    assert np.array_equal(session.run_bound(["y"], given)[0], session.run(None, given)[0])


def test_broken_bytes_are_refused_with_the_runtime_s_words() -> None:
    with pytest.raises(EngineRefused, match=r"a part of a model: .*rotobuf"):
        Device.of("cpu").open(b"\x08\x08nothing")


def test_cuda_is_told_a_limit_a_fast_search_and_an_arena_that_grows_as_asked() -> None:
    (name, options), second = Device.of("cuda:1", memory_mb=100).providers()
    assert (name, second) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options == {
        "device_id": "1",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": str(100 * 1024 * 1024),
    }
    assert Device.of("cuda").name == "cuda:0"
    assert Device.of("cpu").providers() == ["CPUExecutionProvider"]


@NO_CUDA
def test_cuda_that_is_not_there_is_refused_with_the_command_that_mends_it() -> None:
    with pytest.raises(EngineRefused, match="has no CUDA") as refused:
        Device.of("cuda:0").open(doubling())
    assert "make setup GPU=1" in refused.value.hint


def test_a_wrong_input_is_the_caller_s_fault_and_not_the_device_s() -> None:
    place = Device.of("cpu")
    session = place.open(doubling())
    with pytest.raises(device.SESSION_ERRORS):
        session.run(None, {"x": np.zeros((2, 2), np.float32)})
    assert place.trouble() == ""
    assert not place.health.is_short


def test_where_memory_was_short_a_run_gives_back_what_it_took() -> None:
    place = Device.of("cpu")
    assert place.run_options() is None
    place.health.failed("out of memory")
    options = place.run_options()
    assert options is not None
    assert options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"
    (made,) = place.open(doubling()).run(None, {"x": np.ones(3, np.float32)})
    assert made.tolist() == [2.0, 2.0, 2.0]


SMALL_ARENA = """
import sys
import numpy as np, onnxruntime
from services.tts import device

place = device.Device.of("cpu")
info = onnxruntime.OrtMemoryInfo("Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0,
                                 onnxruntime.OrtMemType.DEFAULT)
arena = onnxruntime.OrtArenaCfg({"max_mem": 4 << 20, "arena_extend_strategy": 1})
onnxruntime.create_and_register_allocator(info, arena)
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.use_env_allocators", "1")
session = device.Session(onnxruntime.InferenceSession(sys.stdin.buffer.read(), options), place)
for is_retry in (False, True):
    try:
        session.run(None, {"x": np.ones(10 << 20, np.float32)}, is_retry=is_retry)
    except device.OutOfMemory as error:
        print("out of memory:", place.trouble())
session.run(None, {"x": np.ones(1 << 10, np.float32)})
print("after a small run:", place.trouble())
"""


def test_an_arena_that_is_full_is_out_of_memory_once_forgiven_then_trouble_until_a_run_succeeds() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL_ARENA], input=doubling(), capture_output=True, timeout=60, check=True
    )
    first, second, third = done.stdout.decode().splitlines()
    assert first == "out of memory: "
    assert second.startswith("out of memory: out of memory on cpu, in smaller pieces too: ")
    assert third == "after a small run: "


def test_no_memory_is_an_error_that_a_voice_understands() -> None:
    assert issubclass(OutOfMemory, device.SESSION_ERRORS)


class LostCard:
    """A card of which the watch has said that it is gone."""

    def trouble(self) -> str:
        return "GPU is lost"

    def numbers(self) -> dict[str, float]:
        return {}


def test_a_session_on_a_card_that_is_lost_fails_at_once_and_is_not_touched() -> None:
    place = Device("cuda:0", card=LostCard())
    untouched: Any = Untouched()
    session = device.Session(untouched, place)
    with pytest.raises(RuntimeError, match="cuda:0 is lost: GPU is lost"):
        session.run(None, {"x": np.ones(1, np.float32)})
    assert untouched.runs == 0
    assert place.trouble() == "cuda:0 is lost: GPU is lost"
    assert place.numbers() == {}


def test_a_context_that_a_session_has_lost_is_not_touched_again() -> None:
    place = Device.of("cpu")
    session = place.open(doubling())
    place.health.failed("CUDA failure 719: unspecified launch failure")
    with pytest.raises(RuntimeError, match="cpu is lost: CUDA failure 719"):
        session.run(None, {"x": np.ones(1, np.float32)})


class Untouched:
    """In the place of a session on a card that this machine does not have."""

    def __init__(self) -> None:
        self.runs = 0

    def get_outputs(self) -> list[object]:
        return []

    def io_binding(self) -> None:
        self.runs += 1
