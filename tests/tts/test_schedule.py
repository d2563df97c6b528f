from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tts.schedule import LATER_S, Place, Rules, Schedule

RULES = Rules(comfort_s=3.0, far_s=20.0, grace_s=0.005, hang_s=8.0)
AWAY_S = 0.001
"""Between two turns of one listener: it encodes."""


@dataclass
class Stream:
    """A listener whose every window takes ``cost_s`` to compute and is heard for ``window_s``."""

    cost_s: float
    window_s: float
    windows: int
    at: float = 0.0
    place: Place | None = None
    made: int = 0
    late: list[float] = field(default_factory=list)
    """By how much each window came after the listener had run dry; the first: how long it waited."""
    cancelled_at: float = float("inf")


def simulate(streams: Sequence[Stream], *, lanes: int = 1, until: float = 1000.0) -> Schedule:
    """Lets them be made on virtual time; a cancelled one does not ask again."""
    schedule = Schedule(lanes, RULES)
    ties = itertools.count()
    events: list[tuple[float, int, str, Stream | None]] = []
    by_place: dict[Place, Stream] = {}
    looks: set[float] = set()

    def plan(at: float, what: str, stream: Stream | None = None) -> None:
        heapq.heappush(events, (at, next(ties), what, stream))

    for stream in streams:
        plan(stream.at, "come", stream)
        if stream.cancelled_at < float("inf"):
            plan(stream.cancelled_at, "cancel", stream)
    while events:
        now, _, what, stream = heapq.heappop(events)
        assert now <= until, "it does not end"
        if what != "look":
            _happen(schedule, by_place, now, what, stream)
        if what == "done" and stream is not None and not stream.place.is_closed:  # type: ignore[union-attr]
            plan(now + AWAY_S, "ask", stream)
        for place in schedule.grant(now):
            granted = by_place[place]
            plan(now + granted.cost_s, "done", granted)
        if (at := schedule.changes_at(now)) is not None and at not in looks:
            looks.add(at)
            plan(at, "look")
    assert schedule.waiting == 0, "somebody was forgotten"
    return schedule


def _happen(
    schedule: Schedule, by_place: dict[Place, Stream], now: float, what: str, stream: Stream | None
) -> None:
    assert stream is not None
    if what == "come":
        stream.place = Place(now)
        by_place[stream.place] = stream
        schedule.ask(stream.place)
        return
    place = stream.place
    assert place is not None
    if what == "cancel":
        place.is_closed = True
        schedule.leave(place)
    elif what == "done":
        schedule.give_back(place, now)
        stream.late.append(now - place.dry_at)
        place.made(stream.window_s, now)
        stream.made += 1
        if stream.made == stream.windows:
            place.is_closed = True
            schedule.leave(place)
    elif not place.is_closed:
        schedule.ask(place)


def asking(schedule: Schedule, *places: Place) -> None:
    for place in places:
        schedule.ask(place)


def ahead(now: float, seconds: float) -> Place:
    """A listener that has so much sound left."""
    place = Place(now)
    place.made(seconds, now)
    return place


def test_who_asks_first_goes_first() -> None:
    schedule = Schedule(1, RULES)
    one, two = Place(1.0), Place(1.1)
    asking(schedule, two, one)
    assert schedule.grant(1.2) == [one]
    assert schedule.grant(1.2) == []
    schedule.give_back(one, 1.3)
    schedule.leave(one)
    assert schedule.grant(1.3) == [two]


def test_there_are_as_many_turns_as_lanes() -> None:
    schedule = Schedule(2, RULES)
    asking(schedule, *(places := [Place(float(number)) for number in range(3)]))
    assert schedule.grant(5.0) == places[:2]
    assert schedule.waiting == 1


def test_a_first_window_goes_before_the_later_windows_of_others() -> None:
    schedule = Schedule(1, RULES)
    old, new = ahead(10.0, 1.0), Place(10.2)
    asking(schedule, old, new)
    assert schedule.grant(10.2) == [new]


def test_who_is_about_to_run_dry_goes_before_a_first_window() -> None:
    schedule = Schedule(1, RULES)
    old, new = ahead(10.0, 0.25), Place(10.2)
    asking(schedule, new, old)
    assert schedule.grant(10.2) == [old]


def test_of_later_windows_the_one_that_runs_dry_soonest_goes_first() -> None:
    schedule = Schedule(1, RULES)
    rich, poor = ahead(0.0, 2.0), ahead(0.0, 1.0)
    asking(schedule, rich, poor)
    assert schedule.grant(0.0) == [poor]


def test_who_is_seconds_ahead_waits_while_anyone_is_behind_even_if_a_lane_is_free() -> None:
    schedule = Schedule(2, RULES)
    rich, poor = ahead(0.0, 5.0), ahead(0.0, 0.5)
    asking(schedule, rich, poor)
    assert schedule.grant(0.0) == [poor]
    assert schedule.changes_at(0.0) == pytest.approx(2.0)
    assert schedule.grant(2.0) == [rich]


def test_who_is_seconds_ahead_goes_on_when_the_one_behind_is_gone() -> None:
    schedule = Schedule(2, RULES)
    rich, poor = ahead(0.0, 5.0), ahead(0.0, 0.5)
    asking(schedule, rich, poor)
    assert schedule.grant(0.0) == [poor]
    poor.is_closed = True
    schedule.leave(poor)
    assert schedule.grant(0.1) == [rich]


def test_who_is_seconds_ahead_goes_on_when_it_is_alone() -> None:
    schedule = Schedule(1, RULES)
    asking(schedule, rich := ahead(0.0, 15.0))
    assert schedule.grant(0.0) == [rich]


def test_who_is_far_ahead_waits_in_any_case_until_it_is_needed() -> None:
    schedule = Schedule(1, RULES)
    asking(schedule, far := ahead(0.0, 25.0))
    assert schedule.grant(0.0) == []
    assert schedule.changes_at(0.0) == pytest.approx(5.0)
    assert schedule.grant(5.0) == [far]


def test_a_turn_that_is_about_to_end_is_not_held_back() -> None:
    schedule = Schedule(1, RULES)
    place = Place(0.0, hurry_at=3.0)
    place.made(100.0, 0.0)
    asking(schedule, place)
    assert schedule.grant(0.0) == []
    assert schedule.changes_at(0.0) == 3.0
    assert schedule.grant(3.0) == [place]


def test_a_lane_waits_a_moment_for_one_who_is_between_two_turns_and_due_sooner() -> None:
    schedule = Schedule(1, RULES)
    poor, rich = ahead(0.0, 0.3), ahead(0.0, 2.0)
    asking(schedule, poor)
    assert schedule.grant(0.0) == [poor]
    asking(schedule, rich)
    schedule.give_back(poor, 0.1)
    assert schedule.grant(0.1) == []
    assert schedule.changes_at(0.1) == pytest.approx(0.105)
    asking(schedule, poor)
    assert schedule.grant(0.102) == [poor]
    schedule.give_back(poor, 0.15)
    assert schedule.grant(0.154) == []
    assert schedule.grant(0.155) == [rich]


def test_a_lane_does_not_wait_for_one_who_is_due_later_or_gone() -> None:
    for is_closed in (False, True):
        schedule = Schedule(1, RULES)
        one, other = ahead(0.0, 0.5), ahead(0.0, 1.0)
        asking(schedule, one)
        schedule.grant(0.0)
        asking(schedule, other)
        if is_closed:
            one.is_closed = True
        else:
            one.made(2.0, 0.1)
        schedule.give_back(one, 0.1)
        assert schedule.grant(0.1) == [other]


def test_a_turn_that_hangs_loses_its_lane_to_another_for_good() -> None:
    schedule = Schedule(1, RULES)
    hung, one, two = Place(0.0), Place(1.0), Place(2.0)
    asking(schedule, hung)
    schedule.grant(0.0)
    asking(schedule, one, two)
    assert schedule.grant(7.9) == []
    assert schedule.changes_at(7.9) == pytest.approx(8.0)
    assert schedule.grant(8.0) == [one]
    schedule.give_back(hung, 8.1)  # it comes back after all: the lane is another's now
    assert schedule.grant(8.1) == []
    one.is_closed = True
    schedule.give_back(one, 8.2)
    assert schedule.grant(8.2) == [two]


def test_nobody_waiting_means_that_nothing_changes() -> None:
    schedule = Schedule(1, RULES)
    assert schedule.changes_at(0.0) is None
    asking(schedule, Place(0.0))
    schedule.grant(0.0)
    assert schedule.changes_at(0.0) is None


def test_one_who_leaves_gets_no_turn() -> None:
    schedule = Schedule(1, RULES)
    asking(schedule, place := Place(0.0))
    schedule.leave(place)
    schedule.leave(place)
    assert schedule.grant(0.0) == []


def test_a_listener_runs_dry_when_what_it_was_given_has_been_heard() -> None:
    place = Place(1.0)
    assert place.is_urgent
    assert place.dry_at == 1.0
    place.made(0.5, 1.2)  # heard from 1.2
    assert not place.is_urgent
    assert place.dry_at == pytest.approx(1.7)
    place.made(1.0, 1.3)
    assert place.dry_at == pytest.approx(2.7)
    place.made(1.0, 3.0)  # was dry for 0.3 s
    assert place.dry_at == pytest.approx(4.0)


def test_a_later_segment_is_due_when_the_one_before_it_has_been_heard() -> None:
    before = Place(0.0)
    place = Place(0.1, before=before)
    assert not place.is_urgent
    assert place.dry_at == pytest.approx(0.1 + LATER_S)
    before.made(3.0, 0.2)
    assert place.dry_at == pytest.approx(3.2 + LATER_S), "more of it is to come"
    before.is_closed = True
    assert place.dry_at == pytest.approx(3.2)
    place.made(0.5, 0.4)
    assert place.dry_at == pytest.approx(3.7)
    assert not place.is_urgent


def test_the_first_window_of_a_later_segment_waits_for_first_windows_that_are_awaited() -> None:
    schedule = Schedule(1, RULES)
    before = ahead(0.0, 2.0)
    before.is_closed = True
    known, unknown = Place(0.1, before=before), Place(0.1, is_awaited=False)
    asking(schedule, known, unknown, first := Place(0.2))
    order = []
    for step in range(3):
        now = 0.2 + step / 100
        (place,) = schedule.grant(now)
        place.is_closed = True
        schedule.give_back(place, now)
        order.append(place)
    assert order == [first, unknown, known]


streams_below_capacity = st.lists(
    st.tuples(st.floats(0.02, 1.0), st.integers(1, 12), st.floats(0.0, 5.0)), min_size=1, max_size=8
)


@settings(max_examples=80, deadline=None)
@given(streams_below_capacity, st.floats(0.3, 1.5), st.floats(0.1, 0.75))
def test_nobody_who_could_be_served_in_time_runs_dry(
    drawn: list[tuple[float, int, float]], window_s: float, load: float
) -> None:
    """All windows are of one length and their cost is ``load`` of it in all: each can be on time."""
    shares = sum(share for share, _, _ in drawn)
    costs = [load * window_s * share / shares for share, _, _ in drawn]
    streams = [
        Stream(cost, window_s, windows, at) for cost, (_, windows, at) in zip(costs, drawn, strict=True)
    ]
    simulate(streams)
    for stream in streams:
        assert stream.made == stream.windows
        assert stream.late[0] <= sum(costs) + max(costs) + len(drawn) * RULES.grace_s
        assert max(stream.late[1:], default=0.0) <= 1e-9 + len(drawn) * (AWAY_S + RULES.grace_s)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 0.3), st.floats(0.05, 2.0), st.integers(1, 20), st.floats(0.0, 3.0),
            st.none() | st.floats(0.0, 6.0),
        ),
        min_size=1, max_size=10,
    ),
    st.integers(1, 3),
)  # fmt: skip
def test_everybody_is_served_at_any_load_and_the_cancelled_vanish(
    drawn: list[tuple[float, float, int, float, float | None]], lanes: int
) -> None:
    streams = [
        Stream(cost, window, windows, at, cancelled_at=float("inf") if cancelled is None else at + cancelled)
        for cost, window, windows, at, cancelled in drawn
    ]
    schedule = simulate(streams, lanes=lanes)
    assert schedule.grant(2000.0) == []
    for stream in streams:
        assert stream.made == stream.windows or stream.cancelled_at < float("inf")


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.floats(1.2, 3.0), st.floats(0.2, 1.0))
def test_too_many_share_the_lane_evenly(count: int, load: float, window_s: float) -> None:
    """At more than it can carry all are late, and none much later than another."""
    streams = [Stream(load * window_s / count, window_s, 12) for _ in range(count)]
    simulate(streams)
    late = [sum(stream.late) for stream in streams]
    assert max(late) - min(late) <= window_s + 2 * load * window_s


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.floats(0.05, 0.6))
def test_a_newcomer_is_heard_within_a_few_turns_however_many_are_well_ahead(
    count: int, cost_s: float
) -> None:
    """Those ahead have 2..4 s each and go on at 10 times real time."""
    old = [Stream(cost_s, 10 * cost_s, 40) for _ in range(count)]
    new = Stream(cost_s, 10 * cost_s, 3, at=count * cost_s * 4)
    simulate([*old, new])
    assert new.late[0] <= 3 * cost_s + RULES.grace_s
