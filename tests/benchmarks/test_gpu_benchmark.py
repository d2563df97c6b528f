from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import Wanted, run
from benchmarks.gpu.measure import BATCHES, Gpu, Heard, Load, Meter, loads
from benchmarks.gpu.report import NO_GPU, limit, page
from services.tts import device
from services.tts.device_watch import Reading, Unanswered
from tests.models import tiny_vits, tiny_voice


@pytest.mark.skipif(device.cuda_is_listed(), reason="this machine has CUDA")
def test_without_a_gpu_the_cpu_is_measured_and_the_page_says_why(tmp_path: Path) -> None:
    voice = tiny_vits.build(tmp_path / "en_US-vits-low.onnx")
    text = page(run(Wanted(voice=voice, count=1, seconds=0.05, most=2, threads=1, sizes=(1, 2))))
    assert f"{NO_GPU}: the installed ONNX Runtime has no CUDA" in text
    assert "make setup GPU=1" in text
    for row in (
        "cpu, whole graph, 3 words, first audio",
        "cpu, 3 words, first audio",
        "cpu, 40 words, whole",
        "cpu, 32 frames",
        "| cpu, 1 |",
    ):
        assert row in text
    assert "Real-time factor over all: cpu" in text
    assert "Carried in real time" in text


@pytest.mark.skipif(device.cuda_is_listed(), reason="this machine has CUDA")
def test_a_voice_that_does_not_split_is_measured_without_windows(tmp_path: Path) -> None:
    voice = tiny_voice.install(tmp_path)
    results = run(Wanted(voice=voice, count=1, seconds=0.01, most=1, threads=1))
    assert "it has no windows" in page(results)
    assert results.bindings == {}


def heard(*pieces: tuple[float, float]) -> Heard:
    """A sentence asked for at 0 whose pieces are (seconds, when they came)."""
    one = Heard(0.0)
    for seconds, now in pieces:
        one.take(seconds, now)
    return one


def test_a_piece_behind_the_end_of_what_is_played_is_a_gap_and_one_in_time_is_none() -> None:
    assert heard((1.0, 0.1), (1.0, 1.0), (1.0, 2.1)).gaps_s == []
    late = heard((1.0, 0.1), (1.0, 1.6))
    assert late.gaps_s == [pytest.approx(0.5)]
    assert late.first_s == pytest.approx(0.1)
    assert late.played_to == pytest.approx(2.6)


def test_streams_are_doubled_until_they_break_off_and_the_last_that_held_is_the_limit() -> None:
    good, bad = heard((1.0, 0.1)), heard((0.1, 0.1), (0.1, 5.0))

    def step(streams: int) -> Load:
        return Load(streams=streams, heard=[bad if streams > 4 else good], gpu=Gpu())

    tried = list(loads(step, 64))
    assert [one.streams for one in tried] == [1, 2, 4, 8]
    assert limit(tried) == 4
    assert limit([step(8)]) == 0
    assert [one.streams for one in loads(step, 2)] == [1, 2]


def test_what_a_card_did_is_told_by_its_mean_and_its_most() -> None:
    seen = iter([Reading(utilisation=0.2, memory_bytes=5, celsius=40.0), Unanswered(10, "odd")])
    last, is_seen = Reading(utilisation=0.6, memory_bytes=3, celsius=50.0), threading.Semaphore(0)

    def look() -> Reading | Unanswered:
        is_seen.release()
        return next(seen, last)

    meter = Meter(look)
    with meter:
        assert all(is_seen.acquire(timeout=60) for _ in range(3))
    told = meter.seen()
    assert 0.2 < (told.utilisation or 0) < 0.6
    assert (told.memory_bytes, told.celsius) == (5, 50.0)
    assert Meter(None).seen() == Gpu()
    assert BATCHES[0] == 1
