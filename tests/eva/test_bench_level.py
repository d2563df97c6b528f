"""What levels of people say: who was carried, which is tried next, what is worse than before."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from eva.bench_level import (
    Generator,
    Level,
    Use,
    carried_users,
    level_of,
    next_users,
    parse_users,
    seconds_for,
)
from eva.bench_report import HEADER, Bench, as_json, differences, regressions, row, rows, verdict
from eva.bench_script import Kind
from eva.bench_talk import Met
from eva.review_card import Machine
from shared.errors import BadInput

MACHINE = Machine(cpu="a", cores=2, load=0.1, system="Linux", python="3.11")


def met(response_ms: float | None = 100.0, kind: Kind = "spoken", **more: Any) -> Met:
    return Met(**{"kind": kind, "asked_s": 1.0, "outcome": "ok", "response_ms": response_ms} | more)


def level(users: int, p95: float = 100.0, **more: Any) -> Level:
    figures = {"p50": p95 / 2, "p95": p95}
    return Level(**{"users": users, "seconds": 20.0, "turns": 50, "ok": 50, "response": figures} | more)


def made(*levels: Level, **more: Any) -> Bench:
    return Bench(
        **{
            "at": "2026-11-21T20:00:00Z", "url": "", "engines": "zero-cost", "served": {"stt": "zero"},
            "eva_version": "0", "machine": MACHINE, "seed": 0, "seconds": 20.0, "objective_ms": 500.0,
            "levels": list(levels),
        } | more
    )  # fmt: skip


def test_a_level_counts_what_people_met() -> None:
    services = {"gateway": Use(cores=0.5, memory_mib=80.0)}
    found = level_of(
        4,
        10.0,
        [
            met(100.0),
            met(300.0, kind="typed", stopped_ms=90.0, underruns=2, silence_ms=40.0),
            met(200.0, kind="push_to_talk"),
            met(900.0, outcome="stopped"),
            met(None, outcome="no_answer", underruns=1, silence_ms=5.0),
        ],
        services,
        Generator(late_p99_ms=1.0),
    )
    assert (found.users, found.turns, found.ok, found.ok_share) == (4, 5, 3, 0.6)
    assert found.failures == {"stopped": 1, "no_answer": 1}
    assert found.response == {"p50": 200.0, "p95": 300.0}
    assert (found.spoken["p50"], found.typed["p50"], found.push_to_talk["p50"]) == (100.0, 300.0, 200.0)
    assert (found.interruptions, found.stop_p50_ms) == (1, 90.0)
    assert (found.underruns, found.underrun_turns, found.silence_ms) == (3, 2, 45.0)
    assert found.services == services


def test_nobody_who_was_answered_is_told_as_such() -> None:
    found = level_of(1, 10.0, [], {}, Generator())
    assert found.ok_share == 0.0
    assert found.stop_p50_ms is None
    assert found.why_not(500.0) == "nobody was answered"


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (level(4, 500.0), ""),
        (level(4, 501.0), "p95 of the response is 501 ms"),
        (level(1, 990.0, turns=19, ok=19), ""),
        (level(1, 990.0, turns=20, ok=20), "p95 of the response is 990 ms"),
        (level(1, 1002.0, turns=19, ok=19), "p50 of the response is 501 ms"),
        (level(4, ok=48, failures={"busy": 2}), "2 of 50 questions failed (2 × busy)"),
    ],
)
def test_people_are_carried_within_the_objective_and_without_a_failure(one: Level, why: str) -> None:
    assert one.why_not(500.0) == why


@pytest.mark.parametrize(
    ("late_ms", "cores", "is_limit"), [(5.0, 0.5, False), (21.0, 0.1, True), (1.0, 0.9, True)]
)
def test_a_generator_that_is_late_or_busy_is_the_limit(late_ms: float, cores: float, is_limit: bool) -> None:
    assert Generator(late_p99_ms=late_ms, cores=cores).is_limit is is_limit


def climbed(holds: Callable[[int], bool], most: int = 1024) -> list[int]:
    """The numbers of people that are tried where ``holds`` says which are carried."""
    levels: list[Level] = []
    while (users := next_users(levels, 500.0, most)) is not None:
        levels.append(level(users, 100.0 if holds(users) else 900.0))
    return [one.users for one in levels]


@pytest.mark.parametrize(
    ("limit", "tried"),
    [
        (0, [1]),
        (1, [1, 2]),
        (2, [1, 2, 4, 3]),
        (3, [1, 2, 4, 3]),
        (40, [1, 2, 4, 8, 16, 32, 64, 48]),
        (50, [1, 2, 4, 8, 16, 32, 64, 48]),
    ],
)
def test_people_double_until_they_are_too_many_and_are_halved_once(limit: int, tried: list[int]) -> None:
    assert climbed(lambda users: users <= limit) == tried


def test_no_more_than_the_most_are_tried() -> None:
    assert climbed(lambda _: True, most=10) == [1, 2, 4, 8, 10]


def test_carried_is_what_no_smaller_number_failed_at() -> None:
    assert carried_users([], 500.0) == 0
    assert carried_users([level(1), level(5, 900.0), level(10)], 500.0) == 1
    assert carried_users([level(1, 900.0), level(5)], 500.0) == 0


@pytest.mark.parametrize(("users", "seconds"), [(1, 60.0), (2, 40.0), (4, 20.0), (100, 20.0)])
def test_few_people_are_measured_longer(users: int, seconds: float) -> None:
    assert seconds_for(users, 20.0) == seconds


def test_numbers_of_people_are_read_and_put_in_order() -> None:
    assert parse_users("") == ()
    assert parse_users(" 10,1, 5,10") == (1, 5, 10)


@pytest.mark.parametrize("text", ["0", "1,,2", "a", "-1", "1.5", "10001", "²"])
def test_what_is_no_number_of_people_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_users(text)


def test_a_bench_is_saved_with_what_follows_from_it_and_read_again() -> None:
    bench = made(level(1), level(2, 700.0))
    shown = json.loads(json.dumps(as_json(bench)))
    assert (shown["carried"], shown["levels"][1]["why_not"]) == (1, "p95 of the response is 700 ms")
    assert (shown["levels"][0]["ok_share"], shown["levels"][0]["is_generator_the_limit"]) == (1.0, False)
    assert msgspec.json.decode(json.dumps(shown), type=Bench) == bench


def test_the_curve_is_in_the_order_of_people_and_marks_what_the_generator_spoilt() -> None:
    services = {"gateway": Use(cores=0.5, memory_mib=80.0), "broker": Use(cores=0.1, memory_mib=20.4)}
    spoilt = level(3, stop_p50_ms=80.4, services=services, generator=Generator(late_p99_ms=30.0))
    told = rows(made(level(1), level(4), spoilt))
    assert [cells[0] for cells in told] == ["1", "3*", "4"]
    assert dict(zip(HEADER, row(spoilt), strict=True)) == {
        "users": "3*", "turns": "50", "ok": "100.0%", "p50": "50", "p95": "100", "p99": "-",
        "typed p50": "-", "spoken p50": "-", "breaks": "0", "stop": "80", "gateway": "50%", "stt": "-",
        "llm": "-", "tts": "-", "broker": "10%", "MiB": "100", "late": "30.0",
    }  # fmt: skip
    assert dict(zip(HEADER, told[0], strict=True))["MiB"] == "-"


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        (
            (level(1), level(2)),
            "2 people at a time with p95 within 500 ms and no failure; more were not tried",
        ),
        (
            (level(1, 990.0, turns=9, ok=9),),
            "1 person with p50 (of only 9 answers) within 500 ms and no failure; more were not tried",
        ),
        (
            (level(1), level(4, 612.0)),
            "1 person with p95 within 500 ms and no failure; with 4: p95 of the response is 612 ms",
        ),
        (
            (level(1, 612.0, generator=Generator(cores=0.99)),),
            (
                "not one person with p95 within 500 ms and no failure; with 1: p95 of the response is 612 ms"
                " (the load generator was at its limit, too)"
            ),
        ),
    ],
)
def test_the_verdict_says_how_many_and_why_no_more(levels: tuple[Level, ...], told: str) -> None:
    assert verdict(made(*levels)) == told


def used(cores: float, memory_mib: float) -> dict[str, Use]:
    return {"gateway": Use(cores=cores, memory_mib=memory_mib)}


@pytest.mark.parametrize(
    ("before", "now", "worse"),
    [
        (level(8), level(8), []),
        (level(8), level(16, 300.0), []),
        (level(8, 100.0), level(8, 119.0), []),
        (level(8, 10.0), level(8, 29.0), []),
        (
            level(8, 100.0),
            level(8, 150.0),
            ["8 users: response p50 50 → 75 ms", "8 users: response p95 100 → 150 ms"],
        ),
        (level(8), level(8, response={"p50": 50.0, "p95": 100.0, "p99": 900.0}), []),
        (
            level(8),
            level(8, ok=49, failures={"mute": 1}),
            ["people carried: 8 → 0", "8 users: answers heard 100.0% → 98.0%"],
        ),
        (level(8), level(8, underrun_turns=1), []),
        (level(8), level(8, underrun_turns=2), ["8 users: answers with breaks 0.0% → 4.0%"]),
        (level(8, services=used(0.1, 50)), level(8, services=used(0.14, 60)), []),
        (level(8), level(8, services=used(0.9, 500)), []),
        (
            level(8, services=used(0.1, 50)),
            level(8, services=used(0.2, 70)),
            ["8 users: gateway 10 → 20 % of a core", "8 users: gateway 50 → 70 MiB"],
        ),
        (level(8), level(4), ["people carried: 8 → 4"]),
    ],
)
def test_what_is_clearly_worse_than_the_baseline_is_named(
    before: Level, now: Level, worse: list[str]
) -> None:
    assert regressions(made(before), made(now)) == worse


def test_what_makes_two_benches_hard_to_compare_is_named() -> None:
    assert differences(made(), made()) == []
    other = msgspec.structs.replace(MACHINE, cores=4)
    assert differences(made(), made(engines="own", machine=other, seed=1)) == ["engines", "machine", "seed"]
