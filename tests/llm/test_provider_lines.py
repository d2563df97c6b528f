"""The line to a provider on real sockets: warm before the first turn, shared by routes, told of limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest

from services.llm.completions import Patience
from services.llm.engine import Mind, MindFailed, Opened, Piece, Question, Usage
from services.llm.groq import GroqMind
from services.llm.line import WARM_EVERY_S
from services.llm.openai_compatible import OpenAiCompatible
from services.llm.passage import KEEP_ALIVE_S
from shared.messages import ChatMessage, ToolSpec, ToolUse
from tests.fakes.provider import Call, FakeProvider, RateLimits, Reply, Trace, black_hole
from tests.fakes.virtual_time import Forward, put_forward

ASK = [ChatMessage(role="user", content="Hello?")]
PATIENT = Patience(connect_s=60.0, first_token_s=60.0, between_tokens_s=60.0, prove_s=60.0)
Make = Callable[[str], GroqMind | OpenAiCompatible]
M = TypeVar("M", bound=Mind)


def groq(root: str) -> GroqMind:
    return GroqMind(api_key="gsk_test", base_url=root, model="m", max_tokens=50, patience=PATIENT)


def compatible(root: str) -> OpenAiCompatible:
    return OpenAiCompatible(
        base_url=f"{root}/v1", ports=(), api_key="", model="m", max_tokens=50, patience=PATIENT
    )


BOTH = pytest.mark.parametrize("make", [groq, compatible])


@contextlib.asynccontextmanager
async def closing(mind: M) -> AsyncIterator[M]:
    try:
        yield mind
    finally:
        await mind.close()


async def pieces_of(mind: Mind, question: Question | None = None) -> list[Piece]:
    async with contextlib.aclosing(mind.stream(question or Question(messages=ASK))) as pieces:
        return [piece async for piece in pieces]


async def opened_by(mind: Mind) -> Opened:
    first = (await pieces_of(mind))[0]
    assert isinstance(first, Opened)
    return first


@BOTH
async def test_a_proven_line_opens_no_connection_for_the_first_turn_nor_for_those_after(make: Make) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        await mind.prove()
        assert provider.connections == 1
        for _ in range(3):
            assert (await opened_by(mind)).connect_s == 0.0
        assert provider.connections == 1


@BOTH
async def test_a_cold_line_tells_what_opening_it_took(make: Make) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        assert (await opened_by(mind)).connect_s > 0.0
        assert (await opened_by(mind)).connect_s == 0.0


@BOTH
async def test_all_routes_of_a_provider_share_its_connections(make: Make) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        other = mind.beside("small")
        await mind.prove()
        assert (await opened_by(other)).connect_s == 0.0
        assert provider.connections == 1
        assert provider.requests[0].model == "small"
        assert other.route != mind.route
        assert mind.model == "m"


@BOTH
async def test_two_routes_keep_two_connections_so_that_a_hedge_opens_none(make: Make) -> None:
    async with FakeProvider(Reply(first_delay_s=0.2)) as provider, closing(make(provider.root)) as mind:
        provider.listing_s = 0.3  # as over any network: the second is asked while the first is under way
        other = mind.beside("small")
        await mind.keep_warm()
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(opened_by(one)) for one in (mind, other)]
        assert [opened.result().connect_s for opened in both] == [0.0, 0.0]
        assert provider.connections == 2


@BOTH
async def test_an_answer_that_was_left_costs_its_connection_which_is_opened_again_ahead_of_the_next(
    make: Make,
) -> None:
    async with (
        FakeProvider(Reply(delay_s=0.01, tokens=("word ",) * 500), Reply()) as provider,
        closing(make(provider.root)) as mind,
    ):
        await mind.prove()
        async with contextlib.aclosing(mind.stream(Question(messages=ASK))) as pieces:
            while isinstance(await anext(pieces), Opened):
                pass
        await mind.keep_warm()
        assert provider.connections == 2
        assert (await opened_by(mind)).connect_s == 0.0
        assert provider.connections == 2
        assert provider.cancelled == 1


@put_forward
async def test_a_line_is_kept_warm_only_when_it_was_idle(forward: Forward) -> None:
    async with FakeProvider() as provider, closing(groq(provider.root)) as mind:
        provider.listing_s = 0.1
        other = mind.beside("small")
        await mind.prove()
        await mind.keep_warm()
        assert provider.listings == 1, "it was just used"
        for _ in range(10):
            forward(WARM_EVERY_S)
            await mind.keep_warm()
            await other.keep_warm()
        assert provider.listings == 21, "once for all its routes, on two connections"
        assert provider.connections == 2
        assert WARM_EVERY_S * 2 < KEEP_ALIVE_S


@put_forward
async def test_a_dead_line_is_kept_warm_without_a_word_and_not_each_time(forward: Forward) -> None:
    async with FakeProvider(models_status=503) as provider, closing(compatible(provider.root)) as mind:
        for _ in range(5):
            await mind.keep_warm()
        assert provider.listings == 1
        forward(WARM_EVERY_S)
        await mind.keep_warm()
        assert provider.listings == 2


async def test_nothing_found_is_nothing_to_keep_warm() -> None:
    mind = OpenAiCompatible(base_url="", ports=(), api_key="", model="", max_tokens=9, patience=PATIENT)
    await mind.keep_warm()
    assert mind.route == "openai:local"


@BOTH
async def test_a_proxy_of_the_environment_is_used(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeProvider() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.root)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with closing(make("http://provider.invalid")) as mind:
            await pieces_of(mind)
        assert proxy.requests[0].path.startswith("http://provider.invalid/")


@BOTH
async def test_closing_twice_is_no_harm(make: Make) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        await mind.prove()
        await mind.beside("small").close()
    await mind.close()


@BOTH
async def test_rate_limits_are_told_with_each_answer_and_count_down(make: Make) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        provider.limits = RateLimits(requests=4, tokens=100)
        left = [(await opened_by(mind)).limits for _ in range(2)]
        assert [limits and limits.requests for limits in left] == [0.75, 0.5]
        assert left[0] is not None
        assert left[0].tokens == 0.98
        assert 86_390 < left[0].resets_s <= 86_400
        provider.limits = None
        assert (await opened_by(mind)).limits is None


@BOTH
async def test_too_many_requests_are_rate_limited_with_what_is_left(make: Make) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        provider.limits = RateLimits(requests=1, requests_s=600)
        await pieces_of(mind)
        with pytest.raises(MindFailed) as caught:
            await pieces_of(mind)
        assert (caught.value.fault, caught.value.status) == ("rate_limited", 429)
        assert caught.value.retry_after_s is not None
        assert 590 < caught.value.retry_after_s <= 600
        assert caught.value.limits is not None
        assert caught.value.limits.requests == caught.value.limits.left == 0.0
        assert 590 < caught.value.limits.resets_s <= 600


@BOTH
async def test_cached_tokens_are_counted(make: Make) -> None:
    async with FakeProvider(Reply(cached_tokens=8)) as provider, closing(make(provider.root)) as mind:
        last = (await pieces_of(mind))[-1]
        assert last == Usage(input_tokens=11, output_tokens=7, cached_tokens=8)


LOOK = ToolSpec(name="look", description="Looks.", parameters={"type": "object", "properties": {"at": {}}})


@BOTH
async def test_functions_are_offered_and_calls_come_whole(make: Make) -> None:
    calls = (
        Call(id="a", name="look", arguments='{"at": "the sky"}', pieces=5),
        Call(name="wait"),
        Call(id="c", name="look", arguments='{"at": "the sea"}', pieces=2),
    )
    reply = Reply(tokens=("Let me see.",), calls=calls)
    async with FakeProvider(reply) as provider, closing(make(provider.root)) as mind:
        question = Question(messages=ASK, tools=[LOOK, ToolSpec(name="wait")], max_tokens=9)
        _, text, *uses, usage = await pieces_of(mind, question)
        assert text == "Let me see."
        assert isinstance(usage, Usage)
        made = uses[1]
        assert isinstance(made, ToolUse)
        assert made.id
        assert uses == [
            ToolUse(id="a", name="look", arguments='{"at": "the sky"}'),
            ToolUse(id=made.id, name="wait", arguments="{}"),
            ToolUse(id="c", name="look", arguments='{"at": "the sea"}'),
        ]
        asked = provider.requests[0].body
        assert [tool["function"]["name"] for tool in asked["tools"]] == ["look", "wait"]
        assert asked["tools"][0]["function"]["parameters"] == LOOK.parameters
        assert asked["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
        assert 9 in {asked.get("max_tokens"), asked.get("max_completion_tokens")}


@BOTH
async def test_calls_and_their_results_go_back_as_they_came(make: Make) -> None:
    messages = [
        *ASK,
        ChatMessage(
            role="assistant",
            content="",
            tool_calls=[
                ToolUse(id="a", name="look", arguments='{"at":1}'),
                ToolUse(id="b", name="look", arguments="{"),
            ],
        ),
        ChatMessage(role="tool", tool_call_id="a", content="blue"),
    ]
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        await pieces_of(mind, Question(messages=messages))
        asked = provider.requests[0].body
        assert "tools" not in asked
        assert [call["function"]["arguments"] for call in asked["messages"][1]["tool_calls"]] == [
            '{"at":1}',
            "{}",
        ]
        assert asked["messages"][1]["tool_calls"][0]["id"] == "a"
        assert asked["messages"][2] == {"role": "tool", "tool_call_id": "a", "content": "blue"}


async def test_the_provider_is_as_slow_as_its_trace_and_sick_where_it_is_told() -> None:
    async with FakeProvider() as provider, closing(groq(provider.root)) as mind:
        provider.traces["m"] = Trace(seed=1, recorded_s=(0.01, 0.4))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await pieces_of(mind)
        await pieces_of(mind)
        assert loop.time() - began >= 0.41
        provider.sick.add("small")
        began = loop.time()
        await pieces_of(mind.beside("small"))
        assert loop.time() - began >= Trace(seed=0, spells="always").first_token_s(0)
        assert provider.asked == {"m": 2, "small": 1}


@BOTH
async def test_a_black_hole_is_no_connection(make: Make) -> None:
    with black_hole() as port:
        quick = Patience(connect_s=0.2, first_token_s=60.0)
        mind = (
            GroqMind(
                api_key="k", base_url=f"http://127.0.0.1:{port}", model="m", max_tokens=9, patience=quick
            )
            if make is groq
            else OpenAiCompatible(
                base_url=f"http://127.0.0.1:{port}/v1",
                ports=(),
                api_key="",
                model="m",
                max_tokens=9,
                patience=quick,
            )
        )
        async with closing(mind):
            with pytest.raises(MindFailed, match="could not be reached") as caught:
                await pieces_of(mind)
            assert caught.value.fault == "connect"
