"""One timer for what every session looks at ten times a second: hundreds of them are a load of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

EVERY_S = 0.1
Look = Callable[[float], None]
"""Gets by how much later than it should have come it comes, seconds: so long this process stood still."""


class Ticks:
    """Calls whoever wants it, every ``EVERY_S``."""

    def __init__(self) -> None:
        self._looks: dict[Look, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0

    @contextlib.contextmanager
    def calling(self, look: Look) -> Iterator[None]:
        """Calls a function for as long as the context lasts."""
        self._looks[look] = None
        if self._timer is None:
            self._wait()
        try:
            yield
        finally:
            del self._looks[look]
            if not self._looks and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_at = loop.time() + EVERY_S
        self._timer = loop.call_at(self._due_at, self._tick)

    def _tick(self) -> None:
        late_s = max(0.0, asyncio.get_running_loop().time() - self._due_at)
        self._wait()
        for look in list(self._looks):
            if look in self._looks:  # one before it may have ended it
                look(late_s)
