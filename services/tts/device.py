"""Sessions of ONNX Runtime on the device that was asked for and no other.

Without a working GPU ``CUDAExecutionProvider`` loads on the CPU with a mere warning, so the provider really
in use is read back. The convolution search is ``HEURISTIC``: the exhaustive default costs seconds on each new
length. The arena grows by what is asked for rather than in powers of two, and ends at a limit, because ears
and voice share a card. NVIDIA's libraries are loaded once, before the first session, so that no
``LD_LIBRARY_PATH`` is needed. Threads are limited and do not spin: four services share one machine.

On CUDA inputs and outputs are bound, so that each is copied once and in one go; on the CPU that buys nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from services.tts.device_health import Health, Watched
from shared.errors import EngineRefused

NAME = "piper"
CUDA = "CUDAExecutionProvider"
CUDA_HINT = "make setup GPU=1, then eva doctor; or EVA_TTS_DEVICE=cpu"
GPU_MEMORY_MB = 2048
"""Of one session at most. Not measured on a card yet; `benchmarks/gpu` tells what a voice takes."""
SESSION_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    MemoryError,
    *(kind for kind in vars(onnx_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)
"""All that a session raises when it cannot be opened or run."""
Array = npt.NDArray[Any]


class OutOfMemory(RuntimeError):
    """The device had no room for a run; the same in smaller pieces may fit."""


class Session:
    """One model on one device; several threads may run it at once."""

    def __init__(self, inner: onnxruntime.InferenceSession, device: Device) -> None:
        self._inner, self._device = inner, device
        self._outputs = [output.name for output in inner.get_outputs()]

    @property
    def device(self) -> Device:
        """Where it runs."""
        return self._device

    def get_inputs(self) -> list[onnxruntime.NodeArg]:
        """Returns what it takes, as ONNX Runtime does."""
        return list(self._inner.get_inputs())

    def get_outputs(self) -> list[onnxruntime.NodeArg]:
        """Returns what it gives, as ONNX Runtime does."""
        return list(self._inner.get_outputs())

    def get_providers(self) -> list[str]:
        """Returns the providers, the one in use first."""
        return list(self._inner.get_providers())

    def run(
        self, outputs: Sequence[str] | None, inputs: Mapping[str, Array], *, is_retry: bool = False
    ) -> list[Array]:
        """Returns the outputs (None: all). Blocks; ``is_retry``: this is a smaller attempt after no memory.

        Raises:
            OutOfMemory: there was no room.
            RuntimeError, ValueError…: it is lost, or one of ``SESSION_ERRORS`` as ONNX Runtime says it.
        """
        health = self._device.health
        if lost := self._device.lost():
            raise RuntimeError(lost)  # a CUDA context that is gone is not touched again: it may never answer
        try:
            made = self._run(list(outputs or self._outputs), inputs)
        except SESSION_ERRORS as error:
            reason = one_line(error)
            if health.failed(reason, is_retry=is_retry) == "out_of_memory":
                raise OutOfMemory(reason) from error
            raise
        health.succeeded()
        return made

    def _run(self, outputs: list[str], inputs: Mapping[str, Array]) -> list[Array]:
        return (self.run_bound if self._device.is_cuda else self.run_plain)(outputs, inputs)

    def run_plain(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """Returns the outputs. Raises as ONNX Runtime does."""
        return list(self._inner.run(list(outputs), dict(inputs), self._device.run_options()))

    def run_bound(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """Returns the outputs; inputs and outputs are bound. Raises as ONNX Runtime does."""
        binding = self._inner.io_binding()
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        for name in outputs:
            binding.bind_output(name, "cpu")
        self._inner.run_with_iobinding(binding, self._device.run_options())
        return list(binding.copy_outputs_to_cpu())


@dataclass(frozen=True)
class Device:
    """A device and how sessions are opened on it."""

    name: str
    """``cpu``, ``cuda`` or ``cuda:<n>``."""
    threads: int = 1
    """Of one run on the CPU."""
    memory_mb: int = GPU_MEMORY_MB
    """Of one session on a GPU at most, MiB."""
    health: Health = field(default_factory=lambda: Health("device"), compare=False)
    card: Watched | None = field(default=None, compare=False)

    @classmethod
    def of(cls, name: str, *, threads: int = 1, memory_mb: int = GPU_MEMORY_MB) -> Device:
        """Returns the device of that name in good health; ``cuda`` is ``cuda:0``."""
        name = "cuda:0" if name == "cuda" else name
        return cls(name, threads, memory_mb, Health(name))

    @property
    def is_cuda(self) -> bool:
        """Whether it is an NVIDIA GPU."""
        return self.name.startswith("cuda")

    @property
    def index(self) -> int:
        """Of the GPU, as CUDA counts."""
        return int(self.name.partition(":")[2] or "0")

    def open(self, model: Path | bytes) -> Session:
        """Returns a session of a model's file or bytes; blocks.

        Raises:
            EngineRefused: names the file that is broken, or the device that is not there.
        """
        if self.is_cuda:
            _prepare_cuda()
        source: str | bytes = model if isinstance(model, bytes) else str(model)
        try:
            inner = onnxruntime.InferenceSession(
                source, sess_options=_session_options(self.threads), providers=self.providers()
            )
        except SESSION_ERRORS as error:
            self.health.failed(one_line(error))
            named = "a part of a model" if isinstance(model, bytes) else str(model)
            raise EngineRefused(NAME, f"{named}: {one_line(error)}", hint="eva models pull") from error
        if self.is_cuda:
            require_cuda(inner.get_providers(), self.name)
        return Session(inner, self)

    def providers(self) -> list[Any]:
        """Returns what ONNX Runtime is told to run on."""
        if not self.is_cuda:
            return ["CPUExecutionProvider"]
        options = {
            "device_id": str(self.index),
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            "gpu_mem_limit": str(self.memory_mb * 1024 * 1024),
        }
        return [(CUDA, options), "CPUExecutionProvider"]

    def run_options(self) -> onnxruntime.RunOptions | None:
        """Returns how to run now: where memory was short, what a run took is given back at its end."""
        if not self.health.is_short:
            return None
        options = onnxruntime.RunOptions()
        arena = f"gpu:{self.index}" if self.is_cuda else "cpu:0"
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", arena)
        return options

    def lost(self) -> str:
        """Returns why it is gone; empty: it is not."""
        if self.card is not None and (reason := self.card.trouble()):
            return f"{self.name} is lost: {reason}"
        return self.health.trouble() if self.health.is_lost else ""

    def trouble(self) -> str:
        """Returns why nothing can be made on it; empty: it serves."""
        return self.lost() or self.health.trouble()

    def numbers(self) -> dict[str, float]:
        """Returns figures of its card; empty: it has none, or they are not known."""
        return self.card.numbers() if self.card else {}


def open_session(model: Path | bytes, device: str, threads: int) -> Session:
    """Returns a session on a device of its own health. Raises ``EngineRefused`` as ``Device.open`` does."""
    return Device.of(device, threads=threads).open(model)


def cuda_is_listed() -> bool:
    """Whether this ONNX Runtime was built for CUDA; whether CUDA works is seen only in a session."""
    return CUDA in onnxruntime.get_available_providers()


def require_cuda(used: Sequence[str], device: str) -> None:
    """Raises ``EngineRefused`` unless a session's providers, the one in use first, begin with CUDA."""
    if not used or used[0] != CUDA:
        raise EngineRefused(NAME, f"{device} was asked for, the CPU would have served", hint=CUDA_HINT)


def one_line(error: Exception) -> str:
    """Returns what an error says, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


@functools.cache
def _prepare_cuda() -> None:
    """Loads NVIDIA's libraries, once a process."""
    if not cuda_is_listed():
        raise EngineRefused(NAME, "the installed ONNX Runtime has no CUDA", hint=CUDA_HINT)
    onnxruntime.preload_dlls()


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a wanted CUDA that is absent is reported by us, in one line
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
