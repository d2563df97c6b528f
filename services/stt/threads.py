"""Threads that may be left behind: a runtime that hangs must not keep the process from ending.

``concurrent.futures`` joins its threads when the interpreter exits, so one call that never returns would
hold up the restart that is to cure it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonPool:
    """A fixed number of daemon threads that take calls in order."""

    def __init__(self, size: int, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._size = size
        for number in range(size):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Returns what will hold the call's result; cancelling it works until it is taken up."""
        future: Future[T] = Future()
        self._calls.put((future, call))
        return future

    def close(self) -> None:
        """Ends the threads behind the calls that were submitted; waits for nothing."""
        for _ in range(self._size):
            self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - the outermost frame of a thread: the caller gets it
                future.set_exception(error)
            else:
                future.set_result(result)
