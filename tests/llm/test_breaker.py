"""The breaker and the budget: what opens a route, what closes it, and what may be asked twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.breaker import (
    ASKED_REST_MAX_S,
    LEAST_TURNS,
    REST_MAX_S,
    REST_MIN_S,
    TRIAL_TURNS,
    WINDOW_S,
    WINDOW_TURNS,
    Breaker,
)
from services.llm.budget import Budget

QUICK_S, SLOW_S = 0.2, 0.9


def turns(breaker: Breaker, *first_tokens_s: float, at_s: float = 0.0) -> None:
    for first_token_s in first_tokens_s:
        breaker.began(first_token_s, at_s)


def rest_s(breaker: Breaker, now_s: float) -> float:
    """Returns how long it rests from now, to the second."""
    return min(second for second in range(2000) if breaker.is_due(now_s + second))


def probed(breaker: Breaker, now_s: float, took_s: float = 0.05) -> None:
    assert breaker.is_due(now_s)
    breaker.probe()
    breaker.passed(took_s, now_s)


# ---------------------------------------------------------------- opening


def test_slow_turns_between_good_ones_open_it_at_forty_percent() -> None:
    breaker = Breaker()
    turns(breaker, QUICK_S, QUICK_S, QUICK_S, SLOW_S, QUICK_S, SLOW_S, QUICK_S)
    assert breaker.state == "closed"
    turns(breaker, SLOW_S)
    assert breaker.state == "closed"
    turns(breaker, QUICK_S, SLOW_S)
    assert (breaker.state, breaker.cause) == ("open", "slowness")
    assert breaker.why == "4 of 10 turns slower than 500 ms"
    assert breaker.is_only_slow


def test_a_few_turns_with_one_slow_do_not_open_it() -> None:
    breaker = Breaker()
    turns(breaker, SLOW_S, QUICK_S, SLOW_S)
    assert breaker.state == "closed"
    assert LEAST_TURNS > 3


def test_two_slow_turns_in_a_row_open_it_whatever_was_before() -> None:
    breaker = Breaker()
    turns(breaker, *[QUICK_S] * 15, SLOW_S)
    assert breaker.state == "closed"
    turns(breaker, SLOW_S)
    assert (breaker.state, breaker.cause) == ("open", "slowness")
    assert breaker.why == "2 of 17 turns slower than 500 ms"


def test_a_good_turn_opens_nothing() -> None:
    breaker = Breaker()
    turns(breaker, SLOW_S, QUICK_S, SLOW_S, QUICK_S)
    assert breaker.state == "closed"
    turns(breaker, SLOW_S)
    assert breaker.why == "3 of 5 turns slower than 500 ms"


def test_the_slow_bound_is_a_parameter() -> None:
    breaker = Breaker(slow_s=2.0)
    turns(breaker, *[SLOW_S] * WINDOW_TURNS)
    assert breaker.state == "closed"


def test_half_of_the_turns_in_error_open_it() -> None:
    breaker = Breaker()
    for _ in range(2):
        assert breaker.state == "closed"
        breaker.began(QUICK_S, 0.0)
        breaker.failed(0.0)
    assert (breaker.state, breaker.cause) == ("open", "errors")
    assert not breaker.is_only_slow


def test_one_error_of_three_turns_does_not() -> None:
    breaker = Breaker()
    for _ in range(10):
        turns(breaker, QUICK_S, QUICK_S)
        breaker.failed(0.0)
    assert breaker.state == "closed"
    assert breaker.shares(0.0) == (0.0, 0.35)


def test_two_errors_in_a_row_open_it_whatever_went_before() -> None:
    breaker = Breaker()
    turns(breaker, *[QUICK_S] * WINDOW_TURNS)
    breaker.failed(1.0)
    assert breaker.state == "closed"
    breaker.failed(1.0)
    assert breaker.state == "open"


def test_what_is_older_than_the_window_counts_no_more() -> None:
    breaker = Breaker()
    turns(breaker, *[SLOW_S] * (LEAST_TURNS - 1))
    turns(breaker, *[QUICK_S] * LEAST_TURNS, at_s=WINDOW_S + 0.1)
    assert breaker.state == "closed"
    assert breaker.shares(WINDOW_S + 0.1) == (0.0, 0.0)


def test_where_turns_are_rare_the_last_four_are_judged() -> None:
    breaker = Breaker()
    for now_s in (0.0, WINDOW_S, 2 * WINDOW_S):
        breaker.began(QUICK_S, now_s)
    breaker.began(SLOW_S, 3 * WINDOW_S)
    assert breaker.shares(3 * WINDOW_S) == (0.25, 0.0)
    breaker.began(SLOW_S, 4 * WINDOW_S)
    assert breaker.why == "2 of 4 turns slower than 500 ms"


def test_turns_of_long_ago_are_not_judged_however_rare_they_are() -> None:
    breaker = Breaker()
    for hour in range(9):
        breaker.began(SLOW_S, 3600.0 * hour)
    assert breaker.state == "closed"
    assert breaker.shares(3600.0 * 9) == (0.0, 0.0)


def test_only_the_newest_turns_count() -> None:
    breaker = Breaker()
    turns(breaker, *[QUICK_S] * 100)
    turns(breaker, *[SLOW_S, QUICK_S] * 7)
    assert breaker.state == "closed"
    turns(breaker, SLOW_S)
    assert breaker.why == f"8 of {WINDOW_TURNS} turns slower than 500 ms"


def test_an_answer_that_breaks_off_is_an_error_of_the_same_turn() -> None:
    breaker = Breaker()
    for now_s in (1.0, 2.0):
        breaker.broke(breaker.began(QUICK_S, now_s), now_s)
    assert (breaker.state, breaker.cause) == ("open", "errors")
    assert breaker.shares(2.0) == (0.0, 1.0)


def test_a_route_that_another_overtook_was_slow_and_one_that_was_only_left_was_not() -> None:
    breaker = Breaker()
    for _ in range(LEAST_TURNS):
        breaker.waited(0.4, 0.0)
    assert breaker.state == "closed"
    assert breaker.first_token_s(0.5) is None
    for _ in range(LEAST_TURNS):
        breaker.waited(0.4, 0.0, is_late=True)
    assert breaker.state == "open"
    assert breaker.first_token_s(0.5) == 0.4


def test_waiting_beyond_the_bound_in_vain_is_slow() -> None:
    breaker = Breaker()
    for _ in range(LEAST_TURNS):
        breaker.waited(0.6, 0.0)
    assert breaker.is_only_slow


def test_errors_on_top_of_slowness_make_it_worse_than_slow() -> None:
    breaker = Breaker()
    turns(breaker, *[SLOW_S] * LEAST_TURNS)
    assert breaker.is_only_slow
    breaker.failed(1.0, is_slow=True)
    breaker.failed(1.0, is_slow=True)
    assert (breaker.state, breaker.is_only_slow) == ("open", False)
    breaker.failed(1.0)  # of a turn that was still on its way
    assert rest_s(breaker, 1.0) == 2 * REST_MIN_S


# ---------------------------------------------------------------- resting and coming back


def test_it_rests_and_then_exactly_one_probe_is_due() -> None:
    breaker = Breaker()
    breaker.trip(100.0)
    assert not breaker.is_due(100.0 + REST_MIN_S - 0.1)
    assert breaker.is_due(100.0 + REST_MIN_S)
    breaker.probe()
    assert breaker.state == "half_open"
    assert not breaker.is_due(1000.0)
    breaker.passed(0.1, 106.0)
    assert breaker.state == "closed"
    breaker.passed(9.0, 107.0)  # the proof of a route that is closed
    assert breaker.state == "closed"


def test_rests_double_up_to_a_minute_until_the_trial_is_over() -> None:
    breaker, now_s, rests = Breaker(), 0.0, []
    for _ in range(6):
        breaker.trip(now_s)
        rests.append(rest_s(breaker, now_s))
        now_s += rests[-1]
        probed(breaker, now_s)
    assert rests == [5, 10, 20, 40, REST_MAX_S, REST_MAX_S]
    turns(breaker, *[QUICK_S] * TRIAL_TURNS, at_s=now_s)
    breaker.trip(now_s)
    assert rest_s(breaker, now_s) == REST_MIN_S


@pytest.mark.parametrize("bad", ["slow", "error"])
def test_on_trial_one_bad_turn_sends_it_back(bad: str) -> None:
    breaker = Breaker()
    turns(breaker, *[SLOW_S] * LEAST_TURNS)
    probed(breaker, 5.0)
    if bad == "slow":
        breaker.began(SLOW_S, 6.0)
        assert breaker.why == "1 of 1 turn slower than 500 ms"
    else:
        breaker.failed(6.0)
    assert breaker.state == "open"
    assert rest_s(breaker, 6.0) == 2 * REST_MIN_S


def test_a_slow_probe_does_not_mend_slowness_but_it_mends_errors() -> None:
    breaker = Breaker()
    turns(breaker, *[SLOW_S] * LEAST_TURNS)
    probed(breaker, 5.0, took_s=0.8)
    assert (breaker.state, breaker.why) == ("open", "its probe took 800 ms")
    assert rest_s(breaker, 5.0) == 2 * REST_MIN_S
    breaker.trip(5.0)
    probed(breaker, 200.0, took_s=0.8)
    assert breaker.state == "closed"


@pytest.mark.parametrize(("asked_s", "rests_s"), [(0.0, 0), (1.0, 1), (30.0, 30), (9000.0, ASKED_REST_MAX_S)])
def test_a_provider_may_ask_for_its_own_rest(asked_s: float, rests_s: float) -> None:
    breaker = Breaker()
    breaker.trip(0.0, asked_s=asked_s)
    assert rest_s(breaker, 0.0) == rests_s
    breaker.trip(0.0)
    assert rest_s(breaker, 0.0) == REST_MIN_S


def test_a_good_turn_closes_it_if_it_was_asked_after_it_opened() -> None:
    breaker = Breaker()
    turns(breaker, *[SLOW_S] * LEAST_TURNS, at_s=10.0)
    breaker.began(QUICK_S, 10.1)  # asked before
    assert breaker.state == "open"
    breaker.began(SLOW_S, 12.0)
    assert breaker.state == "open"
    breaker.began(QUICK_S, 13.0)
    assert breaker.state == "closed"


def test_quantiles_are_those_of_the_newest_first_tokens() -> None:
    breaker = Breaker()
    assert breaker.first_token_s(0.9) is None
    turns(breaker, *[9.0] * 5, *[index / 100 for index in range(1, WINDOW_TURNS + 1)])
    assert breaker.first_token_s(0.5) == 0.10
    assert breaker.first_token_s(0.9) == 0.18
    assert breaker.first_token_s(0.0) == 0.01


# ---------------------------------------------------------------- budget


def test_a_budget_lets_a_burst_through_and_then_its_share() -> None:
    budget = Budget(share=0.1, burst=3)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    for _ in range(11):
        budget.earn()
    assert [budget.take() for _ in range(2)] == [True, False]


def test_what_must_be_asked_is_paid_for_by_what_need_not_be() -> None:
    budget = Budget(share=0.5, burst=1)
    for _ in range(9):
        budget.spend()
    assert budget.left == -1.0
    for _ in range(3):
        budget.earn()
    assert not budget.take()
    budget.earn()
    assert budget.take()


def test_a_budget_is_scarce_before_it_is_gone() -> None:
    budget = Budget(burst=10)
    assert [budget.is_scarce for _ in range(4) if budget.take()] == [False, False, True, True]


@pytest.mark.parametrize("budget", [Budget(share=0.0), Budget(burst=0.0)])
def test_a_budget_can_be_nothing(budget: Budget) -> None:
    budget.earn()
    assert not budget.take()


@given(st.lists(st.booleans(), max_size=300), st.floats(0.01, 1.0), st.floats(0.0, 20.0))
def test_a_budget_is_never_exceeded(asks: list[bool], share: float, burst: float) -> None:
    budget, taken = Budget(share, burst), 0
    for count, wants in enumerate(asks, start=1):
        budget.earn()
        taken += wants and budget.take()
        assert taken <= burst + share * count + 1e-6
        assert 0.0 <= budget.left <= burst
