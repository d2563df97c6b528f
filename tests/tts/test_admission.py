from __future__ import annotations

import pytest

from services.tts.admission import Capacity, lanes, slots


def capacity(speed: float, lanes: int = 2) -> Capacity:
    return Capacity(device="cpu", lanes=lanes, speed=speed)


@pytest.mark.parametrize(
    ("cores", "threads", "count"),
    [(2, 1, 2), (2, 2, 2), (8, 2, 8), (8, 3, 5), (2, 4, 1), (1, 1, 1), (1, 4, 1)],
)
def test_a_processor_has_two_lanes_for_each_synthesis_of_several_threads_that_its_cores_carry(
    cores: int, threads: int, count: int
) -> None:
    assert lanes("cpu", cores=cores, threads=threads) == count


@pytest.mark.parametrize(("batch", "count"), [(1, 2), (4, 4), (8, 8)])
def test_a_card_has_a_lane_for_each_window_of_a_batch(batch: int, count: int) -> None:
    assert lanes("cuda:0", cores=16, threads=1, batch=batch) == count


def test_streams_are_a_share_of_what_the_lanes_make_in_real_time() -> None:
    measured = capacity(20.0)
    assert measured.real_time_factor == pytest.approx(0.1)
    assert measured.streams == 9  # 2 lanes × 0.45 / 0.1


@pytest.mark.parametrize(("speed", "streams"), [(0.5, 4), (12.4, 5), (1e6, 64)])
def test_streams_are_bounded(speed: float, streams: int) -> None:
    assert capacity(speed).streams == streams


def test_what_was_not_measured_is_taken_to_carry_a_stream_for_each_lane() -> None:
    assert slots(capacity(20.0), lanes=2) == 9
    assert slots(None, lanes=9) == 9
    assert slots(None, lanes=1) == 4
