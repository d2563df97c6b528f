"""How much one client may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rates import (
    FRAMES_BURST,
    MESSAGES_BURST,
    MESSAGES_S,
    PATIENCE_S,
    SOUND_BURST_S,
    SOUND_S,
    Bucket,
    Intake,
    Verdict,
    body_due_s,
)


def test_who_talks_is_never_over_the_rate() -> None:
    intake = Intake()
    assert {intake.sound(0.02, 0.02 * frame) for frame in range(50 * 600)} == {Verdict.TAKE}


def test_a_client_that_was_stalled_may_catch_up() -> None:
    intake = Intake()
    assert {intake.sound(0.02, 100.0) for _ in range(50 * 30)} == {Verdict.TAKE}


def test_sound_at_thrice_its_pace_is_told_once_then_dropped_then_closed() -> None:
    intake = Intake()
    seen: list[Verdict] = []
    for frame in range(50 * 200):
        verdict = intake.sound(0.06, 0.02 * frame)
        if not seen or verdict is not seen[-1]:
            seen.append(verdict)
        if verdict is Verdict.CLOSE:
            assert 0.02 * frame > SOUND_BURST_S / (3.0 - SOUND_S)
            break
    assert seen[:2] == [Verdict.TAKE, Verdict.COMPLAIN]
    assert seen[-1] is Verdict.CLOSE
    assert seen.count(Verdict.COMPLAIN) == 1


def test_a_flood_of_tiny_frames_is_over_the_rate_though_it_holds_little_sound() -> None:
    intake = Intake()
    verdicts = [intake.sound(0.0001, 0.0) for _ in range(int(FRAMES_BURST) + 2)]
    assert verdicts[-2:] == [Verdict.COMPLAIN, Verdict.DROP]
    assert set(verdicts[:-2]) == {Verdict.TAKE}


def test_messages_have_a_rate_of_their_own() -> None:
    intake = Intake()
    assert {intake.message(0.0) for _ in range(int(MESSAGES_BURST))} == {Verdict.TAKE}
    assert intake.message(0.0) is Verdict.COMPLAIN
    assert intake.message(1 / MESSAGES_S) is Verdict.TAKE
    assert intake.sound(0.02, 0.0) is Verdict.TAKE


def test_who_was_told_and_stops_may_go_on_and_is_told_anew_the_next_time() -> None:
    intake = Intake()
    for _ in range(int(MESSAGES_BURST)):
        intake.message(0.0)
    assert intake.message(0.0) is Verdict.COMPLAIN
    assert intake.message(1.0) is Verdict.TAKE
    later = 1.0 + 10 * PATIENCE_S
    while intake.message(later) is Verdict.TAKE:
        pass
    assert intake.message(later) is Verdict.DROP  # the one before it was the complaint
    assert intake.message(later + 2 * PATIENCE_S) is Verdict.TAKE


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3)), max_size=50), st.floats(0.1, 5), st.floats(1, 9))
def test_a_bucket_gives_no_more_than_its_burst_and_its_rate(
    takes: list[tuple[float, float]], per_s: float, burst: float
) -> None:
    bucket, now, taken = Bucket(per_s, burst), 10.0, 0.0
    for amount, wait_s in takes:
        now += wait_s
        taken += amount if bucket.take(amount, now) else 0.0
        assert taken <= burst + per_s * (now - 10.0) + 1e-6


def test_time_that_runs_backwards_gives_nothing() -> None:
    bucket = Bucket(1.0, 1.0)
    assert bucket.take(1.0, 5.0)
    assert not bucket.take(0.5, 4.0)


def test_a_body_earns_its_time_by_what_has_come() -> None:
    assert body_due_s(0, 10.0) == 10.0
    assert body_due_s(20_480, 10.0) == pytest.approx(20.0)
