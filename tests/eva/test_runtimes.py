from __future__ import annotations

import pytest

from eva.runtimes import MEND_CPU, MEND_GPU, Distribution, Runtime, judge, runtimes

CPU_WHEEL, GPU_WHEEL = Distribution("onnxruntime", "1.31.1"), Distribution("onnxruntime_gpu", "1.26.0")
LIBRARIES = [Distribution("nvidia-cublas-cu12", "12.9"), Distribution("nvidia-cudnn-cu12", "9.28")]
CPU, CUDA = ["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_one_wheel_for_the_cpu_is_right() -> None:
    assert judge([CPU_WHEEL, *LIBRARIES], CPU) == Runtime("onnxruntime 1.31.1, CPU")


def test_one_wheel_for_the_gpu_with_cuda_12_is_right() -> None:
    found = judge([GPU_WHEEL, *LIBRARIES], CUDA, wants_cuda=True)
    assert found == Runtime("onnxruntime-gpu 1.26.0, CUDA 12 with its libraries")


def test_cuda_of_the_system_is_said() -> None:
    found = judge([GPU_WHEEL, LIBRARIES[0]], CUDA)
    assert found == Runtime(
        "onnxruntime-gpu 1.26.0, CUDA 12 without nvidia-cudnn-cu12: the system's are used"
    )


def test_both_wheels_are_named_with_what_is_lost_and_the_command_that_mends_it() -> None:
    found = judge([CPU_WHEEL, GPU_WHEEL], CPU)
    assert (
        found.detail == "onnxruntime 1.31.1 and onnxruntime-gpu 1.26.0 own one folder: CUDA is silently gone"
    )
    assert found.hint == MEND_GPU


def test_two_wheels_without_a_gpu_among_them_are_mended_for_the_cpu() -> None:
    found = judge([CPU_WHEEL, Distribution("ort_nightly", "1.32")], CPU)
    assert found == Runtime("onnxruntime 1.31.1 and ort-nightly 1.32 own one folder", MEND_CPU)


@pytest.mark.parametrize(
    ("installed", "providers", "wants_cuda", "detail", "hint"),
    [
        ([], None, False, "none is installed", "make setup"),
        ([], None, True, "none is installed", MEND_GPU),
        ([CPU_WHEEL], None, False, "onnxruntime 1.31.1 is damaged", MEND_CPU),
        ([GPU_WHEEL], CPU, False, "onnxruntime-gpu 1.26.0 is damaged: it has no CUDA", MEND_GPU),
        ([CPU_WHEEL], CPU, True, "onnxruntime 1.31.1 is built for the CPU", MEND_GPU),
        ([Distribution("onnxruntime-gpu", "1.27.0")], CUDA, True, "1.27.0 is of CUDA 13", MEND_GPU),
    ],
)
def test_what_cannot_serve_is_named_with_the_command_that_mends_it(
    installed: list[Distribution], providers: list[str] | None, wants_cuda: bool, detail: str, hint: str
) -> None:
    found = judge(installed, providers, wants_cuda=wants_cuda)
    assert detail in found.detail
    assert found.hint == hint


def test_a_package_that_only_sounds_alike_does_not_count() -> None:
    others = [Distribution("onnxruntime-extensions", "0.1"), Distribution("onnxruntime-genai", "0.1")]
    assert runtimes([CPU_WHEEL, *others]) == [CPU_WHEEL]
    assert judge([Distribution("onnxruntime.gpu", "odd")], CUDA).detail.startswith(
        "onnxruntime-gpu odd, CUDA 12"
    )
