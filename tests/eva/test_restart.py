from hypothesis import given
from hypothesis import strategies as st

from eva.restart import CALM_S, FIRST_S, LONGEST_S, Deaths, after_death


def test_the_first_death_is_answered_at_once_and_each_further_one_twice_as_late() -> None:
    deaths, delays = Deaths(), []
    for _ in range(8):
        restart = after_death(deaths, exit_code=1, alive_s=0.1)
        deaths = restart.deaths
        delays.append(restart.delay_s)
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert deaths == Deaths(in_row=8, total=8)


def test_a_calm_life_earns_a_clean_slate_but_is_still_counted() -> None:
    restart = after_death(Deaths(in_row=6, total=9), exit_code=-9, alive_s=CALM_S)
    assert restart.delay_s == FIRST_S
    assert restart.deaths == Deaths(in_row=1, total=10)


def test_settings_and_engines_that_cannot_work_are_tried_again_slowly() -> None:
    for code in (2, 3):
        assert after_death(Deaths(), exit_code=code, alive_s=0.1).delay_s == LONGEST_S


@given(st.integers(0, 10**9), st.integers(-64, 255), st.floats(0, 1e9))
def test_the_delay_is_always_within_its_bounds(in_row: int, exit_code: int, alive_s: float) -> None:
    restart = after_death(Deaths(in_row=in_row, total=in_row), exit_code=exit_code, alive_s=alive_s)
    assert FIRST_S <= restart.delay_s <= LONGEST_S
