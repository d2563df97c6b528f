"""The way of an answer's segments to the voices' queue: in order, without one waiting for the one before it.

The broker confirms each piece of work, which takes a round trip and, while it is busy, longer. So several
may be under way; their order is that in which they were begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from shared.bus import Bus
from shared.messages import Synthesize

UNDER_WAY = 8
"""Unconfirmed segments; beyond it the answer waits."""
LATE_S = 0.1
"""What is unconfirmed for so long may have been lost, and be sent again: what is behind it waits for that, or
it would come first."""


class Outlet:
    """Used as a context: at the end of the outermost one all is confirmed.

    Raises there, or when sending, what the broker says.
    """

    def __init__(self, bus: Bus, subject: str) -> None:
        self._bus, self._subject = bus, subject
        self._tasks: deque[asyncio.Task[None]] = deque()
        self._begun_s: deque[float] = deque()
        self._depth = 0

    async def send(self, item: Synthesize, sent: Callable[[], None]) -> None:
        """Sends a segment on its way; ``sent`` is called when it is confirmed."""
        self._collect()
        while self._tasks and (len(self._tasks) >= UNDER_WAY or self._is_late()):
            await asyncio.wait({self._tasks[0]})
            self._collect()
        self._begun_s.append(asyncio.get_running_loop().time())
        self._tasks.append(asyncio.create_task(self._send(item, sent), name=f"segment {item.segment}"))
        await asyncio.sleep(0)  # it is written now, before anything that is sent behind it

    async def __aenter__(self) -> Self:
        self._depth += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth:
            return
        try:
            if error is None and self._tasks:
                await asyncio.wait(self._tasks)
                self._collect()
        finally:
            tasks, self._tasks = self._tasks, deque()
            self._begun_s.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _collect(self) -> None:
        """Lets go of those that are confirmed, in order. Raises what went wrong with one."""
        while self._tasks and self._tasks[0].done():
            self._begun_s.popleft()
            self._tasks.popleft().result()

    def _is_late(self) -> bool:
        return asyncio.get_running_loop().time() - self._begun_s[0] >= LATE_S

    async def _send(self, item: Synthesize, sent: Callable[[], None]) -> None:
        message_id = f"{item.sid}:{item.turn}:{item.attempt}:{item.segment}:{item.take}"
        await self._bus.enqueue(self._subject, item, message_id=message_id)
        sent()
