"""The minds of this worker in order: who answers a turn, and what is known of each.

Until the first text another route can take over, and ``search`` sees to that. After it nobody takes over
silently: what was said must stay, and only the caller knows what was. So a failure in mid-answer is learnt
from and raised, and the caller asks again, without that route, with what was spoken.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from services.llm.breaker import Sample
from services.llm.engine import Mind, MindFailed, Piece, Question, Usage
from services.llm.race import Entry, Race
from services.llm.record import Way
from services.llm.request_spans import record_requests
from services.llm.route import Policy, Routes
from services.llm.search import Search, as_failure, tell
from shared.errors import EngineFailed
from shared.messages import EngineFact, RouteReport
from shared.observe import Log
from shared.trace import UNTRACED, Tracer

log = Log("eva.llm")

UPKEEP_EVERY_S = 1.0
PROVE_S = 5.0
"""Upper bound for a proof or a warming, whatever an adapter's own deadlines are."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer that has begun: who gives it, and its text."""

    mind: Mind
    pieces: AsyncIterator[Piece]
    """Text, calls and usage; ``Opened`` is the chain's own."""
    report: RouteReport = field(default_factory=RouteReport)
    """As far as the chain knows it: route, hedge, retries, connecting, what the losers cost."""


class Chain:
    """All routes of this worker; the last one must be one that cannot fail."""

    def __init__(
        self,
        minds: Sequence[Mind],
        *,
        clock: Callable[[], float] | None = None,
        policy: Policy | None = None,
        chance: Callable[[], float] = random.random,
        tracer: Tracer = UNTRACED,
    ) -> None:
        """``chance`` draws from 0..1, for jitter.

        ``clock``: seconds, the loop's by default (whole ms in uvloop); traces need ``time.monotonic``.
        """
        self._minds = {mind.route: mind for mind in minds}
        ways = [Way(name=mind.route, engine=mind.name, is_degraded=mind.is_degraded) for mind in minds]
        self._routes = Routes(ways, policy)
        self._clock = clock or _loop_time
        self._chance = chance
        self._tracer = tracer
        self.served_last = ""
        """The route of the last whole answer."""

    @property
    def current(self) -> Mind:
        """Who would answer now."""
        name = self._routes.pick(self._clock())
        assert name is not None
        return self._minds[name]

    async def prove(self) -> None:
        """Asks all minds at once whether they are there."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._minds:
                tasks.create_task(self._prove(name), name=f"prove {name}")

    async def upkeep(self) -> NoReturn:
        """Probes routes that have rested, so that no turn pays for finding out, and keeps the others warm."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(UPKEEP_EVERY_S)
                for name in self._routes.due(self._clock()):
                    tasks.create_task(self._prove(name), name=f"prove {name}")
                for name in self._routes.cold(self._clock()):
                    tasks.create_task(self._warm(name), name=f"warm {name}")

    @contextlib.asynccontextmanager
    async def answer(self, question: Question, *, without: Collection[str] = ()) -> AsyncIterator[Answer]:
        """Begins an answer on the first route that gives one; ``without``: routes that are not asked.

        Raises:
            EngineFailed: none did, or the one that began stopped (while ``pieces`` are read).
        """
        race = Race()
        search = Search(self._minds, self._routes, race=race, clock=self._clock, chance=self._chance)
        passed_over = [name for name, mind in self._minds.items() if {name, mind.route} & set(without)]
        try:
            winner = await search.first(question, without=passed_over)
            assert search.sample is not None
            pieces = self._pieces(winner, search.sample)
            async with contextlib.aclosing(pieces):
                yield Answer(mind=winner.mind, pieces=pieces, report=search.costs.report(winner))
        finally:
            now_s = self._clock()
            await race.close()
            record_requests(self._tracer, race.entries, now_s=now_s)

    def facts(self) -> list[EngineFact]:
        """Returns what is known of each route, in order."""
        now_s = self._clock()
        return [self._fact(name, mind, now_s) for name, mind in self._minds.items()]

    async def close(self) -> None:
        """Gives all connections back."""
        for mind in self._minds.values():
            await mind.close()

    async def _prove(self, name: str) -> None:
        mind, began_s = self._minds[name], self._clock()
        try:
            async with asyncio.timeout(PROVE_S):
                await mind.prove()
        except TimeoutError:
            self._refuted(name, MindFailed(name, "did not answer in time", fault="timeout"))
        except EngineFailed as error:
            self._refuted(name, as_failure(error))
        else:
            now_s = self._clock()
            if self._routes[name].proven(now_s - began_s, now_s):
                log.info("mind.ready", engine=mind.route, model=mind.model)

    def _refuted(self, name: str, error: MindFailed) -> None:
        tell(name, error, is_news=self._routes[name].refuted(error, self._clock()))

    async def _warm(self, name: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROVE_S):
                await self._minds[name].keep_warm()

    async def _pieces(self, winner: Entry, sample: Sample) -> AsyncGenerator[Piece, None]:
        assert winner.first is not None
        yield winner.first
        try:
            async for piece in winner.stream:
                if isinstance(piece, Usage):
                    winner.usage = piece
                yield piece
        except EngineFailed as error:
            failed = as_failure(error)
            winner.fault, winner.ended_s = failed.fault, self._clock()
            is_news = self._routes[winner.route].broke(failed, sample, self._clock())
            tell(winner.route, failed, is_news=is_news)
            raise
        self.served_last, winner.ended_s = winner.mind.route, self._clock()

    def _fact(self, name: str, mind: Mind, now_s: float) -> EngineFact:
        record = self._routes[name]
        detail, hint = record.why()
        return EngineFact(
            name=mind.route,
            state=self._routes.state(name, now_s),
            model=mind.model,
            device=mind.device,
            detail=detail,
            hint=hint,
            breaker="" if mind.is_degraded else record.breaker.state,
            numbers=record.numbers(now_s),
        )


def _loop_time() -> float:
    """The running loop's time: a loop may keep its own. Outside of one, what loops show by default."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
