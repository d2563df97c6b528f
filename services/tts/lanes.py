"""Whose turn it is to compute on a device.

Every piece of sound is made while holding a turn of its device; turns are handed out by who needs one most
(``schedule.py``). A listener's thread blocks for its turn, and is woken when it has come or when nobody wants
its segment any more: a cancelled segment ends before its next piece.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator

from services.tts.schedule import Place, Rules, Schedule

REMEMBERED_TURNS = 1024


class Gone(Exception):
    """Nobody wants the segment any more."""


class Listener:
    """One segment's place among those that are being made. This one is alone and never waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.computed_s = 0.0
        """Time in turns, seconds."""
        self.made_s = 0.0
        self.is_closed = False
        self._clock = clock
        self._began_at: float | None = None

    @contextlib.contextmanager
    def turn(self, device: str) -> Iterator[None]:
        """Waits until it may compute one piece on ``device``; blocks.

        Raises:
            Gone: it was closed.
        """
        self._begin(device)
        self._began_at = began_at = self._clock()
        try:
            yield
        finally:
            self._began_at = None
            self.computed_s += self._clock() - began_at
            self._end(device)

    def made(self, seconds: float) -> None:
        """So much more sound is there for the listener."""
        self.made_s += seconds

    def computing_s(self) -> float:
        """Returns for how long its turn has lasted; 0 while it has none. For any thread."""
        began_at = self._began_at
        return 0.0 if began_at is None else self._clock() - began_at

    @property
    def is_crowded(self) -> bool:
        """Whether others are being made at the same time."""
        return False

    def close(self) -> None:
        """Gives up its place: no further turn begins. For any thread, any number of times."""
        self.is_closed = True

    def _begin(self, device: str) -> None:
        del device
        if self.is_closed:
            raise Gone

    def _end(self, device: str) -> None:
        """The turn is over."""


class Lanes:
    """The devices of one process and all who want to compute on them."""

    def __init__(
        self,
        lanes: Callable[[str], int],
        *,
        clock: Callable[[], float] = time.monotonic,
        rules: Rules = Rules(),  # noqa: B008 - frozen
    ) -> None:
        """Takes how many compute on a device at the same time, by its name."""
        self.clock = clock
        self._lanes, self._rules = lanes, rules
        self._lock = threading.Lock()
        self._devices: dict[str, Schedule] = {}
        self._waiting: dict[Place, _Waiter] = {}
        self._turns: OrderedDict[Hashable, dict[int, Place]] = OrderedDict()

    def listener(
        self, turn: Hashable, segment: int, *, is_awaited: bool, within_s: float = float("inf")
    ) -> Listener:
        """Returns a place for one segment of a turn.

        Args:
            turn: which turn of which session.
            segment: its number in the turn.
            is_awaited: it is heard in silence unless an earlier segment of the turn is made here.
            within_s: how long the turn may yet take; once half of that is over, it is not held back.
        """
        now = self.clock()
        with self._lock:
            places = self._turns.setdefault(turn, {})
            self._turns.move_to_end(turn)
            if len(self._turns) > REMEMBERED_TURNS:
                self._turns.popitem(last=False)
            before = max((number for number in places if number < segment), default=None)
            place = Place(
                now,
                before=None if before is None else places[before],
                is_awaited=is_awaited,
                hurry_at=now + within_s / 2,
            )
            places[segment] = place
        return _Queued(self, place)

    def count(self, device: str) -> int:
        """Returns how many compute there at the same time."""
        return self._lanes(device)

    def waiting(self) -> int:
        """Returns how many wait for a turn, on all devices."""
        with self._lock:
            return sum(schedule.waiting for schedule in self._devices.values())

    def has_others(self, place: Place) -> bool:
        """Whether any other segment is being made."""
        with self._lock:
            return any(
                not other.is_closed and other is not place
                for places in self._turns.values()
                for other in places.values()
            )

    def begin(self, place: Place, device: str) -> None:
        """Blocks until it is the place's turn. Raises ``Gone``."""
        with self._lock:
            if place.is_closed:
                raise Gone
            schedule = self._schedule(device)
            waiter = self._waiting[place] = _Waiter(self._lock)
            schedule.ask(place)
            try:
                self._wait(waiter, place, schedule)
            finally:
                del self._waiting[place]
                schedule.leave(place)
            if place.is_closed:  # in the moment between being granted its turn and waking
                schedule.give_back(place, self.clock())
                self._grant(schedule)
                raise Gone

    def _wait(self, waiter: _Waiter, place: Place, schedule: Schedule) -> None:
        self._grant(schedule)
        while not waiter.is_granted:
            if place.is_closed:
                raise Gone
            now = self.clock()
            at = schedule.changes_at(now)
            waiter.news.wait(None if at is None else at - now)
            self._grant(schedule)

    def end(self, place: Place, device: str) -> None:
        """Gives the turn back."""
        with self._lock:
            schedule = self._devices[device]
            schedule.give_back(place, self.clock())
            self._grant(schedule)

    def made(self, place: Place, seconds: float) -> None:
        """So much more sound is there for the place's listener."""
        with self._lock:
            place.made(seconds, self.clock())

    def close(self, place: Place) -> None:
        """Wakes the place's thread, if it waits, to end; whoever was held back for it goes on."""
        with self._lock:
            place.is_closed = True
            if place in self._waiting:
                self._waiting[place].news.notify()
            for schedule in self._devices.values():
                schedule.leave(place)
                self._grant(schedule)

    def _schedule(self, device: str) -> Schedule:
        if device not in self._devices:
            self._devices[device] = Schedule(self._lanes(device), self._rules)
        return self._devices[device]

    def _grant(self, schedule: Schedule) -> None:
        for place in schedule.grant(self.clock()):
            waiter = self._waiting[place]
            waiter.is_granted = True
            waiter.news.notify()


class _Waiter:
    """A thread that waits for its turn."""

    def __init__(self, lock: threading.Lock) -> None:
        self.news = threading.Condition(lock)
        self.is_granted = False


class _Queued(Listener):
    """One among several."""

    def __init__(self, lanes: Lanes, place: Place) -> None:
        super().__init__(lanes.clock)
        self._lanes, self._place = lanes, place

    def made(self, seconds: float) -> None:
        super().made(seconds)
        self._lanes.made(self._place, seconds)

    def close(self) -> None:
        super().close()
        self._lanes.close(self._place)

    @property
    def is_crowded(self) -> bool:
        return self._lanes.has_others(self._place)

    def _begin(self, device: str) -> None:
        self._lanes.begin(self._place, device)

    def _end(self, device: str) -> None:
        self._lanes.end(self._place, device)
