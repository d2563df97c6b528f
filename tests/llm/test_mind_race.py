"""A turn's search for its first token: hedges, retries and bounds, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.llm.breaker import IN_A_ROW, LEAST_TURNS, SPARSE_WINDOW_S
from services.llm.chain import Chain
from services.llm.engine import Limits, MindFailed, Opened, Piece, Price, Question, Usage
from services.llm.route import HEDGE_MAX_S, RETRY_MAX_S, RETRY_MIN_S, Policy
from services.llm.search import RESERVE_S
from shared.errors import EngineFailed
from shared.messages import ChatMessage, RouteReport, ToolUse
from tests.fakes.minds import ScriptedMind, Step
from tests.fakes.virtual_time import VirtualTimeLoop, virtual_time

ASK = [ChatMessage(role="user", content="x" * 4000)]
"""A thousand tokens by the estimate."""
CALL = ToolUse(id="1", name="look")


class TimedMind(ScriptedMind):
    """One that does something else in each turn, and counts the streams that are open."""

    def __init__(self, name: str, *turns: Sequence[Step], engine: str = "", **fields: bool) -> None:
        super().__init__(name=name, **fields)
        self.name = engine or name
        self.turns = list(turns)
        """The last one is done again and again."""
        self.open = 0
        self.most_open = 0
        self.watch: Callable[[], None] = lambda: None

    async def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        self.steps = tuple(self.turns.pop(0) if len(self.turns) > 1 else self.turns[0])
        self.open += 1
        self.watch()
        try:
            async with contextlib.aclosing(super().stream(question)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self.open -= 1


def companion() -> TimedMind:
    return TimedMind("companion", ["Sorry."], is_degraded=True)


def status(code: int, **fields: object) -> MindFailed:
    return MindFailed("x", f"answered {code}", fault="status", status=code, **fields)  # type: ignore[arg-type]


class Heard:
    """What came of one turn."""

    def __init__(self, route: str, text: str, first_s: float, report: RouteReport) -> None:
        self.route, self.text, self.first_s, self.report = route, text, first_s, report


async def ask(chain: Chain, first_token_s: float | None = 3.0, remaining_s: float = 30.0) -> Heard:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    question = Question(messages=ASK, first_token_s=first_token_s, remaining_s=remaining_s)
    async with chain.answer(question) as answer:
        first_s = loop.time() - began_s
        text = "".join([piece async for piece in answer.pieces if isinstance(piece, str)])
        return Heard(answer.mind.route, text, first_s, answer.report)


def facts(chain: Chain, index: int = 0) -> dict[str, float]:
    return chain.facts()[index].numbers


# ---------------------------------------------------------------- hedges


@virtual_time
async def test_a_slow_first_token_is_overtaken_by_another_route() -> None:
    slow = TimedMind("a", [2.0, "late"])
    slow.price = Price(input=2.0)
    quick = TimedMind("b", [Opened(connect_s=0.05), 0.1, "soon", Usage(input_tokens=9, output_tokens=1)])
    chain = Chain([slow, quick, companion()])
    heard = await ask(chain)
    assert (heard.route, heard.text) == ("b", "soon")
    assert heard.first_s == pytest.approx(HEDGE_MAX_S + 0.1, abs=0.001)
    assert heard.report == RouteReport(
        route="b", is_hedged=True, has_hedge_won=True, connect_ms=50.0, cost_usd=0.002
    )
    assert (slow.open, slow.abandoned) == (0, 1)
    assert facts(chain, 0)["slow_share"] == 1.0
    assert facts(chain, 0)["wasted_usd"] == 0.002
    assert (facts(chain, 1)["hedges"], facts(chain, 1)["hedge_wins"]) == (1.0, 1.0)


@virtual_time
async def test_the_loser_is_closed_before_the_winner_goes_on() -> None:
    slow, quick = TimedMind("a", [2.0, "late"]), TimedMind("b", [0.1, "soon", 0.3, "er"])
    async with Chain([slow, quick]).answer(Question(messages=ASK)) as answer:
        pieces = aiter(answer.pieces)
        await anext(pieces)
        await asyncio.sleep(0)
        assert (slow.open, quick.open) == (0, 1)
        assert await anext(pieces) == "er"


@virtual_time
async def test_a_first_route_that_is_sooner_after_all_wins_and_keeps_its_good_name() -> None:
    first, other = TimedMind("a", [0.45, "yes"]), TimedMind("b", [0.2, "no"])
    chain = Chain([first, other])
    heard = await ask(chain)
    assert (heard.route, heard.report.is_hedged, heard.report.has_hedge_won) == ("a", True, False)
    assert other.open == 0
    assert facts(chain, 0)["slow_share"] == facts(chain, 1)["slow_share"] == 0.0


@virtual_time
async def test_both_beginning_at_once_is_the_first_ones() -> None:
    first, other = TimedMind("a", [0.5, "yes"]), TimedMind("b", [0.1, "no"])
    chain = Chain([first, other])
    assert (await ask(chain)).route == "a"
    assert other.open == 0
    assert facts(chain, 1)["first_token_ms_p50"] == pytest.approx(100.0)


@virtual_time
async def test_a_call_of_a_function_wins_like_a_text() -> None:
    chain = Chain([TimedMind("a", [2.0, "late"]), TimedMind("b", [CALL])])
    async with chain.answer(Question(messages=ASK)) as answer:
        assert [piece async for piece in answer.pieces] == [CALL]


@virtual_time
async def test_a_quick_route_is_not_hedged() -> None:
    other = TimedMind("b", ["no"])
    heard = await ask(Chain([TimedMind("a", [0.24, "yes"]), other]))
    assert not heard.report.is_hedged
    assert other.asked == []


@virtual_time
async def test_a_hedge_that_fails_leaves_the_first_route_in_the_race() -> None:
    chain = Chain([TimedMind("a", [0.9, "yes"]), TimedMind("b", [0.1, status(500)]), companion()])
    heard = await ask(chain)
    assert (heard.route, heard.report.retries) == ("a", 0)
    assert heard.first_s == pytest.approx(0.9, abs=0.001)


@virtual_time
async def test_a_first_route_that_fails_leaves_its_hedge_in_the_race() -> None:
    chain = Chain([TimedMind("a", [0.5, status(500)]), TimedMind("b", [0.3, "yes"]), companion()])
    heard = await ask(chain)
    assert (heard.route, heard.report.has_hedge_won, heard.report.retries) == ("b", True, 0)


@virtual_time
async def test_no_more_is_asked_twice_than_the_budget_allows() -> None:
    slow, quick = TimedMind("a", [2.0, "late"]), TimedMind("b", ["soon"])
    chain = Chain([slow, quick], policy=Policy(hedge_burst=2.0, slow_s=9.0))
    chain_routes = []
    for _ in range(4):
        chain_routes.append((await ask(chain)).route)
        await asyncio.sleep(SPARSE_WINDOW_S + 1)  # else the breaker had opened
    assert chain_routes == ["b", "b", "a", "a"]


@virtual_time
async def test_what_the_provider_says_of_its_limits_keeps_hedges_away() -> None:
    other = TimedMind("b", [Opened(limits=Limits(requests=0.1, tokens=0.3, resets_s=600.0)), "soon"])
    chain = Chain([TimedMind("a", [0.8, "late"]), other])
    assert (await ask(chain)).route == "b"
    assert facts(chain, 1)["limit_requests_left"] == 0.1
    assert (await ask(chain)).route == "a"


@virtual_time
async def test_a_request_that_was_given_up_for_its_silence_is_paid_for_too() -> None:
    silent = TimedMind("a", [0.2, MindFailed("a", "no first token", fault="timeout")])
    silent.price = Price(input=2.0)
    chain = Chain([silent, companion()])
    heard = await ask(chain)
    assert (heard.route, heard.report.cost_usd) == ("companion", 0.002)
    assert (facts(chain)["slow_share"], facts(chain)["error_share"]) == (1.0, 1.0)


# ---------------------------------------------------------------- failures and bounds


@virtual_time
async def test_another_healthy_route_takes_over_without_a_pause() -> None:
    chain = Chain([TimedMind("a", [0.1, status(503)]), TimedMind("b", ["yes"]), companion()])
    heard = await ask(chain)
    assert (heard.route, heard.report.retries, heard.report.is_hedged) == ("b", 1, False)
    assert heard.first_s == pytest.approx(0.1)
    assert facts(chain, 1)["retries"] == 1.0


@virtual_time
@pytest.mark.parametrize(("chance", "wait_s"), [(0.0, RETRY_MIN_S), (1.0, RETRY_MAX_S)])
async def test_the_only_route_is_asked_once_more_after_a_pause(chance: float, wait_s: float) -> None:
    only = TimedMind("a", [status(503)], ["yes"])
    heard = await ask(Chain([only, companion()], chance=lambda: chance))
    assert (heard.route, heard.report.retries) == ("a", 1)
    assert heard.first_s == pytest.approx(wait_s)


@virtual_time
async def test_a_route_that_fails_twice_leaves_the_word_to_the_companion() -> None:
    only = TimedMind("a", [status(503)])
    heard = await ask(Chain([only, companion()]))
    assert (heard.route, len(only.asked), heard.report.retries) == ("companion", 2, 2)


@virtual_time
@pytest.mark.parametrize(("asked_s", "route"), [(1.0, "a"), (600.0, "companion")])
async def test_a_rate_limit_is_waited_for_when_it_fits(asked_s: float, route: str) -> None:
    limited = MindFailed("x", "answered 429", fault="rate_limited", status=429, retry_after_s=asked_s)
    heard = await ask(Chain([TimedMind("a", [limited], ["yes"]), companion()]))
    assert heard.route == route
    assert heard.first_s == pytest.approx(1.0 if route == "a" else 0.0, abs=0.001)


@virtual_time
async def test_the_companion_answers_before_the_bound_whatever_the_others_do() -> None:
    silent, other = TimedMind("a", [60.0, "late"]), TimedMind("b", [60.0, "late"])
    heard = await ask(Chain([silent, other, companion()]), first_token_s=1.2)
    assert heard.route == "companion"
    assert heard.first_s == pytest.approx(1.2 - RESERVE_S, abs=0.001)
    assert silent.open == other.open == 0


@virtual_time
async def test_each_mind_is_given_what_is_left_of_both_bounds() -> None:
    first, second = TimedMind("a", [0.2, status(500)]), TimedMind("b", ["yes"])
    await ask(Chain([first, second, companion()]), first_token_s=1.0, remaining_s=8.0)
    assert [mind.questions[0].remaining_s for mind in (first, second)] == pytest.approx([8.0, 7.8])
    assert [mind.questions[0].first_token_s for mind in (first, second)] == pytest.approx([1.0, 0.8])


@virtual_time
async def test_a_mind_that_is_late_by_the_turns_own_bound_has_not_failed() -> None:
    class Punctual(TimedMind):
        async def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
            assert question.first_token_s is not None
            self.turns = [[question.first_token_s, MindFailed("a", "is late", fault="timeout")]]
            async with contextlib.aclosing(super().stream(question)) as pieces:
                async for piece in pieces:
                    yield piece

    chain = Chain([Punctual("a", []), companion()])
    for _ in range(LEAST_TURNS - 1):
        assert (await ask(chain, first_token_s=0.4)).route == "companion"
    assert (chain.facts()[0].breaker, facts(chain)["errors"]) == ("closed", 0.0)


@virtual_time
async def test_a_turn_that_is_all_but_over_goes_to_the_companion_at_once() -> None:
    first = TimedMind("a", ["yes"])
    assert (await ask(Chain([first, companion()]), first_token_s=0.1)).route == "companion"
    assert first.asked == []


@virtual_time
async def test_without_a_companion_the_bound_ends_in_an_error() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(EngineFailed, match="no mind of the chain"):
        await ask(Chain([TimedMind("a", [60.0])]), first_token_s=None, remaining_s=2.0)
    assert loop.time() <= 2.0


@virtual_time
async def test_even_a_companion_that_hangs_ends_with_the_turn() -> None:
    with pytest.raises(EngineFailed):
        await ask(Chain([TimedMind("c", [60.0], is_degraded=True)]), remaining_s=5.0)
    assert asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.001)


@virtual_time
async def test_a_defect_of_a_mind_is_not_taken_for_its_failure() -> None:
    broken, other = TimedMind("a", [0.5, ValueError("a defect")]), TimedMind("b", [0.4, "yes"])
    with pytest.raises(ValueError, match="a defect"):
        await ask(Chain([broken, other]))
    assert broken.open == other.open == 0


@virtual_time
async def test_a_turn_that_the_person_ends_teaches_nothing_and_leaves_nothing() -> None:
    first, other = TimedMind("a", [2.0, "late"]), TimedMind("b", [2.0, "late"])
    chain = Chain([first, other])
    for _ in range(LEAST_TURNS):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await ask(chain)
        assert first.open == other.open == 0
    assert [fact.breaker for fact in chain.facts()] == ["closed", "closed"]
    assert len(asyncio.all_tasks()) == 1


@virtual_time
@pytest.mark.parametrize("last", ["late", status(500)])
async def test_what_ends_in_the_moment_in_which_it_is_dropped_is_closed_too(last: Step) -> None:
    late = TimedMind("b", [0.5, last])
    chain = Chain([late])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await ask(chain)
    assert late.open == 0
    assert facts(chain)["errors"] == 0


# ---------------------------------------------------------------- upkeep


@contextlib.asynccontextmanager
async def kept_up(chain: Chain) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        upkeep = tasks.create_task(chain.upkeep())
        yield
        upkeep.cancel()


@virtual_time
async def test_a_slow_proof_keeps_a_slow_route_away_and_a_quick_one_brings_it_back() -> None:
    slow = TimedMind("a", *[[0.9, "late"]] * IN_A_ROW, ["soon"])
    slow.proofs = [0.8]
    chain = Chain([slow, TimedMind("b", ["yes"]), companion()], policy=Policy(hedge_share=0.0))
    async with kept_up(chain):
        for _ in range(IN_A_ROW):
            assert (await ask(chain)).route == "a"
        assert (await ask(chain)).route == "b"
        assert chain.facts()[0].detail == "2 of 2 turns slower than 500 ms"
        await asyncio.sleep(8)
        assert chain.facts()[0].detail == "its probe took 800 ms"
        assert (await ask(chain)).route == "b"
        await asyncio.sleep(10)
        assert (await ask(chain)).route == "a"
    assert slow.proven == 2


@virtual_time
async def test_one_proof_that_hangs_does_not_hold_up_the_others() -> None:
    hung, back = ScriptedMind("x", name="a", proofs=[60.0, 60.0]), ScriptedMind("y", name="b")
    back.proofs = [MindFailed("b", "is down", fault="absent")]
    chain = Chain([hung, back, companion()])
    await chain.prove()
    async with kept_up(chain):
        await asyncio.sleep(6.5)
        assert [fact.state for fact in chain.facts()] == ["failed", "serving", "standby"]


@virtual_time
async def test_idle_routes_are_kept_warm_and_busy_ones_are_warm() -> None:
    busy, idle = TimedMind("a", ["yes"]), TimedMind("b", ["no"])
    chain = Chain([busy, idle], policy=Policy(warm_every_s=20.0))
    async with kept_up(chain):
        for _ in range(10):
            await ask(chain)
            await asyncio.sleep(10)
    assert (busy.warmed, idle.warmed) == (0, 4)


@virtual_time
async def test_warming_that_hangs_is_given_up() -> None:
    class Hanging(ScriptedMind):
        async def keep_warm(self) -> None:
            await super().keep_warm()
            await asyncio.sleep(3600)

    mind = Hanging("yes", name="a")
    async with kept_up(Chain([mind])):
        await asyncio.sleep(90)
    assert mind.warmed == 4


# ---------------------------------------------------------------- effect


def spells(count: int) -> list[Sequence[Step]]:
    """190 ms and 2100 ms in turn, twenty turns each."""
    return [[2.1 if index // 20 % 2 else 0.19, "yes"] for index in range(count)]


async def first_tokens_s(chain: Chain, turns: int) -> list[float]:
    taken = []
    async with kept_up(chain):
        for _ in range(turns):
            taken.append((await ask(chain)).first_s)
            await asyncio.sleep(6)
    return taken


@virtual_time
async def test_a_square_wave_of_latency_is_hardly_heard() -> None:
    plain = await first_tokens_s(Chain([TimedMind("a", *spells(200))]), 200)
    swinging, steady = TimedMind("a", *spells(200)), TimedMind("b", [0.19, "yes"])
    routed = await first_tokens_s(Chain([swinging, steady, companion()]), 200)
    assert statistics.quantiles(plain, n=20)[-1] == pytest.approx(2.1)
    assert max(routed) <= HEDGE_MAX_S + 0.19 + 0.001
    assert statistics.quantiles(routed, n=20)[-1] <= HEDGE_MAX_S + 0.19 + 0.001
    assert sum(taken > 0.5 for taken in routed) < 0.1 * len(routed)
    assert len(swinging.asked) + len(steady.asked) <= 1.1 * len(routed)


# ---------------------------------------------------------------- whatever happens

ENDS: list[Step] = ["yes", status(500), status(400), MindFailed("x", "gone", fault="connect"), CALL]
scripts = st.lists(
    st.tuples(st.floats(0.0, 4.0), st.sampled_from([*ENDS, "", 9.0])).map(list), min_size=1, max_size=4
)
plans = st.tuples(st.floats(0.05, 4.0), st.none() | st.floats(0.0, 4.0))
"""The bound on the first token, and when the person interrupts."""


@settings(max_examples=150, deadline=None)
@given(
    st.lists(scripts, min_size=1, max_size=3),
    st.lists(plans, min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 10.0]),
)
def test_there_is_one_answer_or_one_error_in_time_and_nothing_left_behind(
    minds: list[list[list[Step]]], turns: list[tuple[float, float | None]], has_companion: bool, burst: float
) -> None:
    async def live() -> None:
        chained = [TimedMind(f"m{index}", *script) for index, script in enumerate(minds)]
        if has_companion:
            chained.append(companion())
        most_open = again = 0

        def count() -> None:
            nonlocal most_open
            most_open = max(most_open, sum(mind.open for mind in chained))

        for mind in chained:
            mind.watch = count
        chain = Chain(chained, policy=Policy(hedge_burst=burst))
        async with kept_up(chain):
            for done, (first_token_s, interrupted_s) in enumerate(turns, start=1):
                asked = [len(mind.asked) for mind in chained]
                outcome = await turn(chain, first_token_s, interrupted_s)
                again += sum(
                    max(0, len(mind.asked) - before - 1) for mind, before in zip(chained, asked, strict=True)
                )
                assert outcome in (
                    {"answer", "cancelled"} if has_companion else {"answer", "error", "cancelled"}
                )
                assert sum(mind.open for mind in chained) == 0
                hedged = sum(fact.numbers["hedges"] for fact in chain.facts())
                assert hedged + again <= burst + 0.1 * done
        assert most_open <= 2
        assert len(asyncio.all_tasks()) == 1

    async def turn(chain: Chain, first_token_s: float, interrupted_s: float | None) -> str:
        loop = asyncio.get_running_loop()
        began_s, first_s = loop.time(), None
        try:
            async with asyncio.timeout(interrupted_s):
                async with chain.answer(Question(messages=ASK, first_token_s=first_token_s)) as answer:
                    first_s = loop.time() - began_s
                    await anext(aiter(answer.pieces))
        except EngineFailed:
            assert loop.time() - began_s <= first_token_s + 0.001
            return "error"
        except TimeoutError:
            return "cancelled"
        assert first_s <= first_token_s + 0.001
        return "answer"

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(live())
