from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.stt.pace import Pace, pace


def fresh(*, learnt_ms: float = 0.0) -> Pace:
    return pace(start_ms=500, learnt_ms=learnt_ms, shortest_ms=300, longest_ms=1200)


def after(pauses: list[float]) -> float:
    state = fresh()
    for pause_ms in pauses:
        state = state.paused(pause_ms)
    return state.expected_ms


def test_it_begins_with_what_the_session_asks_for_and_is_not_learnt() -> None:
    assert fresh().expected_ms == 500
    assert not fresh().is_learnt


def test_what_was_learnt_elsewhere_is_where_it_begins() -> None:
    assert fresh(learnt_ms=800).expected_ms == 800
    assert fresh(learnt_ms=800).is_learnt


def test_the_beginning_keeps_within_the_bounds() -> None:
    assert pace(start_ms=2000, learnt_ms=0, shortest_ms=300, longest_ms=1200).expected_ms == 1200
    assert pace(start_ms=100, learnt_ms=9000, shortest_ms=300, longest_ms=1200) == Pace(
        expected_ms=1200, start_ms=300, shortest_ms=300, longest_ms=1200, is_learnt=True
    )


def test_long_pauses_pull_harder_than_short_ones() -> None:
    assert after([900]) - 500 > 3 * (500 - after([100]))


def test_it_settles_above_most_pauses_of_a_person() -> None:
    pauses = [300.0, 500.0, 700.0, 900.0] * 40
    assert 700 < after(pauses) < 900


def test_who_hardly_pauses_is_waited_for_less() -> None:
    assert after([150.0] * 60) < 350


def test_a_cut_in_counts_at_once() -> None:
    assert fresh().cut_in(1000).expected_ms == 700
    assert fresh().cut_in(200).expected_ms == 500  # the threshold was not to blame


def test_turns_that_end_well_are_slowly_forgiving() -> None:
    state = fresh().cut_in(1000)
    for _ in range(60):
        state = state.ended()
    assert 500 < state.expected_ms < 520


def test_a_turn_alone_teaches_nothing() -> None:
    assert not fresh().ended().is_learnt


@given(st.lists(st.tuples(st.sampled_from(["paused", "cut_in"]), st.floats(0, 60_000))))
def test_it_never_leaves_its_bounds(events: list[tuple[str, float]]) -> None:
    state = fresh()
    for name, pause_ms in events:
        state = getattr(state, name)(pause_ms).ended()
        assert 300 <= state.expected_ms <= 1200
