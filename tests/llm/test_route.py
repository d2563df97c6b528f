"""The choice of routes: order, health, limits, hedges, what follows a failure, what is shown."""

from __future__ import annotations

import pytest

from services.llm.breaker import LEAST_TURNS, REST_MIN_S
from services.llm.engine import Fault, Limits, MindFailed
from services.llm.record import Way
from services.llm.route import (
    HEDGE_MAX_S,
    HEDGE_MIN_S,
    LEAST_TRY_S,
    RETRY_MAX_S,
    RETRY_MIN_S,
    Policy,
    Routes,
    Step,
    Trouble,
)

BIG, SMALL, OWN, LAST = "groq:big", "groq:small", "openai:own", "companion"
WAYS = [
    Way(name=BIG, engine="groq"),
    Way(name=SMALL, engine="groq"),
    Way(name=OWN, engine="openai"),
    Way(name=LAST, engine="companion", is_degraded=True),
]
NOTHING_LEFT = Limits(requests=0.5, tokens=0.01, resets_s=30.0)


def routes(*names: str, **policy: float) -> Routes:
    return Routes([way for way in WAYS if not names or way.name in names], Policy(**policy))


def failed(fault: Fault = "broken", **fields: object) -> MindFailed:
    return MindFailed("x", "is down", fault=fault, **fields)  # type: ignore[arg-type]


def slow(of: Routes, *names: str) -> None:
    for name in names:
        for _ in range(LEAST_TURNS):
            of[name].began(2.0, 0.0)


def down(of: Routes, *names: str) -> None:
    for name in names:
        of[name].failed(failed("refused"), 0.0)


# ---------------------------------------------------------------- which one


def test_the_first_healthy_route_is_asked_and_then_the_next() -> None:
    choice = routes()
    assert choice.pick(0.0) == BIG
    assert choice.pick(0.0, {BIG}) == SMALL
    down(choice, BIG, SMALL)
    assert choice.pick(0.0) == OWN
    assert choice.pick(0.0, {BIG, SMALL, OWN, LAST}) is None


def test_a_slow_route_gives_way_to_a_healthy_one_but_not_to_the_companion() -> None:
    choice = routes()
    slow(choice, BIG, SMALL)
    assert choice.pick(0.0) == OWN
    slow(choice, OWN)
    assert choice.pick(0.0) == BIG
    assert choice.pick(0.0, {BIG, SMALL, OWN}) == LAST


def test_a_failing_route_gives_way_to_a_slow_one_and_at_last_to_the_companion() -> None:
    choice = routes()
    down(choice, BIG, OWN)
    slow(choice, SMALL)
    assert choice.pick(0.0) == SMALL
    down(choice, SMALL)
    assert choice.pick(0.0) == LAST


def test_the_route_that_is_wished_for_goes_before_those_that_are_no_better() -> None:
    choice = routes()
    assert choice.pick(0.0, first=OWN) == OWN
    assert choice.pick(0.0, {OWN}, first=OWN) == BIG
    assert choice.pick(0.0, first=LAST) == BIG, "a makeshift is nobody's wish"
    assert choice.pick(0.0, first="unknown") == BIG
    slow(choice, OWN)
    assert choice.pick(0.0, first=OWN) == BIG
    slow(choice, BIG, SMALL)
    assert choice.pick(0.0, first=OWN) == OWN
    down(choice, OWN)
    assert choice.pick(0.0, first=OWN) == BIG
    choice = routes()
    choice[OWN].told(NOTHING_LEFT, 100.0)
    assert choice.pick(129.0, first=OWN) == BIG


def test_the_last_route_never_rests() -> None:
    choice = routes(BIG, SMALL)
    down(choice, BIG, SMALL)
    assert choice.pick(0.0) == SMALL
    companion = routes(LAST)
    down(companion, LAST)
    assert companion.pick(0.0) == LAST


def test_a_route_near_its_rate_limit_is_passed_over_until_it_resets() -> None:
    choice = routes(BIG, OWN, LAST)
    choice[BIG].told(NOTHING_LEFT, 100.0)
    assert choice.pick(129.0) == OWN
    assert choice.pick(130.0) == BIG
    assert choice.pick(129.0, {OWN}) == BIG
    choice[BIG].told(Limits(requests=0.06, resets_s=30.0), 100.0)
    assert choice.pick(101.0) == BIG
    choice[BIG].told(None, 100.0)
    assert choice[BIG].left(101.0) == 0.06


def test_the_makeshift_is_the_companion_or_nobody() -> None:
    assert routes().makeshift({BIG}) == LAST
    assert routes().makeshift({LAST}) is None
    assert routes(BIG, OWN).makeshift(()) is None


# ---------------------------------------------------------------- hedges


def test_the_hedge_comes_at_the_ninetieth_percentile_within_its_bounds() -> None:
    choice = routes()
    assert choice.hedge_delay_s(BIG) == HEDGE_MAX_S
    for first_token_s, delay_s in ((0.1, HEDGE_MIN_S), (0.3, 0.3), (1.0, HEDGE_MAX_S)):
        for _ in range(20):
            choice[BIG].began(first_token_s, 0.0)
        assert choice.hedge_delay_s(BIG) == delay_s


def test_with_little_budget_left_only_late_turns_are_hedged() -> None:
    choice = routes()
    choice[BIG].began(0.1, 0.0)
    assert choice.hedge_delay_s(BIG) == HEDGE_MIN_S
    while not choice.budget.is_scarce:
        choice.budget.take()
    assert choice.hedge_delay_s(BIG) == HEDGE_MAX_S


def test_the_hedge_goes_to_another_provider_rather_than_to_the_same() -> None:
    choice = routes()
    assert choice.hedge(BIG, 0.0, {BIG}) == OWN
    assert choice.hedge(BIG, 0.0, {BIG, OWN}) == SMALL
    assert choice.hedge(BIG, 0.0, {BIG, OWN, SMALL}) is None


def test_the_hedge_goes_to_a_slow_one_where_no_other_is_well() -> None:
    choice = routes()
    slow(choice, OWN)
    assert choice.hedge(BIG, 0.0, {BIG}) == SMALL
    assert choice.hedge(BIG, 0.0, {BIG, SMALL}) == OWN


@pytest.mark.parametrize("is_down", [True, False])
def test_the_hedge_goes_to_nobody_who_is_down_or_near_the_rate_limit(is_down: bool) -> None:
    choice = routes(BIG, OWN, LAST)
    if is_down:
        down(choice, OWN)
    else:
        choice[OWN].told(Limits(tokens=0.19, resets_s=60.0), 0.0)
    assert choice.hedge(BIG, 0.0, {BIG}) is None
    assert choice.budget.left == 10.0


def test_the_companion_is_not_hedged() -> None:
    assert routes().hedge(LAST, 0.0, {LAST}) is None


def test_hedges_keep_to_their_budget() -> None:
    choice = routes(hedge_burst=2.0)
    assert [choice.hedge(BIG, 0.0, {BIG}) for _ in range(3)] == [OWN, OWN, None]
    assert routes(hedge_share=0.0).hedge(BIG, 0.0, {BIG}) is None


# ---------------------------------------------------------------- after a failure


def after(choice: Routes, error: MindFailed, *, left_s: float = 2.0, **fields: object) -> Step | None:
    trouble = Trouble(route=BIG, error=error, **fields)  # type: ignore[arg-type]
    return choice.after(trouble, tried={BIG}, now_s=0.0, left_s=left_s)


def test_another_healthy_route_is_asked_at_once() -> None:
    choice = routes()
    assert after(choice, failed("status", status=503)) == Step(route=SMALL)
    assert choice.budget.left == 9.0


@pytest.mark.parametrize(
    ("fault", "route"), [("connect", OWN), ("refused", OWN), ("timeout", OWN), ("garbage", SMALL)]
)
def test_what_strikes_a_whole_provider_leads_to_another_one_first(fault: Fault, route: str) -> None:
    assert after(routes(), failed(fault)) == Step(route=route)
    choice = routes()
    down(choice, OWN)
    assert after(choice, failed(fault)) == Step(route=SMALL)


PASSING = [
    failed("connect"),
    failed("status", status=408),
    failed("status", status=500),
    failed("status", status=529),
]


@pytest.mark.parametrize("error", PASSING)
def test_without_one_the_same_is_asked_again_once_after_a_jittered_pause(error: MindFailed) -> None:
    choice = routes(BIG, LAST)
    assert after(choice, error, chance=0.0) == Step(route=BIG, wait_s=RETRY_MIN_S, is_repeat=True)
    assert after(choice, error, chance=1.0) == Step(route=BIG, wait_s=RETRY_MAX_S, is_repeat=True)
    assert choice.budget.left == 8.0
    assert after(choice, error, is_repeated=True) == Step(route=LAST)


@pytest.mark.parametrize(
    "error",
    [
        failed("status", status=400),
        failed("refused", status=401),
        failed("garbage"),
        failed("timeout"),
        failed("rate_limited", status=429),
        failed("rate_limited", status=429, retry_after_s=600.0),
    ],
)
def test_what_would_fail_again_is_not_asked_again(error: MindFailed) -> None:
    assert after(routes(BIG, LAST), error) == Step(route=LAST)


def test_a_rate_limit_that_ends_in_time_is_waited_for() -> None:
    error = failed("rate_limited", status=429, retry_after_s=1.0)
    assert after(routes(BIG, LAST), error) == Step(route=BIG, wait_s=1.0, is_repeat=True)
    assert after(routes(BIG, LAST), error, left_s=1.0 + LEAST_TRY_S / 2) == Step(route=LAST)


def test_the_same_is_asked_again_before_a_slow_one_is_and_only_within_the_budget() -> None:
    choice = routes(BIG, OWN, LAST, hedge_burst=1.0)
    slow(choice, OWN)
    assert after(choice, PASSING[0]) == Step(route=BIG, wait_s=RETRY_MIN_S, is_repeat=True)
    assert after(choice, PASSING[0]) == Step(route=OWN)


def test_when_there_is_no_time_left_the_companion_answers() -> None:
    assert after(routes(), PASSING[0], left_s=0.05) == Step(route=LAST)
    assert after(routes(BIG, OWN), PASSING[0], left_s=0.05) is None


def test_when_nobody_is_left_the_turn_is_given_up() -> None:
    assert after(routes(BIG), failed()) is None


# ---------------------------------------------------------------- what failures teach


@pytest.mark.parametrize("fault", ["absent", "refused", "rate_limited"])
def test_a_fault_that_the_next_turn_would_find_again_opens_at_once(fault: Fault) -> None:
    choice = routes()
    assert choice[BIG].failed(failed(fault), 0.0)
    assert choice[BIG].breaker.state == "open"
    assert choice.due(REST_MIN_S - 0.1) == []
    assert choice.due(REST_MIN_S) == [BIG]
    assert choice[BIG].breaker.state == "half_open"
    assert choice.due(1000.0) == []


def test_a_wish_for_rest_is_kept_to_whatever_the_error_is() -> None:
    choice = routes()
    choice[BIG].failed(failed("status", status=503, retry_after_s=17.0), 0.0)
    assert choice.due(16.9) == []
    assert choice.due(17.0) == [BIG]


def test_limits_that_come_with_an_error_are_learnt_too() -> None:
    choice = routes()
    choice[BIG].failed(failed("status", status=503, limits=NOTHING_LEFT), 0.0)
    assert choice[BIG].left(1.0) == 0.01


def test_the_same_trouble_is_news_once() -> None:
    record = routes()[BIG]
    assert record.refuted(failed(), 0.0)
    assert not record.failed(failed(), 1.0)
    assert not record.broke(failed(), record.breaker.began(0.1, 1.0), 1.0)
    assert record.failed(MindFailed("x", "is elsewhere"), 1.0)
    assert record.proven(0.1, 2.0)
    assert not record.proven(0.1, 3.0)
    assert record.tally.errors == 3


# ---------------------------------------------------------------- what is shown


def test_states_tell_who_serves_and_why_others_do_not() -> None:
    choice = routes()
    down(choice, BIG)
    choice[SMALL].refuted(failed("absent", hint="start it"), 0.0)
    choice[OWN].proven(0.1, 0.0)
    choice[LAST].proven(0.0, 0.0)
    assert [choice.state(way.name, 0.0) for way in WAYS] == ["failed", "absent", "serving", "standby"]
    assert choice[SMALL].why() == ("is down", "start it")
    assert choice[OWN].why() == ("", "")


def test_a_slow_route_stands_by_and_says_how_slow_it_was() -> None:
    choice = routes()
    slow(choice, BIG)
    assert choice.state(BIG, 0.0) == "standby"
    assert choice[BIG].why() == ("2 of 2 turns slower than 500 ms", "")


def test_a_route_that_was_never_proven_is_not_said_to_stand_by() -> None:
    assert routes().state(OWN, 0.0) == "failed"


def test_the_numbers_are_those_that_are_known() -> None:
    record = routes()[BIG]
    counts = {
        "turns": 0.0,
        "errors": 0.0,
        "hedges": 0.0,
        "hedge_wins": 0.0,
        "retries": 0.0,
        "wasted_usd": 0.0,
    }
    assert record.numbers(0.0) == {"slow_share": 0.0, "error_share": 0.0} | counts
    record.asked(0.0)
    record.began(0.3, 1.0)
    record.told(Limits(tokens=0.5, resets_s=10.0), 1.0)
    assert record.numbers(2.0) == {
        **counts,
        "turns": 1.0,
        "slow_share": 0.0,
        "error_share": 0.0,
        "first_token_ms_p50": 300.0,
        "first_token_ms_p90": 300.0,
        "limit_tokens_left": 0.5,
    }
    assert "limit_tokens_left" not in record.numbers(11.0)


def test_routes_that_nobody_has_used_for_a_while_are_kept_warm_unless_they_rest() -> None:
    choice = routes(warm_every_s=20.0)
    down(choice, SMALL)
    slow(choice, OWN)
    choice[BIG].asked(5.0)
    assert choice.cold(19.9) == []
    assert choice.cold(20.0) == [OWN, LAST]
    assert choice.cold(25.0) == [BIG]
    assert choice.cold(26.0) == []
