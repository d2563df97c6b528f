from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

import numpy as np
import pytest

from services.tts.batch import GAIN, Batch, CallHangs, most, times
from services.tts.crops import NOTHING, Dropped
from services.tts.device import Array
from services.tts.gathering import Gathering, gathering
from services.tts.threads import Threads

WAIT_S = 60.0


@pytest.fixture
def threads() -> Iterator[Threads]:
    pool = Threads(16, "test")
    yield pool
    pool.shutdown()


class Decoder:
    """Doubles numbers; the first call waits until it may end."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.is_in_call, self.may_end = threading.Event(), threading.Event()

    def __call__(self, windows: Sequence[int]) -> list[int]:
        self.calls.append(list(windows))
        if len(self.calls) == 1:
            self.is_in_call.set()
            assert self.may_end.wait(WAIT_S)
        if -1 in windows and len(windows) > 1:
            raise MemoryError
        if -1 in windows:
            raise ValueError("a bad window")
        return [2 * window for window in windows]


def gathered(
    batch: Batch[int, int], decoder: Decoder, threads: Threads, windows: Sequence[int]
) -> list[Future[int]]:
    """Has one window in a call that lasts, and the others come meanwhile, in order."""
    futures = [threads.submit(batch, 0, "kind")]
    assert decoder.is_in_call.wait(WAIT_S)
    patience = threading.Event()
    for count, window in enumerate(windows, 1):
        futures.append(threads.submit(batch, window, "other" if window >= 100 else "kind"))
        for _ in range(2000):
            if len(batch._asked) == count:
                break
            patience.wait(0.005)  # nothing announces it
    return futures


def test_a_lone_window_goes_at_once_and_alone() -> None:
    decoder = Decoder()
    decoder.may_end.set()
    batch: Batch[int, int] = Batch(decoder, most=4)
    assert [batch(number, "kind") for number in range(3)] == [0, 2, 4]
    assert decoder.calls == [[0], [1], [2]]


def test_those_who_come_during_a_call_go_together_in_the_next_as_far_as_they_are_alike(
    threads: Threads,
) -> None:
    decoder = Decoder()
    batch: Batch[int, int] = Batch(decoder, most=4)
    futures = gathered(batch, decoder, threads, [1, 2, 100, 3, 4, 5])
    decoder.may_end.set()
    assert [future.result(WAIT_S) for future in futures] == [0, 2, 4, 200, 6, 8, 10]
    assert decoder.calls == [[0], [1, 2, 3, 4], [100], [5]]


def test_where_it_does_not_pay_each_goes_alone_in_order(threads: Threads) -> None:
    decoder = Decoder()
    batch: Batch[int, int] = Batch(decoder, most=1)
    futures = gathered(batch, decoder, threads, [1, 2, 3])
    decoder.may_end.set()
    assert [future.result(WAIT_S) for future in futures] == [0, 2, 4, 6]
    assert decoder.calls == [[0], [1], [2], [3]]


def test_nobody_fails_by_another_s_window(threads: Threads) -> None:
    decoder = Decoder()
    batch: Batch[int, int] = Batch(decoder, most=4)
    futures = gathered(batch, decoder, threads, [1, -1, 3])
    decoder.may_end.set()
    assert [futures[number].result(WAIT_S) for number in (0, 1, 3)] == [0, 2, 6]
    with pytest.raises(ValueError, match="a bad window"):
        futures[2].result(WAIT_S)
    assert decoder.calls == [[0], [1, -1, 3], [1], [-1], [3]]


def test_a_call_that_hangs_does_not_hold_up_the_next_and_those_in_it_are_told(threads: Threads) -> None:
    is_hung, may_end = threading.Event(), threading.Event()
    calls: list[list[int]] = []

    def decode(windows: Sequence[int]) -> list[int]:
        calls.append(list(windows))
        if len(calls) == 2:
            is_hung.set()
            may_end.wait(WAIT_S)
        elif len(calls) == 1:
            first_may_end.wait(WAIT_S)
        return list(windows)

    first_may_end = threading.Event()
    batch: Batch[int, int] = Batch(decode, most=2, hang_s=0.1)
    patience = threading.Event()
    one = threads.submit(batch, 1, "kind")
    while not calls:
        patience.wait(0.001)
    pair = [threads.submit(batch, number, "kind") for number in (2, 3)]
    while len(batch._asked) < 2 and len(calls) < 2:
        patience.wait(0.001)
    first_may_end.set()
    assert one.result(WAIT_S) == 1
    assert is_hung.wait(WAIT_S)
    if len(calls[1]) == 2:  # on a machine that stood still the pair may not have gone together
        (told,) = wait(pair, WAIT_S, FIRST_COMPLETED).done  # the other one is in the call
        assert isinstance(told.exception(), CallHangs)
    assert threads.submit(batch, 4, "kind").result(WAIT_S) == 4
    may_end.set()


@pytest.mark.parametrize(
    ("times_s", "size"),
    [
        ({1: 0.018, 2: 0.035, 4: 0.087}, 1),  # the true architecture on two cores
        ({1: 0.010}, 1),
        ({1: 0.010, 2: 0.011, 4: 0.013, 8: 0.020}, 8),
        ({1: 0.010, 2: 0.011, 4: 0.013, 8: 0.065}, 4),
        ({1: 0.010, 2: 0.015}, 2),
        ({1: 0.010, 2: 0.0161}, 1),
    ],
)
def test_a_batch_is_as_large_as_pays_best(times_s: dict[int, float], size: int) -> None:
    assert most(times_s) == size


def test_times_are_measured_until_a_size_does_not_pay() -> None:
    now = 0.0
    sizes: list[int] = []

    def decode(size: int) -> None:
        nonlocal now
        is_first = size not in sizes
        sizes.append(size)
        now += (1.0 if is_first else 0.0) + {1: 0.010, 2: 0.012, 4: 0.040, 8: 0.041}[size]

    found = times(decode, clock=lambda: now)
    assert found == pytest.approx({1: 0.010, 2: 0.012, 4: 0.040})
    assert most(found) == 2


def test_a_decoder_whose_calls_cost_the_same_however_full_is_gathered_for(threads: Threads) -> None:
    now = 0.0

    def cost(_size: int) -> None:
        nonlocal now
        now += 0.010

    size = most(times(cost, clock=lambda: now))
    assert size == 8
    decoder = Decoder()
    batch: Batch[int, int] = Batch(decoder, most=size)
    futures = gathered(batch, decoder, threads, list(range(1, 9)))
    decoder.may_end.set()
    assert [future.result(WAIT_S) for future in futures] == [2 * number for number in range(9)]
    assert decoder.calls == [[0], list(range(1, 9))], "9 windows in 2 calls"


def test_a_batch_must_beat_the_lanes_that_it_replaces() -> None:
    measured = {1: 0.010, 2: 0.012, 4: 0.015}
    assert most(measured, lanes=1) == 4
    assert most(measured, lanes=2) == 4
    assert most(measured, lanes=4) == 1
    assert most({1: 0.010, 2: 0.012}, lanes=2) == 1


def test_a_size_for_which_there_is_no_room_is_not_used() -> None:
    now = 0.0

    def decode(size: int) -> None:
        nonlocal now
        if size == 4:
            raise MemoryError
        now += 0.010

    found = times(decode, clock=lambda: now)
    assert most(found) == 2
    with pytest.raises(MemoryError):
        times(_no_room)


def _no_room(_: int) -> None:
    raise MemoryError


class Cheap:
    """A decoder whose call takes as long however many windows are in it, like a card's."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def decode_batch(
        self, windows: Sequence[Array], borders: Sequence[Mapping[str, Array]], drop: Dropped = NOTHING
    ) -> list[Array]:
        self.sizes.append(len(windows))
        time.sleep(0.01)  # what a call costs
        return [window.sum(axis=1) * border["g"] for window, border in zip(windows, borders, strict=True)]


def test_windows_keep_their_own_borders_whether_or_not_they_are_gathered(threads: Threads) -> None:
    for size in (1, 4):
        one = Gathering(Cheap(), size=size)
        windows = [np.full((1, 3, 8), number, np.float32) for number in range(8)]
        borders = [{"g": np.array([number], np.float32)} for number in range(8)]
        made = [
            threads.submit(one.decode, window, border)
            for window, border in zip(windows, borders, strict=True)
        ]
        for number, future in enumerate(made):
            assert future.result(WAIT_S).tolist() == [[3.0 * number * number] * 8]


def test_a_voice_is_measured_when_it_is_loaded() -> None:
    decoder = Cheap()
    made = gathering(decoder, channels=3, borders={"g": np.ones(1, np.float32)}, lanes=1000)
    assert made.size == 1, "nothing beats so many lanes"
    assert decoder.sizes == [1] * 4 + [2] * 4


def test_a_decoder_that_computes_one_after_the_other_is_not() -> None:
    now = 0.0

    def decode(size: int) -> None:
        nonlocal now
        now += 0.010 * size

    assert most(times(decode, clock=lambda: now)) == 1
    assert pytest.approx(0.8) == GAIN
