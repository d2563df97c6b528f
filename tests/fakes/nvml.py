"""NVIDIA's management library without a card: answers as ``pynvml`` does, with its own error class."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

GPU_IS_LOST, NOT_SUPPORTED, TIMEOUT = 15, 3, 10


class FakeNvmlError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"code {value}")
        self.value = value


class FakeNvml:
    """Two cards; ``failing`` maps the name of a function to the code that it raises."""

    NVMLError: type[Exception] = FakeNvmlError
    NVML_TEMPERATURE_GPU = 0
    UUIDS = ("GPU-aaaa", "GPU-bbbb")

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        self.before: Callable[[], None] = lambda: None

    def _answer(self, name: str, value: Any) -> Any:
        self.before()
        if name in self.failing:
            raise FakeNvmlError(self.failing[name])
        return value

    def nvmlInit(self) -> None:  # noqa: N802 - the library's own names, as all below
        self._answer("init", None)

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any:  # noqa: N802
        if index >= len(self.UUIDS):
            raise FakeNvmlError(2)
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Any:  # noqa: N802
        return self.UUIDS.index(uuid)

    def nvmlDeviceGetName(self, handle: Any, /) -> str:  # noqa: N802
        return f"Card {handle}"

    def nvmlDeviceGetUtilizationRates(self, handle: Any, /) -> Any:  # noqa: N802
        return self._answer("rates", SimpleNamespace(gpu=25 + handle, memory=10))

    def nvmlDeviceGetMemoryInfo(self, handle: Any, /) -> Any:  # noqa: N802
        return self._answer("memory", SimpleNamespace(total=8 << 30, used=1 << 30, free=7 << 30))

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any, /) -> Any:  # noqa: N802
        mine = SimpleNamespace(pid=os.getpid(), usedGpuMemory=300 << 20)
        return self._answer("processes", [SimpleNamespace(pid=1, usedGpuMemory=None), mine])

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int, /) -> int:  # noqa: N802
        return int(self._answer("temperature", 61))
