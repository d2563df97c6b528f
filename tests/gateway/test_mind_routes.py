"""What several workers have learnt about a route, as health shows it."""

from services.gateway.health import RouteHealth
from services.gateway.mind_routes import routes_of, total_of, troubles
from services.llm.engine import Limits
from services.llm.record import Record, Way
from shared.messages import EngineFact

SLOW = "8 of 20 turns slower than 500 ms"
BIG = EngineFact(
    name="groq:big",
    state="serving",
    model="big",
    breaker="closed",
    numbers={
        "first_token_ms_p50": 98,
        "first_token_ms_p90": 190,
        "slow_share": 0.05,
        "error_share": 0.0,
        "limit_requests_left": 0.9,
        "limit_tokens_left": 0.8,
    },
)
BIG_SICK = EngineFact(
    name="groq:big",
    state="standby",
    model="big",
    breaker="open",
    detail=SLOW,
    numbers={
        "first_token_ms_p50": 300,
        "first_token_ms_p90": 1900,
        "slow_share": 0.4,
        "limit_tokens_left": 0.7,
    },
)
SMALL = EngineFact(name="groq:small", state="standby", model="small", breaker="closed")
COMPANION = EngineFact(name="companion", state="standby")


def test_the_routes_of_one_worker_keep_their_order_and_show_what_it_has_learnt() -> None:
    big, small, companion = routes_of([[BIG, SMALL, COMPANION]])
    assert big == RouteHealth(
        route="groq:big", model="big", state="serving", breaker="closed", workers={"closed": 1},
        first_token_p50_ms=98, first_token_p90_ms=190, slow_share=0.05, error_share=0.0,
        requests_left=0.9, tokens_left=0.8,
    )  # fmt: skip
    assert (small.route, small.state, small.first_token_p50_ms, small.requests_left) == (
        "groq:small",
        "standby",
        None,
        None,
    )
    assert (companion.breaker, companion.workers) == ("", {})


def test_a_route_is_shown_as_bad_as_its_worst_worker_has_found_it() -> None:
    (big, _) = routes_of([[BIG, SMALL], [BIG_SICK, SMALL]])
    assert (big.state, big.breaker, big.workers) == ("serving", "open", {"closed": 1, "open": 1})
    assert (big.first_token_p50_ms, big.first_token_p90_ms, big.slow_share) == (300, 1900, 0.4)
    assert (big.requests_left, big.tokens_left) == (0.9, 0.7)
    assert big.detail == SLOW


def test_a_hint_of_any_worker_is_shown() -> None:
    absent = EngineFact(name="groq:big", state="absent", detail="no key", hint="set GROQ_API_KEY")
    (big,) = routes_of([[BIG], [absent]])
    assert (big.detail, big.hint) == ("no key", "set GROQ_API_KEY")


def test_nothing_is_known_without_workers() -> None:
    assert routes_of([]) == []


def test_an_open_route_is_told_with_its_reason_and_with_who_answers() -> None:
    routes = routes_of([[BIG_SICK, SMALL]])
    assert troubles(routes, answering="groq:small") == [f"groq:big is open: {SLOW}; groq:small answers."]
    assert troubles(routes, answering="") == [f"groq:big is open: {SLOW}."]


def test_of_several_workers_it_is_said_how_many_have_trouble() -> None:
    routes = routes_of([[BIG, SMALL], [BIG_SICK, SMALL]])
    assert troubles(routes, answering="groq:big") == [f"groq:big is open at 1 of 2 workers: {SLOW}."]
    assert total_of(routes[0], "closed") == 1


def test_a_route_that_is_tried_again_is_told_without_a_reason_where_there_is_none() -> None:
    half = EngineFact(name="groq:big", state="standby", breaker="half_open")
    assert troubles(routes_of([[half, SMALL]]), answering="groq:small") == [
        "groq:big is tried again after it was open; groq:small answers."
    ]


def test_a_route_that_nobody_has_set_up_is_no_trouble() -> None:
    absent = EngineFact(name="openai:local", state="absent", breaker="open", detail="no server was found")
    assert troubles(routes_of([[BIG, absent]]), answering="groq:big") == []


def test_what_a_worker_publishes_is_understood_here() -> None:
    record = Record(Way(name="groq:big", engine="groq"), slow_s=0.5)
    record.told(Limits(requests=0.5, tokens=0.2, resets_s=60.0), 10.0)
    for first_token_s in (0.1, 0.9):
        record.began(first_token_s, 10.0)
    fact = EngineFact(
        name="groq:big", state="serving", breaker=record.breaker.state, numbers=record.numbers(11.0)
    )
    (big,) = routes_of([[fact]])
    assert (big.first_token_p50_ms, big.first_token_p90_ms) == (100.0, 900.0)
    assert (big.slow_share, big.error_share) == (0.5, 0.0)
    assert (big.requests_left, big.tokens_left) == (0.5, 0.2)
