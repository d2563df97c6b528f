"""A room without sound cards: a tape instead of a loudspeaker, frames that a test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator


class Tape:
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.pcm = bytearray()
        self.is_closed = False
        self.is_broken = False
        self._news = threading.Condition()

    def write(self, pcm: bytes) -> None:
        if self.is_broken:
            raise OSError("unplugged")
        with self._news:
            self.pcm += pcm
            self._news.notify_all()

    def close(self) -> None:
        self.is_closed = True

    def until(self, samples: int) -> None:
        """Blocks until so much was played."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.pcm) >= 2 * samples, timeout=60)

    def grows_within(self, seconds: float, *, beyond: int) -> bool:
        """Whether more than so many bytes were played within a time."""
        with self._news:
            return self._news.wait_for(lambda: len(self.pcm) > beyond, timeout=seconds)


class Microphone:
    """Frames that the test says; ``rate_hz`` is what it was opened with."""

    def __init__(self) -> None:
        self.rate_hz = 0
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    def say(self, *frames: bytes) -> None:
        for frame in frames:
            self._frames.put_nowait(frame)

    async def taken(self) -> None:
        """Waits until whoever listens is done with all that was said."""
        async with asyncio.timeout(60):
            await self._frames.join()

    async def __call__(self, rate_hz: int) -> AsyncIterator[bytes]:
        self.rate_hz = rate_hz
        while True:
            yield await self._frames.get()
            self._frames.task_done()
