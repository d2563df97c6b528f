"""Which frames are computed next, and with how many around them. Pure.

A frame's sound depends on ``margin`` frames on each side and on no other (``split_reach``), so a window
that takes them along and drops what they become is the whole's sound, up to the order of summation. At the
ends of a line there is nothing to take along: there a window ends where the whole would.

The first window is small, because somebody waits for it, but lasts until the second is made, with which a
long line's second part is encoded. The decoder's margins are dropped on its way (``crops``) and cost about as
much as 3 frames, so later windows stay small as well, nobody's holds the device for long, and a window can be
computed in tiles side by side. The flow carries its margins to the end, 64 frames a window: it takes all that
is encoded. What is left at the end joins the last window.

A GPU is quicker with shapes that it has seen. Nothing is padded for it, since padding is heard at a line's
end: where shapes are fixed a window is moved into the line, and more of it is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SOUND_FRAMES = (17, 40, 96)
"""Frames that the decoder's windows keep, the last for all that follow: 0.2, 0.46, 1.1 s at 22.05 kHz. The
first is three chunks of 60 ms and what the edges hold back."""
FLOW_FRAMES = (29, 96, 256)
"""Likewise the flow's; its first is what the decoder's first takes. Where shapes are free the last is the
most that is taken at once (``Walk.stretch``)."""
CROWDED_SOUND_FRAMES, CROWDED_FLOW_FRAMES = (34, 40, 96), (46, 96, 256)
"""Where others compute too: the first sound, 17 frames later, lasts until a second one that had to wait."""
TILE_FRAMES = 8
"""A tile keeps so many at least: its margins cost about as much as 3."""
LAST_SHARE = 0.5
"""A rest up to this share of a window joins it."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Frames ``begin:end`` are computed, of their result frames ``skip:skip + keep`` are used."""

    begin: int
    end: int
    skip: int
    keep: int

    @property
    def frames(self) -> int:
        """That are computed."""
        return self.end - self.begin

    def around(self, margin: int) -> dict[str, int]:
        """Returns the frames ``left`` and ``right`` of those that are used, of each no more than a margin."""
        behind = self.frames - self.skip - self.keep
        return {"left": min(self.skip, margin), "right": min(behind, margin)}


def tiles(window: Window, count: int, margin: int) -> list[Window]:
    """Returns a window in at most ``count`` parts of equal length, to be computed side by side; 1: as it is.

    Each takes its margins out of the window's frames. None keeps fewer than ``TILE_FRAMES``.
    """
    count = min(count, window.keep // TILE_FRAMES)
    if count <= 1:
        return [window]
    first = window.begin + window.skip
    made = []
    for own, end in pairwise(first + window.keep * number // count for number in range(count + 1)):
        begin = max(window.begin, own - margin)
        made.append(Window(begin=begin, end=min(window.end, end + margin), skip=own - begin, keep=end - own))
    return made


class Walk:
    """Goes through a line's frames window by window; how many there are may come to be known on the way."""

    def __init__(self, sizes: Sequence[int], margin: int, *, is_fixed: bool = False) -> None:
        self._sizes, self._margin, self._is_fixed = list(sizes), margin, is_fixed
        self._count = 0
        self.done = 0
        """Frames that were used."""

    @property
    def margin(self) -> int:
        """Frames on each side."""
        return self._margin

    def needs(self, total: int | None) -> int:
        """Returns how many of the line's frames have to be there for the next window; ``total`` if known."""
        _, end = self._span(total)
        return end

    def next(self, total: int | None) -> Window:
        """Returns the next window and counts it as used; ``total``: the line's frames, None: not yet known.

        Raises:
            IndexError: all frames were used.
        """
        if total is not None and self.done >= total:
            raise IndexError("the line is at its end")
        keep = self._keep(total)
        begin, end = self._span(total)
        return self._take(begin, end, keep)

    def stretch(self, upto: int, there: int, total: int | None) -> Window:
        """Returns the next window, as far as frames are there, and counts it as used; the first: ``upto``.

        Args:
            upto: frames that are to be used behind it at least.
            there: frames of the line that are there, ``upto`` and a margin or all.
            total: the line's frames, None: not yet known.
        """
        end = there - self._margin if total is None else total
        rest, most = end - self.done, self._sizes[-1]
        keep = rest if rest <= most * (1 + LAST_SHARE) else most
        if self._count == 0:
            keep = min(upto, rest)
        begin, end = max(0, self.done - self._margin), min(self.done + keep + self._margin, there)
        return self._take(begin, end, keep)

    def retry(self, window: Window) -> None:
        """The window, the latest, was too large: it is taken back, and no later one is as large."""
        self.done -= window.keep
        self._count -= 1
        smaller = max(1, window.keep // 4)
        self._sizes = [min(size, smaller) for size in self._sizes]

    def _take(self, begin: int, end: int, keep: int) -> Window:
        window = Window(begin=begin, end=end, skip=self.done - begin, keep=keep)
        self.done += keep
        self._count += 1
        return window

    def _size(self) -> int:
        return self._sizes[min(self._count, len(self._sizes) - 1)]

    def _keep(self, total: int | None) -> int:
        size = self._size()
        if total is None:
            return size
        rest = total - self.done
        joins = 0 if self._is_fixed else int(size * LAST_SHARE)
        return rest if rest <= size + joins else size

    def _span(self, total: int | None) -> tuple[int, int]:
        keep = self._keep(total)
        begin, end = max(0, self.done - self._margin), self.done + keep + self._margin
        if self._is_fixed:
            left = self._margin if self._count else 0
            frames = left + self._size() + self._margin
            end = max(end, begin + frames)
            if total is not None:
                end = min(end, total)
                begin = max(0, min(begin, end - frames))
        return begin, end if total is None else min(end, total)
