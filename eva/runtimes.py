"""Which ONNX Runtime is installed, and whether it can do what it is there for. Pure.

Every wheel of ONNX Runtime owns the folder ``onnxruntime``. With the CPU's and the GPU's both installed,
CUDA is silently gone, in whichever order they came; removing one of them leaves an empty module. So exactly
one may be there. That of the GPU has to be of the CUDA 12 line (before 1.27): CTranslate2, which hears,
opens ``libcublas.so.12``, and a process with two CUDA stacks pays for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OWNERS = frozenset(
    {
        "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn",
        "onnxruntime-rocm", "onnxruntime-silicon", "onnxruntime-training", "ort-nightly", "ort-nightly-gpu",
    }
)  # fmt: skip
"""Distributions that bring a folder ``onnxruntime``."""
GPU = "onnxruntime-gpu"
CUDA_13_FROM = (1, 27)
MEND_CPU, MEND_GPU = "make clean setup", "make clean setup GPU=1"
_CUDA = "CUDAExecutionProvider"


@dataclass(frozen=True)
class Distribution:
    """A package as the environment's metadata names it."""

    name: str
    version: str


@dataclass(frozen=True)
class Runtime:
    """The judgement: what is there, and the command that mends it (empty: nothing is to be mended)."""

    detail: str
    hint: str = ""


def runtimes(installed: Iterable[Distribution]) -> list[Distribution]:
    """Returns the distributions that own the folder, each once, by name."""
    found = {plain(one.name): one for one in installed if plain(one.name) in OWNERS}
    return [Distribution(name, found[name].version) for name in sorted(found)]


def plain(name: str) -> str:
    """Returns a distribution's name as PyPI normalises it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def judge(
    installed: Sequence[Distribution], providers: Sequence[str] | None, *, wants_cuda: bool = False
) -> Runtime:
    """Returns what the environment holds; ``providers`` of the module, None: it cannot be imported."""
    found = runtimes(installed)
    has_gpu = any(one.name == GPU for one in found)
    mend = MEND_GPU if has_gpu or wants_cuda else MEND_CPU
    named = " and ".join(f"{one.name} {one.version}" for one in found)
    if not found:
        return Runtime("none is installed", MEND_GPU if wants_cuda else "make setup")
    if reason := _reason(len(found), providers, has_gpu=has_gpu, wants_cuda=wants_cuda):
        return Runtime(f"{named} {reason}", mend)
    if has_gpu:
        return _cuda_line(found[0], {plain(one.name) for one in installed}, mend)
    return Runtime(f"{named}, {_shown(providers or ())}")


def _reason(count: int, providers: Sequence[str] | None, *, has_gpu: bool, wants_cuda: bool) -> str:
    """Returns what is wrong with the wheels that are there; empty: nothing."""
    if count > 1:
        return "own one folder: CUDA is silently gone" if has_gpu else "own one folder"
    if providers is None:
        return "is damaged: its module is empty or cannot be imported"
    if _CUDA in providers or not (has_gpu or wants_cuda):
        return ""
    if has_gpu:
        return "is damaged: it has no CUDA any more"
    return "is built for the CPU, and cuda is asked for"


def _cuda_line(gpu: Distribution, names: set[str], mend: str) -> Runtime:
    """Judges which CUDA goes with the GPU's wheel."""
    if _version(gpu.version) >= CUDA_13_FROM:
        return Runtime(f"{GPU} {gpu.version} is of CUDA 13, CTranslate2 opens CUDA 12", mend)
    missing = [name for name in ("nvidia-cublas-cu12", "nvidia-cudnn-cu12") if name not in names]
    source = f"without {' and '.join(missing)}: the system's are used" if missing else "with its libraries"
    return Runtime(f"{GPU} {gpu.version}, CUDA 12 {source}")


def _version(text: str) -> tuple[int, ...]:
    """Returns major and minor number; a text that is no version is the oldest."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _shown(providers: Sequence[str]) -> str:
    """Returns the processors that it can use, without their surname."""
    return ", ".join(name.removesuffix("ExecutionProvider") for name in providers)
