"""Chunks made in a thread, handed to the event loop as they come.

A thread cannot be cancelled: it is told to stop and does so at its next chunk. It runs ahead of the loop by a
bounded number of chunks and then waits, so a long segment does not pile up. It may wait for its turn on a
device for as long as it must: only time inside an engine tells that one hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")
AHEAD = 64
HAND_OVER_S = 0.02
"""How long a thread at most holds still until its first chunk has been passed on: while it computes in
Python, the loop has the interpreter only each few milliseconds. From thread to bus p50 0.3 ms with it,
2.6 ms without (N = 400, a voice that costs nothing, two busy cores)."""


class Stalled(Exception):
    """An engine did not give its next piece in time; the thread may hang."""


class Production(Generic[T]):
    """One segment being made."""

    def __init__(self, chunks: Iterator[T], *, stall_s: float, computing_s: Callable[[], float]) -> None:
        """Begins nothing yet.

        Args:
            chunks: what is made, in a thread.
            stall_s: how long an engine may take for a piece.
            computing_s: returns for how long it has taken by now; 0 while no engine is at work.
        """
        self._chunks, self._stall_s, self._computing_s = chunks, stall_s, computing_s
        self._room = threading.Semaphore(AHEAD)
        self._is_over = False
        self._passed_on = threading.Event()
        """Whoever asks for a second chunk has done with the first."""
        self._ready: asyncio.Queue[T | None] = asyncio.Queue()

    @contextlib.contextmanager
    def running(self, threads: Executor) -> Iterator[AsyncIterator[T]]:
        """Begins at once; gives what yields each chunk when it is made. Whoever leaves stops the thread.

        The iterator raises:
            Stalled: an engine did not give its next piece in time.
            Exception: whatever making them raised, behind the chunks that were made before.
        """
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(threads, self._make, loop)
        making.add_done_callback(self._end)
        try:
            yield self._yield(making)
        finally:
            self._is_over = True
            self._passed_on.set()
            self._room.release()

    async def _yield(self, making: asyncio.Future[None]) -> AsyncIterator[T]:
        while (chunk := await self._next()) is not None:
            self._room.release()
            yield chunk
            self._passed_on.set()
        making.result()

    async def _next(self) -> T | None:
        while self._ready.empty():
            left_s = self._stall_s - self._computing_s()
            if left_s <= 0:
                raise Stalled(f"no sound within {self._stall_s:.1f} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    return await self._ready.get()
        return self._ready.get_nowait()

    def _make(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs in the thread."""
        for number, chunk in enumerate(self._chunks):
            self._room.acquire()
            if self._is_over:
                return
            loop.call_soon_threadsafe(self._ready.put_nowait, chunk)
            if number == 0:
                self._passed_on.wait(HAND_OVER_S)

    def _end(self, making: asyncio.Future[None]) -> None:
        """Runs in the loop behind the last chunk; an error that nobody waits for any more is dropped."""
        if not making.cancelled():
            making.exception()
        self._ready.put_nowait(None)
