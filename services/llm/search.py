"""One turn's search for a first token: a route is asked, a second one if it is slow, the next if it fails.

What is done and when, ``route`` decides; here it is done, and what was found is told to it. The bound on the
first token holds for the whole search: each mind is given what is left of it, and ``RESERVE_S`` before it is
over the makeshift is asked, which answers at once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from services.llm import prompt
from services.llm.breaker import Sample
from services.llm.engine import Mind, MindFailed, Question
from services.llm.race import Entry, Race
from services.llm.route import LEAST_TRY_S, Routes, Trouble
from shared.errors import EngineFailed
from shared.messages import RouteReport
from shared.observe import Log

log = Log("eva.llm")

RESERVE_S = 0.05
_TICK_S = 1e-4
"""Times closer than this are the same: a loop's clock need not reach a moment to the last bit."""


@dataclass(slots=True)
class Costs:
    """What a search has taken."""

    is_hedged: bool = False
    retries: int = 0
    wasted_usd: float = 0.0

    def report(self, winner: Entry) -> RouteReport:
        """Returns it as far as the chain knows it."""
        return RouteReport(
            route=winner.mind.route,
            is_hedged=self.is_hedged,
            has_hedge_won=winner.is_hedge,
            retries=self.retries,
            connect_ms=1000 * winner.opened.connect_s,
            cost_usd=self.wasted_usd,
        )


class Search:
    """Of one turn; ``race`` and its streams stay the caller's to close."""

    def __init__(
        self,
        minds: Mapping[str, Mind],
        routes: Routes,
        *,
        race: Race,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        """``chance`` draws from 0..1."""
        self.costs = Costs()
        self.sample: Sample | None = None
        """What the winner's first token has taught."""
        self._minds, self._routes, self._race = minds, routes, race
        self._clock, self._chance = clock, chance
        self._tried: set[str] = set()
        self._is_repeated = False
        self._failed: tuple[str, MindFailed] | None = None

    async def first(self, question: Question, *, without: Collection[str]) -> Entry:
        """Returns the stream that has begun. Raises ``EngineFailed`` if none does."""
        began_s = self._clock()
        over_s = began_s + question.remaining_s
        due_s = min(over_s, began_s + (question.first_token_s or math.inf)) - RESERVE_S
        self._tried = set(without)
        self._routes.budget.earn()
        name = self._routes.pick(began_s, self._tried, first=question.route)
        if due_s - began_s < LEAST_TRY_S:
            name = self._routes.makeshift(self._tried)
        while name is not None:
            until_s = over_s if self._routes[name].way.is_degraded else due_s
            self._enter(name, question, until_s=until_s, over_s=over_s)
            winner = await self._winner(name, question, until_s=until_s, over_s=over_s)
            if winner is not None:
                return winner
            name = await self._next(due_s)
        raise EngineFailed("mind", "no mind of the chain gave an answer")

    def _enter(self, name: str, question: Question, *, until_s: float, over_s: float) -> Entry:
        now_s = self._clock()
        left_s = until_s - now_s + RESERVE_S  # a mind that is late by the turn's own bound has not failed
        asked = dataclasses.replace(question, remaining_s=over_s - now_s, first_token_s=left_s)
        entry = Entry(name, self._minds[name], asked, now_s)
        self._tried.add(name)
        self._routes[name].asked(now_s)
        self._race.enter(entry)
        return entry

    async def _winner(self, name: str, question: Question, *, until_s: float, over_s: float) -> Entry | None:
        """Returns who begins first; None: all that were asked have failed, or were given up."""
        hedge_s = math.inf
        if not self.costs.is_hedged:
            hedge_s = self._clock() + self._routes.hedge_delay_s(name)
        while self._race.running:
            ended = await self._race.ended(max(0.0, min(hedge_s, until_s) - self._clock()))
            if (winner := self._of(ended)) is not None:
                return winner
            now_s = self._clock() + _TICK_S
            if now_s >= until_s:
                self._drop()
            elif now_s >= hedge_s and self._race.running:
                hedge_s = math.inf
                other = self._routes.hedge(name, now_s, self._tried)
                if other is not None:
                    self.costs.is_hedged = True
                    self._routes[other].tally.hedges += 1
                    self._enter(other, question, until_s=until_s, over_s=over_s).is_hedge = True
        return None

    def _of(self, ended: list[tuple[Entry, BaseException | None]]) -> Entry | None:
        """Returns the winner among them, after all of them have been learnt from."""
        winner: Entry | None = None
        now_s = self._clock()
        for entry, error in ended:
            self._routes[entry.route].told(entry.opened.limits, now_s)
            if isinstance(error, EngineFailed):
                failed = as_failure(error)
                self._failed = entry.route, failed
                entry.fault, entry.ended_s = failed.fault, now_s
                tell(entry.route, failed, is_news=self._routes[entry.route].failed(failed, now_s))
                if failed.fault == "timeout":
                    self._waste(entry)
            elif error is not None:
                raise error
            else:
                entry.first_s = now_s
                sample = self._routes[entry.route].began(now_s - entry.began_s, now_s)
                if winner is None:
                    winner, self.sample = entry, sample
                else:  # both began in the same moment
                    entry.is_dropped, entry.ended_s = True, now_s
                    self._waste(entry)
        if winner is not None:
            self._routes[winner.route].tally.hedge_wins += winner.is_hedge
            self._drop(is_late=True)
        return winner

    def _drop(self, *, is_late: bool = False) -> None:
        """Nobody waits for those still running any longer; ``is_late``: another one was sooner."""
        now_s = self._clock()
        for entry in self._race.drop():
            self._routes[entry.route].told(entry.opened.limits, now_s)
            entry.is_dropped, entry.ended_s = True, now_s
            waited_s, was_first = now_s - entry.began_s, not entry.is_hedge
            self._routes[entry.route].breaker.waited(waited_s, now_s, is_late=is_late and was_first)
            self._waste(entry)

    async def _next(self, due_s: float) -> str | None:
        """Returns who is asked next, after the pause that this takes."""
        now_s = self._clock()
        if self._failed is None or due_s - now_s < LEAST_TRY_S:
            name = self._routes.makeshift(self._tried)
        else:
            route, error = self._failed
            trouble = Trouble(route=route, error=error, is_repeated=self._is_repeated, chance=self._chance())
            step = self._routes.after(trouble, tried=self._tried, now_s=now_s, left_s=due_s - now_s)
            name = step.route if step else None
            self._is_repeated = self._is_repeated or (step is not None and step.is_repeat)
            if step is not None and step.wait_s:
                await asyncio.sleep(step.wait_s)
        self.costs.retries += name is not None
        if name is not None:
            self._routes[name].tally.retries += 1
        return name

    def _waste(self, entry: Entry) -> None:
        """Counts what a request that nobody waits for any more has cost, by an estimate of its input."""
        read = sum(prompt.tokens(message.content) for message in entry.question.messages)
        cost_usd = read * entry.mind.price.input / 1e6
        self._routes[entry.route].tally.wasted_usd += cost_usd
        self.costs.wasted_usd += cost_usd


def tell(route: str, error: MindFailed, *, is_news: bool) -> None:
    """Logs a failure, once while it lasts."""
    if is_news:
        report = log.info if error.is_absent else log.warning
        report("mind.failed", engine=route, reason=error.reason)


def as_failure(error: EngineFailed) -> MindFailed:
    """Returns it as a mind's failure."""
    return error if isinstance(error, MindFailed) else MindFailed(error.engine, error.reason)
