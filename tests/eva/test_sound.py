"""The player's thread, on an output that keeps what it is given."""

import contextlib
import threading
import time

import numpy as np
import pytest

from eva.playback import LONGEST_S, SLICE_MS
from eva.sound import Player, SoundOverrun
from tests.fakes.devices import Tape

RATE_HZ = 8000


def ramp(count: int) -> bytes:
    return np.arange(count, dtype=np.int16).tobytes()


def test_everything_is_played_before_the_player_is_left_and_not_faster_than_time_goes() -> None:
    tape = Tape()
    began_s = time.monotonic()
    with Player(tape, RATE_HZ) as player:
        player.play("a", ramp(1600))
        player.play("a", ramp(1600))
    assert bytes(tape.pcm) == ramp(1600) * 2
    assert tape.is_closed
    assert time.monotonic() - began_s > 0.3


def test_a_held_answer_stands_still_and_goes_on_at_the_next_sample() -> None:
    tape = Tape()
    with Player(tape, RATE_HZ) as player:
        player.play("a", ramp(4000))
        tape.until(800)
        player.hold()
        standing = len(tape.pcm)
        assert player.played_ms("a") == pytest.approx(standing / 2 / RATE_HZ * 1000, abs=SLICE_MS + 1)
        held_ms = player.played_ms("a")
        assert not tape.grows_within(0.15, beyond=round(held_ms * RATE_HZ / 1000) * 2)
        assert player.played_ms("a") == held_ms
        player.go_on()
    assert bytes(tape.pcm) == ramp(4000)


def test_a_dropped_answer_is_not_heard_and_the_next_one_is() -> None:
    tape = Tape()
    with Player(tape, RATE_HZ) as player:
        player.play("a", ramp(320_000))
        tape.until(400)
        player.drop()
        player.play("b", b"\7\0" * 100)
    assert bytes(tape.pcm[-200:]) == b"\7\0" * 100
    assert len(tape.pcm) < 320_000  # half of it


def test_leaving_in_an_error_or_while_held_waits_for_nothing() -> None:
    tape = Tape()
    began_s = time.monotonic()
    with contextlib.suppress(RuntimeError), Player(tape, RATE_HZ) as player:
        player.play("a", ramp(320_000))
        raise RuntimeError
    with Player(Tape(), RATE_HZ) as player:
        player.play("a", ramp(320_000))
        player.hold()
    assert time.monotonic() - began_s < 30  # not the 40 s of each


def test_an_output_that_is_gone_ends_no_conversation() -> None:
    tape = Tape()
    tape.is_broken = True
    with Player(tape, RATE_HZ) as player:
        player.play("a", ramp(400))
    assert player.is_broken
    assert tape.is_closed


def test_a_flood_of_sound_is_refused() -> None:
    minute = bytes(2 * RATE_HZ * 60)
    with Player(Tape(), RATE_HZ) as player:
        for _ in range(int(LONGEST_S / 60) + 1):
            player.play("a", minute)
        with pytest.raises(SoundOverrun):
            player.play("a", minute)
        player.drop()
    assert not [thread for thread in threading.enumerate() if thread.name == "player"]
