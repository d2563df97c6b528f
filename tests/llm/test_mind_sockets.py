"""The choice of routes with the real SDKs on real sockets: what loses is really given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.llm.chain import Chain
from services.llm.companion_mind import CompanionMind
from services.llm.completions import Patience
from services.llm.engine import Mind, Question
from services.llm.groq import GroqMind
from services.llm.openai_compatible import OpenAiCompatible
from services.llm.route import Policy
from shared.messages import ChatMessage
from tests.fakes.provider import STALL_S, FakeProvider, Reply, Request, refusing_port

ASK = Question(messages=[ChatMessage(role="user", content="Hello?")], first_token_s=15.0)


def groq(provider: FakeProvider) -> Mind:
    return GroqMind(
        api_key="gsk_test",
        base_url=provider.root,
        model="g",
        max_tokens=50,
        patience=Patience(first_token_s=9),
    )


def compatible(base_url: str) -> Mind:
    patience = Patience(first_token_s=9)
    return OpenAiCompatible(
        base_url=base_url, ports=(), api_key="", model="m", max_tokens=50, patience=patience
    )


class Silent(FakeProvider):
    """Says that it was asked, and nothing else."""

    def __init__(self) -> None:
        super().__init__(Reply(first_delay_s=STALL_S))
        self.is_asked = asyncio.Event()

    def _reply(self, request: Request) -> Reply:
        self.is_asked.set()  # it stands among the requests
        return super()._reply(request)


class Second(FakeProvider):
    """Answers once another one was asked: whoever is asked first need not be heard first."""

    def __init__(self, first: Silent) -> None:
        super().__init__(Reply(delay_s=0.01))
        self._first = first

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await self._first.is_asked.wait()
        return await super()._answer(reader, writer)


@pytest.fixture
async def slow() -> AsyncIterator[Silent]:
    async with Silent() as provider:
        yield provider


@pytest.fixture
async def quick() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(Reply(delay_s=0.01)) as provider:
        yield provider


async def test_the_loser_of_a_hedge_hangs_up_while_the_winner_speaks(slow: Silent) -> None:
    async with Second(slow) as quick:
        chain = Chain([groq(slow), compatible(quick.base_url), CompanionMind()])
        async with asyncio.timeout(60), chain.answer(ASK) as answer:
            first = await anext(aiter(answer.pieces))
            await slow.requests[0].is_gone.wait()
            text = f"{first}" + "".join([piece async for piece in answer.pieces if isinstance(piece, str)])
        assert text == "Hello there. How are you?"
        assert (answer.report.is_hedged, answer.report.has_hedge_won) == (True, True)
        assert quick.cancelled == 0
        await chain.close()
        async with asyncio.timeout(60):
            await slow.deserted()
            await quick.deserted()


async def test_nobody_at_the_port_is_passed_over_within_the_turn(quick: FakeProvider) -> None:
    nobody = compatible(f"http://127.0.0.1:{refusing_port()}/v1")
    chain = Chain([nobody, groq(quick), CompanionMind()], policy=Policy(hedge_share=0.0))
    async with asyncio.timeout(60), chain.answer(ASK) as answer:
        assert answer.mind.route == "groq:g"
        assert (answer.report.retries, answer.report.is_hedged) == (1, False)
    await chain.close()


async def test_a_provider_out_of_its_mind_is_asked_twice_and_then_the_companion(quick: FakeProvider) -> None:
    quick.replies = [Reply(status=503)]
    chain = Chain([groq(quick), CompanionMind()])
    async with asyncio.timeout(60), chain.answer(ASK) as answer:
        assert answer.mind.route == "companion"
    assert len(quick.requests) == 2
    assert chain.facts()[0].breaker == "open"
    await chain.close()


async def test_a_turn_that_is_dropped_hangs_up_everywhere(slow: Silent) -> None:
    async with Silent() as other:
        chain = Chain([groq(slow), compatible(other.base_url), CompanionMind()])

        async def ask() -> None:
            async with chain.answer(ASK):
                raise AssertionError("nobody answers")

        turn = asyncio.create_task(ask())
        async with asyncio.timeout(60):
            await slow.is_asked.wait()
            await other.is_asked.wait()
            turn.cancel()
            await asyncio.wait({turn})
            await slow.requests[0].is_gone.wait()
            await other.requests[0].is_gone.wait()
        assert turn.cancelled()
        await chain.close()
