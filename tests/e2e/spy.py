"""Reads what the workers tell, so that a test knows who is at work before it kills one.

What a client or the gateway has seen the spy may not have seen yet, and the other way round, for each has a
connection of its own: a test waits (``hears``, ``until``) for all that it takes from here. Events, work and
facts come on three subscriptions; only what comes on one of them comes in order.
"""

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
WAIT_S = 120.0
EVENTS = "eva.v1.evt.>"


@dataclass(frozen=True)
class Told:
    """A message and whose session it is of; facts are of none."""

    session: str
    message: AnyMessage


@dataclass
class Spy:
    """Everything that was said since it began to listen."""

    told: list[Told] = field(default_factory=list)
    _over: set[str] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, subject: str, message: AnyMessage) -> None:
        """Keeps a message."""
        session = "" if isinstance(message, Facts) else subjects.session_of(subject)
        if session not in self._over:
            self.told.append(Told(session, message))
            self._news.set()

    def forget(self) -> None:
        """Begins anew; what is still to come of the sessions so far is not heard either."""
        self._over |= {told.session for told in self.told} - {""}
        self.told.clear()

    def of(self, kind: type[M], *, session: str = "") -> list[M]:
        """The messages of a kind so far; ``session``: of that one alone."""
        return [
            told.message
            for told in self.told
            if isinstance(told.message, kind) and session in {"", told.session}
        ]

    async def sees_ready(self, worker: str) -> None:
        """Waits until a worker says that it takes work."""
        await self.hears(Facts, lambda facts: facts.worker == worker and facts.state in {"ready", "degraded"})

    async def hears(
        self,
        kind: type[M],
        where: Callable[[M], object] = lambda _: True,
        *,
        count: int = 1,
        session: str = "",
    ) -> M:
        """Returns the ``count``-th such message; waits for it."""

        def found() -> list[M]:
            return [message for message in self.of(kind, session=session) if where(message)]

        await self.until(lambda: len(found()) >= count, what=kind.__name__)
        return found()[count - 1]

    async def session_that(self, kind: type[M], where: Callable[[M], object]) -> str:
        """Returns whose session the first such message is of; waits for it."""
        message = await self.hears(kind, where)
        return next(told.session for told in self.told if told.message is message)

    async def until(self, holds: Callable[[], object], *, what: str = "it") -> None:
        """Waits until something is so; looks again at each message that comes."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"the spy waited for {what}; heard: {self.story()}") from None

    def story(self) -> list[str]:
        """What was told lately, in short."""
        return [repr(told.message)[:120] for told in self.told if not isinstance(told.message, Facts)][-40:]


@contextlib.asynccontextmanager
async def spying(home: House) -> AsyncIterator[Spy]:
    """Listens on the bus."""
    spy = Spy()
    async with home.bus() as bus:
        await bus.subscribe(EVENTS, spy.take)
        await bus.subscribe(subjects.FACTS_ALL, spy.take)
        await bus.subscribe(subjects.work_of_stage("tts"), spy.take)
        yield spy
