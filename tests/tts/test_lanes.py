from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from services.tts.lanes import REMEMBERED_TURNS, Gone, Lanes, Listener
from services.tts.schedule import Place, Rules
from services.tts.threads import Threads

WAIT_S = 60.0


class Clock:
    """Goes forward when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def threads() -> Iterator[Threads]:
    pool = Threads(16, "test")
    yield pool
    pool.shutdown()


def lanes_of(count: int, clock: Callable[[], float], **rules: float) -> Lanes:
    return Lanes(lambda _: count, clock=clock, rules=Rules(**rules))


class Turn:
    """Someone who takes one turn in a thread of its own and keeps it until told."""

    def __init__(self, listener: Listener, threads: Threads, device: str = "cpu") -> None:
        self.listener = listener
        self.has_it, self.may_end = threading.Event(), threading.Event()
        self.over: Future[None] = threads.submit(self._take, device)

    def _take(self, device: str) -> None:
        with self.listener.turn(device):
            self.has_it.set()
            assert self.may_end.wait(WAIT_S)

    def end(self) -> None:
        self.may_end.set()
        self.over.result(WAIT_S)


def until_waiting(lanes: Lanes, count: int) -> None:
    """Returns when so many wait; threads get there by themselves."""
    patience = threading.Event()
    for _ in range(2000):
        if lanes.waiting() == count:
            return
        patience.wait(0.005)  # nothing announces it
    pytest.fail("they do not wait")


def test_a_turn_is_waited_for_until_another_gives_it_back(clock: Clock, threads: Threads) -> None:
    lanes = lanes_of(1, clock)
    one = Turn(lanes.listener("a", 0, is_awaited=True), threads)
    assert one.has_it.wait(WAIT_S)
    two = Turn(lanes.listener("b", 0, is_awaited=True), threads)
    until_waiting(lanes, 1)
    assert not two.has_it.is_set()
    one.listener.close()
    one.end()
    assert two.has_it.wait(WAIT_S)
    two.end()


def test_devices_do_not_wait_for_one_another(clock: Clock, threads: Threads) -> None:
    lanes = lanes_of(1, clock)
    turns = [
        Turn(lanes.listener(device, 0, is_awaited=True), threads, device) for device in ("cpu", "cuda:0")
    ]
    for turn in turns:
        assert turn.has_it.wait(WAIT_S)
        turn.end()


def test_the_one_who_runs_dry_soonest_is_woken(clock: Clock, threads: Threads) -> None:
    lanes = lanes_of(1, clock)
    busy = Turn(lanes.listener("x", 0, is_awaited=True), threads)
    assert busy.has_it.wait(WAIT_S)
    turns = []
    for name, seconds in (("rich", 2.5), ("poor", 1.0), ("middle", 2.0)):
        listener = lanes.listener(name, 0, is_awaited=True)
        listener.made(seconds)
        turns.append(Turn(listener, threads))
    until_waiting(lanes, 3)
    rich, poor, middle = turns
    busy.listener.close()
    busy.end()
    for turn, later in ((poor, (rich, middle)), (middle, (rich,)), (rich, ())):
        assert turn.has_it.wait(WAIT_S)
        assert not any(other.has_it.is_set() for other in later)
        turn.listener.close()
        turn.end()


def test_a_closed_listener_that_waits_is_woken_to_end(clock: Clock, threads: Threads) -> None:
    lanes = lanes_of(1, clock)
    one = Turn(lanes.listener("a", 0, is_awaited=True), threads)
    assert one.has_it.wait(WAIT_S)
    two = Turn(lanes.listener("b", 0, is_awaited=True), threads)
    until_waiting(lanes, 1)
    two.listener.close()
    with pytest.raises(Gone):
        two.over.result(WAIT_S)
    assert lanes.waiting() == 0
    one.end()


def test_a_closed_listener_gets_no_further_turn(clock: Clock) -> None:
    lanes = lanes_of(1, clock)
    for listener in (lanes.listener("a", 0, is_awaited=True), Listener(clock)):
        with listener.turn("cpu"):
            listener.close()
            listener.close()
        with pytest.raises(Gone), listener.turn("cpu"):
            pytest.fail("it has a turn")
    with lanes.listener("b", 0, is_awaited=True).turn("cpu"):
        pass  # the lane is free


def test_one_who_is_closed_while_it_is_being_woken_gives_its_turn_to_the_next(
    clock: Clock, threads: Threads
) -> None:
    """Many times, for it is a race: in whatever order they happen nobody is left without a turn."""
    lanes = lanes_of(1, clock)
    for number in range(50):
        busy = Turn(lanes.listener(("x", number), 0, is_awaited=True), threads)
        assert busy.has_it.wait(WAIT_S)
        turns = [Turn(lanes.listener((name, number), 0, is_awaited=True), threads) for name in "ab"]
        until_waiting(lanes, 2)
        closing = threads.submit(turns[0].listener.close)
        turns[0].may_end.set()
        busy.listener.close()
        busy.end()
        closing.result(WAIT_S)
        assert turns[1].has_it.wait(WAIT_S)
        turns[1].listener.close()
        turns[1].end()
        assert isinstance(turns[0].over.exception(WAIT_S), Gone | None)


def test_one_who_is_closed_between_its_grant_and_its_waking_does_not_compute(
    clock: Clock, threads: Threads
) -> None:
    lanes = lanes_of(1, clock)
    busy = Turn(lanes.listener("x", 0, is_awaited=True), threads)
    assert busy.has_it.wait(WAIT_S)
    place = Place(0.0)
    waiting = threads.submit(lanes.begin, place, "cpu")
    until_waiting(lanes, 1)
    with lanes._lock:  # so that its thread cannot wake in between
        schedule = lanes._devices["cpu"]
        schedule.lanes = 2
        lanes._grant(schedule)
        place.is_closed = True
    with pytest.raises(Gone):
        waiting.result(WAIT_S)
    another = Turn(lanes.listener("b", 0, is_awaited=True), threads)
    assert another.has_it.wait(WAIT_S)
    another.end()
    busy.end()


def test_a_turn_that_hangs_loses_its_lane_to_another(threads: Threads) -> None:
    lanes = Lanes(lambda _: 1, rules=Rules(hang_s=0.05))
    hung = Turn(lanes.listener("a", 0, is_awaited=True), threads)
    assert hung.has_it.wait(WAIT_S)
    hung.listener.close()  # whoever wanted it is gone: nobody looks at it any more
    for name in ("b", "c"):
        turn = Turn(lanes.listener(name, 0, is_awaited=True), threads)
        assert turn.has_it.wait(WAIT_S)
        turn.end()
    assert not hung.over.done()
    hung.end()


def test_who_is_held_back_goes_on_by_itself_when_its_time_comes(threads: Threads) -> None:
    lanes = Lanes(lambda _: 1, rules=Rules(far_s=0.2, comfort_s=0.1))
    listener = lanes.listener("a", 0, is_awaited=True)
    listener.made(0.5)
    turn = Turn(listener, threads)
    assert turn.has_it.wait(WAIT_S)
    turn.end()


def test_a_turn_tells_how_long_it_has_lasted_and_all_turns_what_they_took(clock: Clock) -> None:
    listener = lanes_of(1, clock).listener("a", 0, is_awaited=True)
    assert listener.computing_s() == 0.0
    clock.now = 5.0
    with listener.turn("cpu"):
        clock.now = 5.5
        assert listener.computing_s() == 0.5
    clock.now = 9.0
    assert listener.computing_s() == 0.0
    assert listener.computed_s == 0.5
    listener.made(1.5)
    assert listener.made_s == 1.5


def test_a_segment_waits_for_what_is_heard_before_it_in_its_turn(clock: Clock, threads: Threads) -> None:
    """Segment 1 has what segment 0 still plays; another turn's first window is due at once."""
    lanes = lanes_of(1, clock)
    first = lanes.listener("a", 0, is_awaited=True)
    first.made(2.0)
    first.close()
    busy = Turn(lanes.listener("x", 0, is_awaited=True), threads)
    assert busy.has_it.wait(WAIT_S)
    later = Turn(lanes.listener("a", 1, is_awaited=False), threads)
    until_waiting(lanes, 1)
    clock.now = 0.5
    urgent = Turn(lanes.listener("b", 0, is_awaited=True), threads)
    until_waiting(lanes, 2)
    busy.listener.close()
    busy.end()
    assert urgent.has_it.wait(WAIT_S)
    assert not later.has_it.is_set()
    urgent.listener.close()
    urgent.end()
    assert later.has_it.wait(WAIT_S)
    later.end()


def test_turns_are_forgotten_in_the_end(clock: Clock) -> None:
    lanes = lanes_of(1, clock)
    for number in range(REMEMBERED_TURNS + 10):
        lanes.listener(number, 0, is_awaited=True)
    assert len(lanes._turns) == REMEMBERED_TURNS
    assert lanes.count("cpu") == 1


def test_many_threads_on_few_lanes_all_get_to_their_end(threads: Threads) -> None:
    """Real threads and a real clock: never more at the same time than there are lanes, and no deadlock."""
    lanes = Lanes(lambda _: 2)
    lock = threading.Lock()
    inside, most = 0, 0

    def speak(number: int) -> int:
        nonlocal inside, most
        listener = lanes.listener(number, 0, is_awaited=True)
        for _ in range(20):
            with listener.turn("cpu"):
                with lock:
                    inside += 1
                    most = max(most, inside)
                listener.made(0.2)
                with lock:
                    inside -= 1
        listener.close()
        return number

    done = [threads.submit(speak, number) for number in range(12)]
    assert [future.result(WAIT_S) for future in done] == list(range(12))
    assert 1 <= most <= 2


def test_it_is_crowded_while_another_segment_is_being_made(clock: Clock) -> None:
    lanes = lanes_of(1, clock)
    one = lanes.listener("a", 0, is_awaited=True)
    assert not one.is_crowded
    other = lanes.listener("b", 0, is_awaited=True)
    assert one.is_crowded
    other.close()
    assert not one.is_crowded
    assert not Listener().is_crowded
