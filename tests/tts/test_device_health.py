from __future__ import annotations

import pytest

from services.tts.device_health import Health, Machine, fault_of
from shared.messages import EngineFact


@pytest.mark.parametrize(
    "reason",
    [
        "Failed to allocate memory for requested buffer of size 1234",
        "Available memory of 1000 is smaller than requested bytes of 2000",
        "CUDA failure 2: out of memory ; GPU=0",
        "std::bad_alloc",
        "bad allocation",
        "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "MemoryError",
    ],
)
def test_each_way_to_say_that_memory_ran_out_is_understood(reason: str) -> None:
    assert fault_of(reason) == "out_of_memory"


@pytest.mark.parametrize(
    "reason",
    [
        "GPU is lost",
        "CUDA failure 710: device-side assert triggered",
        "CUDA failure 700: an illegal memory access was encountered",
        "cudaErrorDevicesUnavailable",
        "CUDA failure 46: CUDA-capable device(s) is/are busy or unavailable",
        "CUDA failure 719: unspecified launch failure",
        "CUDA failure 214: uncorrectable ECC error encountered",
        "CUDA failure 100: no CUDA-capable device is detected",
    ],
)
def test_each_way_to_say_that_the_gpu_is_gone_is_understood(reason: str) -> None:
    assert fault_of(reason) == "lost"


@pytest.mark.parametrize(
    "reason", ["", "indices element out of data bounds", "Got invalid dimensions for input"]
)
def test_a_fault_of_the_model_or_its_input_says_nothing_of_the_device(reason: str) -> None:
    assert fault_of(reason) == ""
    health = Health("cuda:0")
    assert health.failed(reason) == ""
    assert health.trouble() == ""


def test_memory_that_runs_out_once_is_forgiven_and_sessions_give_back_from_then_on() -> None:
    health = Health("cuda:0")
    assert health.failed("out of memory") == "out_of_memory"
    assert (health.trouble(), health.is_short) == ("", True)
    health.succeeded()
    assert (health.trouble(), health.is_short) == ("", True)


def test_memory_that_runs_out_in_the_smaller_attempt_too_is_trouble_until_a_run_succeeds() -> None:
    health = Health("cuda:0")
    health.failed("out of memory")
    health.failed("out of memory", is_retry=True)
    assert health.trouble() == "out of memory on cuda:0, in smaller pieces too: out of memory"
    health.succeeded()
    assert health.trouble() == ""


def test_memory_that_runs_out_three_times_on_end_is_trouble_without_a_smaller_attempt() -> None:
    health = Health("cuda:0")
    health.failed("out of memory")
    health.failed("out of memory")
    health.succeeded()
    health.failed("out of memory")
    health.failed("out of memory")
    assert health.trouble() == ""
    health.failed("out of memory")
    assert health.trouble() == "out of memory on cuda:0, 3 times on end: out of memory"


def test_a_lost_device_stays_lost_for_the_first_reason() -> None:
    health = Health("cuda:0")
    health.failed("an illegal memory access was encountered")
    health.lose("later")
    health.succeeded()
    assert health.is_lost
    assert health.trouble() == "cuda:0 is lost: an illegal memory access was encountered"


class Place:
    def __init__(self, trouble: str = "", *, name: str = "cpu", **numbers: float) -> None:
        self._trouble, self.name, self._numbers = trouble, name, numbers

    def trouble(self) -> str:
        return self._trouble

    def numbers(self) -> dict[str, float]:
        return self._numbers


def test_a_machine_is_in_trouble_with_any_of_its_devices_and_tells_the_first_figures() -> None:
    assert Machine().trouble() == ""
    assert Machine().numbers() == {}
    machine = Machine([Place(), Place("cuda:1 is lost", gpu_utilisation=0.5)])
    assert machine.trouble() == "cuda:1 is lost"
    assert machine.numbers() == {"gpu_utilisation": 0.5}


def test_engines_on_a_device_in_trouble_are_told_as_failed_with_its_reason() -> None:
    machine = Machine([Place("cuda:0 is lost", name="cuda:0"), Place()])
    gpu = EngineFact(name="piper", state="serving", device="cuda:0", model="v")
    cpu = EngineFact(name="piper", state="standby", device="cpu", model="v")
    lost, same = machine.told([gpu, cpu])
    assert (lost.state, lost.detail, lost.model) == ("failed", "cuda:0 is lost", "v")
    assert same is cpu
