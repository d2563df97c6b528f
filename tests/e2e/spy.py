"""Reads what the workers tell, so that a test knows who is at work before it kills one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from shared import subjects
from shared.messages import AnyMessage, Facts
from tests.e2e.house import House

M = TypeVar("M")
WAIT_S = 25.0
EVENTS = "eva.v1.evt.>"


@dataclass
class Spy:
    """Everything that was said since it began to listen."""

    heard: list[AnyMessage] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, _subject: str, message: AnyMessage) -> None:
        self.heard.append(message)
        self._news.set()

    def of(self, kind: type[M]) -> list[M]:
        """The messages of a kind so far."""
        return [message for message in self.heard if isinstance(message, kind)]

    async def sees_ready(self, worker: str) -> None:
        """Waits until a worker says that it takes work."""
        await self.hears(Facts, lambda facts: facts.worker == worker and facts.state in {"ready", "degraded"})

    async def hears(self, kind: type[M], where: Callable[[M], object] = lambda _: True) -> M:
        """Returns the first such message; waits for it."""
        async with asyncio.timeout(WAIT_S):
            while not (found := [message for message in self.of(kind) if where(message)]):
                self._news.clear()
                await self._news.wait()
        return found[0]


@contextlib.asynccontextmanager
async def spying(home: House) -> AsyncIterator[Spy]:
    """Listens on the bus."""
    spy = Spy()
    async with home.bus() as bus:
        await bus.subscribe(EVENTS, spy.take)
        await bus.subscribe(subjects.FACTS_ALL, spy.take)
        yield spy
