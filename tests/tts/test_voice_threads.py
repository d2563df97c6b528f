from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from services.tts.threads import Threads

WAIT_S = 60.0


def test_calls_beyond_the_most_wait_for_a_thread() -> None:
    threads = Threads(1, "test")
    may_end = threading.Event()
    one, two = threads.submit(may_end.wait, WAIT_S), threads.submit(lambda: "two")
    assert not two.done()
    may_end.set()
    assert one.result(WAIT_S)
    assert two.result(WAIT_S) == "two"
    threads.shutdown()


def test_threads_are_used_again() -> None:
    threads, names = Threads(4, "test"), set()
    for _ in range(20):
        names.add(threads.submit(lambda: threading.current_thread().name).result(WAIT_S))
        while threads.busy:  # a result is there just before its thread is free
            time.sleep(0.001)
    assert names == {"test-1"}
    threads.shutdown()


def test_another_is_begun_in_place_of_one_that_was_given_up() -> None:
    threads = Threads(1, "test")
    may_end = threading.Event()
    hung, waiting = threads.submit(may_end.wait, WAIT_S), threads.submit(lambda: "spoken")
    assert not waiting.done()
    threads.give_up_one()
    assert waiting.result(WAIT_S) == "spoken"
    assert not hung.done()
    may_end.set()
    threads.shutdown()


def test_what_a_call_raises_is_its_caller_s() -> None:
    threads = Threads(1, "test")
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(WAIT_S)
    assert threads.submit(lambda: "still there").result(WAIT_S) == "still there"
    threads.shutdown()


def test_a_call_that_was_cancelled_is_not_made() -> None:
    threads = Threads(1, "test")
    may_end = threading.Event()
    one, two = threads.submit(may_end.wait, WAIT_S), threads.submit(pytest.fail, "made")
    assert two.cancel()
    may_end.set()
    assert one.result(WAIT_S)
    assert threads.submit(lambda: "three").result(WAIT_S) == "three"
    threads.shutdown()


def test_a_thread_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import threading\nfrom services.tts.threads import Threads\n"
        "hangs = threading.Event()\n"
        "Threads(1, 'x').submit(lambda: (hangs.set(), threading.Event().wait()))\nhangs.wait()\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, timeout=60, check=False)
    assert done.returncode == 0
