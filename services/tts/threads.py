"""Threads that may be left behind: a library that hangs costs a thread, and neither a slot nor the end.

``concurrent.futures`` has a fixed number of threads and joins them when the interpreter exits, so a call that
never returns would take a place from others for good, and hold up the restart that is to cure it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Threads(Executor):
    """Daemon threads, at most ``most`` and those that were given up; a call beyond that waits."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        """Threads that there are."""
        self._busy = 0

    @property
    def busy(self) -> int:
        """Calls in hand or waiting."""
        return self._busy

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Returns what will hold the call's result; cancelling it works until it is taken up."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - the outermost frame of a thread: the caller gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            self._busy += 1
            self._calls.put(call)
            self._begin()
        return future

    def give_up_one(self) -> None:
        """One of the threads hangs: another may be begun in its place."""
        with self._lock:
            self._most += 1
            self._begin()

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as its base has it
        """Ends the threads behind the calls that were submitted; never waits."""
        del wait, cancel_futures
        with self._lock:
            for _ in range(self._count):
                self._calls.put(None)

    def _begin(self) -> None:
        if self._count < min(self._busy, self._most):
            self._count += 1
            name = f"{self._name}-{self._count}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it holds is not kept until the next
            with self._lock:
                self._busy -= 1
