import math

import numpy as np
import pytest

from eva.playback import AHEAD_S, LONGEST_S, SLICE_MS, Playback

RATE_HZ = 1000
SLICE = SLICE_MS * RATE_HZ // 1000


def samples(first: int, count: int) -> bytes:
    return np.arange(first, first + count, dtype="<i2").tobytes()


def run(playback: Playback, since: float, until: float) -> list[bytes]:
    """What a device is given while time goes by in steps of a millisecond."""
    given = []
    for now in np.arange(since, until, 0.001):
        while piece := playback.take(float(now)):
            given.append(piece)
    return given


def test_sound_is_given_in_small_slices_hardly_ahead_of_its_time_and_whole() -> None:
    playback = Playback(RATE_HZ)
    playback.add("a", samples(0, 505))
    first = run(playback, 10.0, 10.2)
    assert all(len(piece) == 2 * SLICE for piece in first)
    assert 0.2 <= sum(map(len, first)) / 2 / RATE_HZ < 0.2 + AHEAD_S
    given = first + run(playback, 10.2, 11.0)
    assert b"".join(given) == samples(0, 505)
    assert playback.is_empty


def test_what_is_held_is_silent_within_60_ms_and_goes_on_at_the_next_sample() -> None:
    playback = Playback(RATE_HZ)
    playback.add("a", samples(0, 1000))
    before = b"".join(run(playback, 0.0, 0.3))
    playback.hold()
    assert 0 <= len(before) / 2 / RATE_HZ - 0.3 < 0.06
    assert run(playback, 0.3, 2.0) == []
    assert playback.due_s(1.0) is None
    playback.add("a", samples(1000, 100))
    assert run(playback, 2.0, 3.0) == []
    playback.go_on()
    assert before + b"".join(run(playback, 3.0, 5.0)) == samples(0, 1100)


def test_how_much_was_heard_follows_the_clock_and_stands_still_while_held() -> None:
    playback = Playback(RATE_HZ)
    assert playback.played_ms("a", 0.0) == 0
    playback.add("a", samples(0, 1000))
    run(playback, 5.0, 5.4)
    assert playback.played_ms("a", 5.4) == pytest.approx(400, abs=2)
    assert playback.played_ms("b", 5.4) == 0
    playback.hold()
    held_ms = playback.played_ms("a", 5.4)
    assert 400 <= held_ms < 460
    assert playback.played_ms("a", 9.0) == held_ms
    playback.go_on()
    run(playback, 9.0, 9.1)
    assert playback.played_ms("a", 9.1) == pytest.approx(held_ms + 100, abs=2)


def test_what_was_dropped_is_never_given_and_what_comes_next_is() -> None:
    playback = Playback(RATE_HZ)
    playback.add("a", samples(0, 1000))
    run(playback, 0.0, 0.1)
    playback.hold()
    playback.drop()
    assert playback.is_empty
    playback.add("b", samples(7, 40))
    assert b"".join(run(playback, 0.1, 1.0)) == samples(7, 40)
    assert playback.turn_id == "b"
    assert playback.played_ms("b", 1.0) == 40


def test_a_gap_in_what_comes_is_not_made_up_for_by_hurrying() -> None:
    playback = Playback(RATE_HZ)
    playback.add("a", samples(0, 100))
    run(playback, 0.0, 1.0)
    playback.add("a", samples(100, 1000))
    given = b"".join(run(playback, 1.0, 1.1))
    assert len(given) / 2 / RATE_HZ < 0.1 + AHEAD_S


def test_what_waits_is_bounded() -> None:
    playback = Playback(RATE_HZ)
    piece = bytes(2 * RATE_HZ * 60)
    taken = sum(playback.add("a", piece) for _ in range(20))
    assert taken == math.floor(LONGEST_S / 60) + 1
    assert playback.add("a", b"") is False
    playback.drop()
    assert playback.add("a", b"")
    assert playback.is_empty
