"""Decoder windows of several listeners in one call, where that pays.

Whoever comes while a call is running is gathered into the next one: nobody waits for company that may not
come, and the more there are the fuller the calls get. A call that fails is made again one by one, so that
nobody fails by another's window. One that hangs is left behind: the next begins without it, and those in it
are told.

Whether it pays is measured (``most``): a card has room for several windows at once, a processor has not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

X = TypeVar("X")
Y = TypeVar("Y")

SIZES = (1, 2, 4, 8)
GAIN = 0.8
"""A window in a batch may cost so much of what it costs alone, or it is not worth the wait for the others."""
HANG_S = 8.0


def most(times_s: Mapping[int, float], *, lanes: int = 1) -> int:
    """Returns how many windows one call should decode at most; 1: each alone.

    Args:
        times_s: how long one call takes, seconds, by how many windows are in it; with 1.
        lanes: how many calls run side by side without a batch; with one, they wait for one another.
    """
    paying = [size for size in times_s if _pays(times_s, size, lanes)]
    return min(paying, key=lambda size: (times_s[size] / size, size), default=1)


def times(
    decode: Callable[[int], object], *, lanes: int = 1, clock: Callable[[], float] = time.monotonic
) -> dict[int, float]:
    """Returns how long calls of each size take, seconds; ``decode(size)`` makes one. Blocks.

    The first call of a size may load what it needs and does not count; of three the quickest does. It ends
    with the first size that does not pay, or that cannot be made: a larger one takes yet longer.

    Raises:
        Exception: what a call for one raises.
    """
    found: dict[int, float] = {}
    for size in SIZES:
        try:
            decode(size)
            found[size] = min(_timed(decode, size, clock) for _ in range(3))
        except Exception:
            if size == 1:
                raise
            break  # no room for so many
        if size > 1 and not _pays(found, size, lanes):
            break
    return found


def _pays(times_s: Mapping[int, float], size: int, lanes: int) -> bool:
    return size > 1 and times_s[size] <= GAIN * size * times_s[1] / lanes


def _timed(decode: Callable[[int], object], size: int, clock: Callable[[], float]) -> float:
    began = clock()
    decode(size)
    return clock() - began


class CallHangs(RuntimeError):
    """A call for several windows does not end."""


class _Asked(Generic[X, Y]):
    """One window on its way."""

    def __init__(self, window: X, kind: Hashable) -> None:
        self.window, self.kind = window, kind
        self.news = threading.Event()
        self.since: float | None = None
        """When its call began."""
        self.result: Y | None = None
        self.error: Exception | None = None
        self.is_made = False

    def make(self, decode: Callable[[Sequence[X]], Sequence[Y]]) -> None:
        """Decodes it alone."""
        try:
            (self.result,) = decode([self.window])
        except Exception as error:  # noqa: BLE001 - raised again in the thread whose window it is
            self.error = error
        self.is_made = True


class Batch(Generic[X, Y]):
    """One decoder, for several threads; each gives a window and gets what was made of it."""

    def __init__(
        self,
        decode: Callable[[Sequence[X]], Sequence[Y]],
        *,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        hang_s: float = HANG_S,
    ) -> None:
        """``decode`` takes 1..``most`` windows of one kind and returns as many results."""
        self._decode, self._most, self._clock, self._hang_s = decode, most, clock, hang_s
        self._lock = threading.Lock()
        self._asked: list[_Asked[X, Y]] = []
        self._calls: dict[int, float] = {}
        """Those that run: since when."""

    def __call__(self, window: X, kind: Hashable) -> Y:
        """Returns what the decoder makes of a window; windows of one ``kind`` go together. Blocks.

        Raises:
            CallHangs: another's call, with this window in it, does not end.
            Exception: what the decoder raised for this window.
        """
        mine: _Asked[X, Y] = _Asked(window, kind)
        with self._lock:
            self._asked.append(mine)
        while not mine.is_made:
            together = self._next()
            if together:
                self._call(together)
            else:
                if mine.since is not None and self._clock() >= mine.since + self._hang_s:
                    raise CallHangs(f"no sound within {self._hang_s:.1f} s")
                mine.news.wait(self._hang_s)
                mine.news.clear()
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value] # it was made

    def _next(self) -> list[_Asked[X, Y]]:
        """Takes the windows of the next call: the oldest and those like it; none while a call runs."""
        now = self._clock()
        with self._lock:
            if not self._asked or any(now < began + self._hang_s for began in self._calls.values()):
                return []
            kind = self._asked[0].kind
            together = [asked for asked in self._asked if asked.kind == kind][: self._most]
            self._asked = [asked for asked in self._asked if asked not in together]
            self._calls[id(together)] = now
            for asked in together:
                asked.since = now
            return together

    def _call(self, together: list[_Asked[X, Y]]) -> None:
        """Runs in the thread of whoever came upon it, whether or not its own window is among them."""
        try:
            made = self._decode([asked.window for asked in together])
            for asked, result in zip(together, made, strict=True):
                asked.result, asked.is_made = result, True
        except Exception:  # noqa: BLE001 - each is made again and has its own error
            for asked in together:
                asked.make(self._decode)
        with self._lock:
            del self._calls[id(together)]
            following = self._asked[:1]
        for asked in (*together, *following):
            asked.news.set()
