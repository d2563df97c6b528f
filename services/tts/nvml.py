"""An NVIDIA card as its driver's library (NVML) shows it. No driver, no card: that is no error."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from services.tts.device_watch import (
    LOOK_EVERY_S,
    UNKNOWN_CODES,
    Reading,
    Unanswered,
    Vigil,
    place_of,
    process_bytes,
)


class Nvml(Protocol):
    """What is used of the module ``pynvml``, by its own names. All but the error raise ``NVMLError``."""

    NVMLError: type[Exception]
    """Has the code as ``value``."""
    NVML_TEMPERATURE_GPU: int

    def nvmlInit(self) -> None: ...  # noqa: N802, D102 - the library's own names, as all below
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any: ...  # noqa: N802, D102
    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Any: ...  # noqa: N802, D102
    def nvmlDeviceGetName(self, handle: Any, /) -> str: ...  # noqa: N802, D102
    def nvmlDeviceGetUtilizationRates(self, handle: Any, /) -> Any: ...  # noqa: N802, D102
    def nvmlDeviceGetMemoryInfo(self, handle: Any, /) -> Any: ...  # noqa: N802, D102
    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any, /) -> Any: ...  # noqa: N802, D102
    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int, /) -> int: ...  # noqa: N802, D102


class Card:
    """One card; looking at it blocks, for a millisecond as a rule."""

    def __init__(self, nvml: Nvml, handle: Any, name: str) -> None:
        self._nvml, self._handle, self.name = nvml, handle, name

    def look(self) -> Reading | Unanswered:
        """Returns its figures; those that this card does not tell are None."""
        nvml, handle = self._nvml, self._handle
        try:
            rates = self._ask(nvml.nvmlDeviceGetUtilizationRates)
            memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
            used = self._ask(nvml.nvmlDeviceGetComputeRunningProcesses) or []
            celsius = self._ask(lambda _: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        except nvml.NVMLError as error:
            return Unanswered(code_of(error), str(error))
        return Reading(
            utilisation=None if rates is None else rates.gpu / 100,
            memory_bytes=None if memory is None else memory.used,
            memory_total_bytes=None if memory is None else memory.total,
            process_bytes=process_bytes([(one.pid, one.usedGpuMemory) for one in used], os.getpid()),
            celsius=celsius,
        )

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """Returns the answer; None: this card cannot say."""
        try:
            return question(self._handle)
        except self._nvml.NVMLError as error:
            if code_of(error) in UNKNOWN_CODES:
                return None
            raise


def code_of(error: Exception) -> int:
    """Returns NVML's number of an error; 999 is its own for "unknown"."""
    return int(getattr(error, "value", 999))


def library() -> Nvml | None:
    """Returns NVML ready for use; None: its binding is not installed, or there is no driver."""
    try:
        import pynvml  # noqa: PLC0415 - only where a GPU may be
    except ImportError:
        return None
    return ready(pynvml)


def ready(nvml: Nvml) -> Nvml | None:
    """Returns the library after its start; None: there is no driver."""
    with contextlib.suppress(nvml.NVMLError):
        nvml.nvmlInit()
        return nvml
    return None


def find(nvml: Nvml, index: int, visible: str | None) -> Card | None:
    """Returns the card that CUDA calls ``index``; None: the driver has none there."""
    place = place_of(index, visible)
    with contextlib.suppress(nvml.NVMLError):
        if isinstance(place, int):
            handle = nvml.nvmlDeviceGetHandleByIndex(place)
        else:
            handle = nvml.nvmlDeviceGetHandleByUUID(place)
        return Card(nvml, handle, nvml.nvmlDeviceGetName(handle))
    return None


class Watch:
    """Looks at a card every 2 s in a thread of its own: a driver whose card fell off may never answer."""

    def __init__(
        self,
        look: Callable[[], Reading | Unanswered],
        *,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._look, self._clock, self._every_s = look, clock, every_s
        self._vigil = Vigil()
        self._is_over = threading.Event()

    def start(self) -> Watch:
        """Begins; the thread ends with the process, or after ``close``."""
        threading.Thread(target=self._run, name="gpu-watch", daemon=True).start()
        return self

    def close(self) -> None:
        """Looks no more."""
        self._is_over.set()

    def trouble(self) -> str:
        """Returns why the card is lost; empty: it is not."""
        return self._vigil.lost(self._clock())

    def numbers(self) -> dict[str, float]:
        """Returns its last figures."""
        return self._vigil.reading(self._clock()).numbers()

    def _run(self) -> None:
        while not self._is_over.is_set():
            self.look_once()
            self._is_over.wait(self._every_s)

    def look_once(self) -> None:
        """Looks, and blocks for as long as that takes."""
        self._vigil.begin(self._clock())
        self._vigil.end(self._look())


def watch(index: int) -> Watch | None:
    """Returns a running watch over CUDA's card of that number; None: there is nothing to watch."""
    nvml = library()
    card = find(nvml, index, os.environ.get("CUDA_VISIBLE_DEVICES")) if nvml is not None else None
    return None if card is None else Watch(card.look).start()
