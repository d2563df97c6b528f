"""Chunks made in a thread, handed to the event loop as they come.

A thread cannot be cancelled: it is told to stop and does so at its next chunk. It runs ahead of the loop by a
bounded number of chunks and then waits, so a long segment does not pile up.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")
AHEAD = 64


class Stalled(Exception):
    """The next chunk did not come in time; the thread may hang."""


class Production(Generic[T]):
    """One segment being made. ``stall_s``: how long the next chunk may take."""

    def __init__(self, chunks: Iterator[T], *, stall_s: float) -> None:
        self._chunks, self._stall_s = chunks, stall_s
        self._room = threading.Semaphore(AHEAD)
        self._is_over = False
        self._ready: asyncio.Queue[T | None] = asyncio.Queue()

    @contextlib.contextmanager
    def running(self, threads: Executor) -> Iterator[AsyncIterator[T]]:
        """Begins at once; gives what yields each chunk when it is made. Whoever leaves stops the thread.

        The iterator raises:
            Stalled: the next chunk did not come in time.
            Exception: whatever making them raised, behind the chunks that were made before.
        """
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(threads, self._make, loop)
        making.add_done_callback(self._end)
        try:
            yield self._yield(making)
        finally:
            self._is_over = True
            self._room.release()

    async def _yield(self, making: asyncio.Future[None]) -> AsyncIterator[T]:
        while (chunk := await self._next()) is not None:
            self._room.release()
            yield chunk
        making.result()

    async def _next(self) -> T | None:
        if not self._ready.empty():
            return self._ready.get_nowait()
        try:
            async with asyncio.timeout(self._stall_s):
                return await self._ready.get()
        except TimeoutError as error:
            raise Stalled(f"no chunk within {self._stall_s:.1f} s") from error

    def _make(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs in the thread."""
        for chunk in self._chunks:
            self._room.acquire()
            if self._is_over:
                return
            loop.call_soon_threadsafe(self._ready.put_nowait, chunk)

    def _end(self, making: asyncio.Future[None]) -> None:
        """Runs in the loop behind the last chunk; an error that nobody waits for any more is dropped."""
        if not making.cancelled():
            making.exception()
        self._ready.put_nowait(None)
