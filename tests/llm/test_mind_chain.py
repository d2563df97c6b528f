"""The chain: who answers, who takes over, and what is said about those who do not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection

import pytest

from services.llm.breaker import IN_A_ROW, REST_MIN_S
from services.llm.chain import Chain
from services.llm.engine import MindFailed, Question, Usage
from shared.errors import EngineFailed
from shared.messages import ChatMessage
from tests.fakes.minds import ScriptedMind
from tests.fakes.virtual_time import virtual_time

ASK = [ChatMessage(role="user", content="Hello?")]


def chain_of(*minds: ScriptedMind) -> Chain:
    return Chain(minds, clock=asyncio.get_running_loop().time)


async def said(chain: Chain, *, without: Collection[str] = ()) -> tuple[str, str]:
    """Returns who answered, and what."""
    question = Question(messages=ASK, language="en", remaining_s=9.0)
    async with chain.answer(question, without=without) as answer:
        text = "".join([piece async for piece in answer.pieces if isinstance(piece, str)])
        return answer.mind.name, text


def down(name: str = "a", **fields: object) -> MindFailed:
    return MindFailed(name, "is down", **fields)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def kept_up(chain: Chain) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        upkeep = tasks.create_task(chain.upkeep())
        yield
        upkeep.cancel()


@virtual_time
async def test_the_first_mind_answers() -> None:
    chain = chain_of(
        ScriptedMind("Yes", ".", Usage(input_tokens=1, output_tokens=2), name="a"),
        ScriptedMind("No", name="b"),
    )
    await chain.prove()
    assert await said(chain) == ("a", "Yes.")
    assert chain.served_last == "a"
    assert [fact.state for fact in chain.facts()] == ["serving", "standby"]


@virtual_time
async def test_before_the_first_word_the_next_takes_over_and_the_failed_one_rests() -> None:
    first = ScriptedMind(down(), name="a")
    chain = chain_of(first, ScriptedMind("Yes", name="b"))
    await chain.prove()
    for _ in range(IN_A_ROW + 3):
        assert await said(chain) == ("b", "Yes")
    assert len(first.asked) == IN_A_ROW
    facts = chain.facts()
    assert [fact.state for fact in facts] == ["failed", "serving"]
    assert facts[0].detail == "is down"


@virtual_time
@pytest.mark.parametrize("steps", [(), ("", "  ", "\n"), (Usage(input_tokens=1, output_tokens=0),)])
async def test_an_empty_answer_counts_as_a_failure(steps: tuple[str | Usage, ...]) -> None:
    chain = chain_of(ScriptedMind(*steps, name="a"), ScriptedMind("Yes", name="b"))
    assert await said(chain) == ("b", "Yes")


@virtual_time
async def test_space_before_the_first_word_is_left_out() -> None:
    assert await said(chain_of(ScriptedMind(" ", "\n Yes", " you", name="a"))) == ("a", "Yes you")


@virtual_time
async def test_after_the_first_word_nobody_takes_over() -> None:
    first, second = ScriptedMind("Well", down(), name="a"), ScriptedMind("No", name="b")
    chain = chain_of(first, second)
    await chain.prove()
    with pytest.raises(EngineFailed, match="is down"):
        await said(chain)
    assert second.asked == []
    assert await said(chain, without={"a"}) == ("b", "No")
    assert len(first.asked) == 1
    assert chain.facts()[0].numbers["errors"] == 1


@virtual_time
async def test_when_all_fail_it_is_said() -> None:
    chain = chain_of(ScriptedMind(down("a"), name="a"), ScriptedMind(down("b"), name="b"))
    with pytest.raises(EngineFailed, match="no mind of the chain"):
        await said(chain)


@virtual_time
async def test_a_mind_that_is_not_there_at_start_is_found_when_it_comes() -> None:
    late = ScriptedMind("Yes", name="a", proofs=[down(fault="absent", hint="start it"), down(fault="absent")])
    chain = chain_of(late, ScriptedMind("No", name="b"))
    await chain.prove()
    fact = chain.facts()[0]
    assert (fact.state, fact.detail, fact.hint) == ("absent", "is down", "start it")
    assert await said(chain) == ("b", "No")
    async with kept_up(chain):
        await asyncio.sleep(REST_MIN_S + 2)
        assert late.proven == 2
        assert await said(chain) == ("b", "No")
        await asyncio.sleep(2 * REST_MIN_S + 2)
        assert await said(chain) == ("a", "Yes")
    assert chain.facts()[0].state == "serving"
    assert chain.facts()[0].detail == ""


@virtual_time
async def test_a_proof_that_takes_too_long_is_a_failure() -> None:
    chain = chain_of(ScriptedMind("Yes", name="a", proofs=[60.0]), ScriptedMind("No", name="b"))
    async with asyncio.timeout(6):
        await chain.prove()
    assert chain.facts()[0].detail == "did not answer in time"


@virtual_time
async def test_what_a_provider_asks_for_is_kept_to() -> None:
    limited = ScriptedMind(down(retry_after_s=30.0), name="a")
    chain = chain_of(limited, ScriptedMind("No", name="b"))
    await chain.prove()
    async with kept_up(chain):
        await said(chain)
        await asyncio.sleep(29)
        assert limited.proven == 1
        await asyncio.sleep(3)
        assert limited.proven == 2


@virtual_time
async def test_leaving_an_answer_ends_the_request() -> None:
    mind = ScriptedMind("Yes", 60.0, "No", name="a")
    chain = chain_of(mind)
    async with chain.answer(Question(messages=ASK, language="en", remaining_s=9.0)) as answer:
        assert await anext(aiter(answer.pieces)) == "Yes"
    assert mind.abandoned == 1


@virtual_time
async def test_closing_closes_all_minds() -> None:
    minds = [ScriptedMind(name="a"), ScriptedMind(name="b")]
    await chain_of(*minds).close()
    assert all(mind.is_closed for mind in minds)
