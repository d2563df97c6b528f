"""How far a fetch is, on stderr: a bar with size and speed on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from eva.model_store import Meter

_QUARTERS = 4
_LARGE_BYTES = 8 << 20


@contextlib.contextmanager
def open_meter(stream: TextIO, *, is_plain: bool) -> Iterator[Meter]:
    """A meter that writes to ``stream`` and leaves it tidy."""
    if is_plain:
        yield PlainMeter(stream)
        return
    bar = Progress(
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )
    with bar:
        yield BarMeter(bar)


class BarMeter:
    """A bar for each file."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._current = TaskID(0)

    def begin(self, name: str, total_bytes: int) -> None:
        """A file starts, or goes on in its bar where it broke off."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total_bytes or None)
        self._current = self._tasks[name]

    def show(self, done_bytes: int) -> None:
        """Moves the bar."""
        self._progress.update(self._current, completed=done_bytes)

    def end(self) -> None:
        """The bar stays as it is; the next file of the same name gets its own."""
        self._tasks.clear()


class PlainMeter:
    """A line when a file starts, at each quarter of a large one, and when it is here."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._name, self._total_bytes, self._done_bytes, self._quarter = "", 0, 0, 0
        self._since = 0.0

    def begin(self, name: str, total_bytes: int) -> None:
        """A file starts, or goes on where it broke off."""
        if name != self._name:
            self._name, self._quarter, self._since = name, 0, self._clock()
            self._say(f"{total_bytes / 1e6:.1f} MB" if total_bytes else "size unknown")
        self._total_bytes, self._done_bytes = total_bytes, 0

    def show(self, done_bytes: int) -> None:
        """Says the quarter that was passed."""
        self._done_bytes = done_bytes
        if self._total_bytes < _LARGE_BYTES:
            return
        quarter = _QUARTERS * done_bytes // self._total_bytes
        if self._quarter < quarter < _QUARTERS:
            self._say(f"{25 * quarter} %")
        self._quarter = max(quarter, self._quarter)

    def end(self) -> None:
        """Says how fast it was, if all of it came."""
        if self._name and self._done_bytes >= self._total_bytes > 0:
            speed = self._done_bytes / 1e6 / max(self._clock() - self._since, 1e-3)
            self._say(f"here, {speed:.1f} MB/s")
        self._name = ""

    def _say(self, text: str) -> None:
        self._stream.write(f"{self._name}: {text}\n")
        self._stream.flush()
