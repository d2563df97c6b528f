from __future__ import annotations

import threading
from pathlib import Path

import pytest

from services.tts import nvml
from services.tts.device_watch import HANGS_S, Reading, Unanswered, Vigil, place_of, process_bytes
from tests.fakes.nvml import GPU_IS_LOST, NOT_SUPPORTED, TIMEOUT, FakeNvml

READING = Reading(utilisation=0.5, memory_bytes=10, celsius=40.0)


def test_a_card_that_answers_is_not_lost_and_its_figures_are_told() -> None:
    vigil = Vigil()
    assert vigil.lost(0.0) == ""
    assert vigil.reading(0.0).numbers() == {}
    vigil.begin(0.0)
    vigil.end(READING)
    assert vigil.lost(1000.0) == ""
    assert vigil.reading(1.0).numbers() == {
        "gpu_utilisation": 0.5, "gpu_memory_bytes": 10.0, "gpu_temperature": 40.0,
    }  # fmt: skip


def test_a_driver_that_says_lost_is_believed_at_once_and_for_good() -> None:
    vigil = Vigil()
    vigil.end(READING)
    vigil.end(Unanswered(GPU_IS_LOST, "GPU is lost"))
    assert vigil.lost(0.0) == "GPU is lost"
    assert vigil.reading(0.0).numbers() == {}
    vigil.end(READING)
    assert vigil.lost(0.0) == "GPU is lost"


def test_one_odd_answer_is_forgiven_and_three_on_end_are_not_until_it_answers() -> None:
    vigil = Vigil()
    odd = Unanswered(TIMEOUT, "Timeout")
    vigil.end(odd)
    vigil.end(odd)
    vigil.end(READING)
    vigil.end(odd)
    vigil.end(odd)
    assert vigil.lost(0.0) == ""
    vigil.end(odd)
    assert vigil.lost(0.0) == "the driver does not answer (Timeout)"
    vigil.end(READING)
    assert vigil.lost(0.0) == ""


def test_a_look_that_never_comes_back_is_a_loss_within_ten_seconds() -> None:
    vigil = Vigil()
    vigil.begin(100.0)
    assert vigil.lost(100.0 + HANGS_S - 0.1) == ""
    assert "has not answered for 6 s" in vigil.lost(100.0 + HANGS_S)
    vigil.end(READING)
    assert vigil.lost(1000.0) == ""


@pytest.mark.parametrize(
    ("index", "visible", "place"),
    [
        (0, None, 0),
        (1, None, 1),
        (0, "2,3", 2),
        (1, "2, 3", 3),
        (1, "GPU-aaaa,GPU-bbbb", "GPU-bbbb"),
        (0, "", 0),
        (4, "2,3", 4),
    ],
)
def test_the_driver_s_number_of_a_card_follows_what_cuda_may_see(
    index: int, visible: str | None, place: int | str
) -> None:
    assert place_of(index, visible) == place


def test_memory_of_a_process_is_unknown_where_the_driver_lists_other_numbers() -> None:
    assert process_bytes([(1, 5), (7, 9)], 7) == 9
    assert process_bytes([(1, 5)], 7) is None
    assert process_bytes([(7, None)], 7) is None


def test_a_card_tells_all_its_figures() -> None:
    card = nvml.find(FakeNvml(), 0, "GPU-bbbb")
    assert card is not None
    assert card.name == "Card 1"
    assert card.look() == Reading(
        utilisation=0.26, memory_bytes=1 << 30, memory_total_bytes=8 << 30, process_bytes=300 << 20,
        celsius=61,
    )  # fmt: skip


def test_a_figure_that_a_card_does_not_have_is_left_out() -> None:
    library = FakeNvml()
    library.failing = dict.fromkeys(("rates", "memory", "processes", "temperature"), NOT_SUPPORTED)
    card = nvml.find(library, 0, None)
    assert card is not None
    assert card.look() == Reading()


def test_a_lost_card_is_an_answer_with_its_code() -> None:
    library = FakeNvml()
    card = nvml.find(library, 1, None)
    library.failing = {"memory": GPU_IS_LOST}
    assert card is not None
    assert card.look() == Unanswered(GPU_IS_LOST, "code 15")


def test_no_driver_and_no_such_card_are_no_errors() -> None:
    library = FakeNvml()
    assert nvml.ready(library) is library
    assert nvml.find(library, 2, None) is None
    library.failing = {"init": 12}
    assert nvml.ready(library) is None


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="this machine has an NVIDIA driver")
def test_the_real_library_without_a_driver_has_nothing_to_watch() -> None:
    pytest.importorskip("pynvml")
    assert nvml.library() is None
    assert nvml.watch(0) is None


def test_the_real_library_names_and_numbers_its_errors_as_is_believed_here() -> None:
    pynvml = pytest.importorskip("pynvml")
    assert pynvml.NVML_ERROR_GPU_IS_LOST == GPU_IS_LOST
    assert pynvml.NVML_ERROR_NOT_SUPPORTED == NOT_SUPPORTED
    assert nvml.code_of(pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)) == GPU_IS_LOST
    assert str(pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)) == "GPU is lost"
    names = [name for name in vars(nvml.Nvml) if name.startswith("nvml")]
    assert all(callable(getattr(pynvml, name)) for name in names)


class Looks:
    """Looks that come back when the test lets them."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.seen: Reading | Unanswered = READING

    def __call__(self) -> Reading | Unanswered:
        self.begun.release()
        self.let.acquire()
        return self.seen


def test_the_watch_tells_of_a_card_that_is_lost_and_of_one_that_hangs() -> None:
    looks, now = Looks(), [0.0]
    watch = nvml.Watch(looks, clock=lambda: now[0], every_s=0.0).start()
    assert looks.begun.acquire(timeout=60)
    looks.let.release()
    assert looks.begun.acquire(timeout=60)  # the second look has begun: the first one is known
    assert watch.numbers() == READING.numbers()
    assert watch.trouble() == ""
    now[0] = HANGS_S
    assert "has not answered" in watch.trouble()
    looks.seen = Unanswered(GPU_IS_LOST, "GPU is lost")
    looks.let.release()
    assert looks.begun.acquire(timeout=60)
    assert watch.trouble() == "GPU is lost"
    assert watch.numbers() == {}
    watch.close()
    looks.let.release()
