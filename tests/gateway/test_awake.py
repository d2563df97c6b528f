"""The clock that stands still while its process does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.awake import LATE_S, LOOK_EVERY_S, Awake

MOST_S = LOOK_EVERY_S + LATE_S


class World:
    """The time outside."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_while_nobody_looks_every_second_counts() -> None:
    world = World()
    awake = Awake(world)
    world.now += 60.0
    assert awake() == 160.0


def test_a_process_that_lives_sees_all_of_the_time() -> None:
    world = World()
    awake = Awake(world)
    for _ in range(40):
        awake.look()
        world.now += LOOK_EVERY_S
    assert awake() == pytest.approx(100.0 + 40 * LOOK_EVERY_S)


def test_a_stand_still_counts_for_no_more_than_a_late_look_before_and_behind_the_next_one() -> None:
    world = World()
    awake = Awake(world)
    awake.look()
    world.now += 3600.0
    assert awake() == 100.0 + MOST_S
    awake.look()
    assert awake() == pytest.approx(100.0 + MOST_S)
    world.now += 0.1
    assert awake() == pytest.approx(100.1 + MOST_S)


def test_where_nobody_looks_any_more_it_goes_on_from_where_it_was() -> None:
    world = World()
    awake = Awake(world)
    awake.look()
    world.now += 60.0
    awake.look_away()
    world.now += 60.0
    assert awake() == pytest.approx(160.0 + MOST_S)


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from(["look", "look_away", "read"])), max_size=40))
def test_it_never_goes_back_nor_faster_than_the_world(story: list[tuple[float, str]]) -> None:
    world = World()
    awake = Awake(world)
    shown, at = awake(), world.now
    for wait_s, what in story:
        world.now += wait_s
        before = awake()
        if what != "read":
            getattr(awake, what)()
        assert awake() == pytest.approx(before, abs=1e-6)
        assert shown - 1e-6 <= awake() <= shown + (world.now - at) + 1e-6
        shown, at = awake(), world.now
