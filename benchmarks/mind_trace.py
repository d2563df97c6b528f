"""The trace "190 to 2100 ms with sick spells", against the plain SDK and against EVA, on virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import groq

from benchmarks.mind_house import Turn, virtual_house
from benchmarks.mind_network import NetworkLoop
from benchmarks.mind_provider import TracedProvider
from services.llm.__main__ import minds
from services.llm.breaker import Breaker
from services.llm.chain import Chain
from services.llm.completions import as_dicts
from services.llm.engine import Device, Mind, Piece, Question, Usage
from services.llm.prices import BUILT_IN
from services.llm.route import Policy
from services.llm.settings import LlmSettings
from tests.fakes.provider_latency import Trace

MODEL = "llama-3.3-70b-versatile"
OTHER_MODEL = "other"
OTHER_PRICE = "0.6/0.8"
PEOPLE = 4


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the providers that is measured."""

    name: str
    policy: Policy | None
    """None: the plain SDK."""
    has_filler: bool = True
    has_breaker: bool = True


PLAIN = Way("plain groq SDK, its defaults, one route", None, has_filler=False)
NOTHING = Way("EVA, no breaker, no hedge", Policy(hedge_share=0.0), has_breaker=False)
BREAKER = Way("EVA, breaker only", Policy(hedge_share=0.0))
HEDGE = Way("EVA, hedge only", Policy(), has_breaker=False)
EVA = Way("EVA: breaker, hedge, retry, budget", Policy())
ABLATIONS = (NOTHING, BREAKER, HEDGE, EVA)


@dataclass
class Run:
    """All turns of one way, of one or more seeds."""

    way: Way
    turns: list[Turn] = field(default_factory=list)
    requests: int = 0
    probes: int = 0
    left: int = 0
    """Answers that were left before their end."""
    hedges: int = 0
    wins: int = 0
    openings: int = 0
    cost_usd: float = 0.0

    @property
    def extra(self) -> float:
        """Requests beyond one a turn, as a share of the turns."""
        return self.requests / len(self.turns) - 1

    @property
    def tokens_ms(self) -> list[float]:
        """Times to the first token; a turn without is infinite."""
        return [math.inf if turn.token_ms is None else turn.token_ms for turn in self.turns]

    @property
    def sounds_ms(self) -> list[float]:
        """Times to the first audible sound."""
        return [math.inf if turn.sound_ms is None else turn.sound_ms for turn in self.turns]

    @property
    def answers_ms(self) -> list[float]:
        """Times to the first audible sound of the answer itself."""
        return [math.inf if turn.answer_ms is None else turn.answer_ms for turn in self.turns]

    def add(self, other: Run) -> None:
        """Puts another seed's turns to these."""
        self.turns += other.turns
        for name in ("requests", "probes", "left", "hedges", "wins", "openings", "cost_usd"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class PlainMind:
    """The SDK as anybody would use it: its own retries, timeouts and connections."""

    name, model, is_degraded = "plain", MODEL, False
    device: Device = "remote"
    price = BUILT_IN[f"groq:{MODEL}"]
    route = "plain"

    def __init__(self, base_url: str) -> None:
        self._sdk = groq.AsyncGroq(api_key="k", base_url=base_url)

    async def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        """Yields the text."""
        stream = await self._sdk.chat.completions.create(
            messages=cast("Any", as_dicts(question.messages)), model=MODEL, stream=True
        )
        async for chunk in stream:
            if text := chunk.choices[0].delta.content:
                yield text
            if chunk.x_groq is not None and (usage := chunk.x_groq.usage) is not None:
                yield Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)

    async def prove(self) -> None:
        """Opens its connection, which is only fair."""
        await self._sdk.models.list()

    async def keep_warm(self) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """Closes its connections."""
        await self._sdk.close()


@contextlib.asynccontextmanager
async def providers(seed: int) -> AsyncIterator[tuple[TracedProvider, TracedProvider]]:
    """Two that know nothing of each other."""
    async with (
        TracedProvider(Trace(seed=seed), model=MODEL) as first,
        TracedProvider(Trace(seed=seed + 1000), model=OTHER_MODEL) as second,
    ):
        yield first, second


def eva_minds(first: TracedProvider, second: TracedProvider) -> list[Mind]:
    """Returns the minds that the settings make of two routes: Groq's adapter, and the one for all others."""
    second_url = f"http://127.0.0.1:{second.port}/v1"
    settings = LlmSettings.model_validate(
        {
            "groq_api_key": "k",
            "llm_groq_base_url": f"http://127.0.0.1:{first.port}",
            "llm_routes": f"groq:{MODEL} openai:{second_url}:{OTHER_MODEL} companion",
            "llm_prices": f"{OTHER_MODEL}={OTHER_PRICE}",
        }
    )
    return minds(settings)


async def converse(way: Way, turns: int, seed: int) -> Run:
    """Returns what people met on this way."""
    settings = {} if way.has_filler else {"gateway_filler_ms": 0}
    chance = random.Random(seed)
    async with providers(seed) as (first, second):
        plain: Sequence[Mind] = [PlainMind(f"http://127.0.0.1:{first.port}")]
        chain = Chain(
            plain if way.policy is None else eva_minds(first, second),
            clock=asyncio.get_running_loop().time,
            policy=way.policy,
            chance=chance.random,
        )
        if way.policy is None or not way.has_breaker:
            _keep_closed(chain)
        async with virtual_house(chain, **settings) as house:
            run = Run(way, await house.talk(turns, people=PEOPLE, seed=seed))
            facts = chain.facts()
            run.openings = house.openings
        assert way.has_filler or not any(turn.fillers for turn in run.turns)
        for provider in (first, second):
            run.requests += len(provider.requests)
            run.probes += provider.probes
            run.left += provider.cancelled
    for fact in facts:
        run.hedges += round(fact.numbers.get("hedges", 0))
        run.wins += round(fact.numbers.get("hedge_wins", 0))
    for turn in run.turns:
        route = getattr(turn.end, "route", None)
        run.cost_usd += route.cost_usd if route is not None else 0.0
    return run


class _NeverOpen(Breaker):
    """Finds nothing slow and nothing wrong; what one failure proves still opens it, which no trace does."""

    def __init__(self) -> None:
        super().__init__(math.inf)

    def waited(self, waited_s: float, now_s: float, *, is_late: bool = False) -> None:
        """Learns nothing."""

    def failed(self, now_s: float, *, is_slow: bool = False) -> None:
        """Learns nothing."""


def _keep_closed(chain: Chain) -> None:
    for fact in chain.facts():
        chain._routes[fact.name].breaker = _NeverOpen()  # noqa: SLF001 - EVA herself has no such switch


def measure(way: Way, turns: int, seeds: Sequence[int]) -> Run:
    """Returns the turns of all seeds, each in a loop of its own."""
    whole = Run(way)
    for seed in seeds:
        with asyncio.Runner(loop_factory=NetworkLoop) as runner:
            whole.add(runner.run(converse(way, turns, seed)))
    return whole
