"""Cuts an answer into segments that can be spoken, while it is still being written.

Pure: time is passed in, and only ``poll`` looks at it. Three rules, for the first sound counts most:

* The first segment is short: a clause, a sentence, or five to eight words at a place for a breath.
* Later ones are whole sentences, so that the voice can phrase them.
* Nothing waits more than 300 ms for punctuation once it is long enough to be spoken.

The same text gives the same segments however it was chunked on its way (``units``), unless the clock
steps in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.llm.borders import Border
from services.llm.units import Reader, Unit

WAIT_S = 0.3
"""For punctuation, once long enough."""
LAST_WORD_WAIT_S = 0.05
"""For more behind what looks like the end of a sentence: the next token usually comes sooner."""
FIRST_CLAUSE_WORDS = 3
SHORTEST_WORDS = 5
"""A cut without punctuation leaves at least so much before it."""
FIRST_WORDS = 8
"""The first segment is cut here at the latest, if there is a place for a breath."""
LATER_LONG_WORDS = 12
"""From here on a later segment is long enough for the clock."""
LATER_WORDS = 40
"""A sentence longer than this is cut within."""


class Cutter:
    """One answer's way from text to segments."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._units: list[Unit] = []
        self._came_s: list[float] = []
        """When each of the units did."""
        self._is_first = True
        self._fed_s = 0.0
        self._long_since_s: float | None = None

    def feed(self, text: str, now_s: float) -> list[str]:
        """Takes more of the answer; returns the segments that are now whole."""
        self._fed_s = now_s
        segments = self._cut(self._reader.feed(text))
        self._look_at_length()
        return segments

    def deadline(self) -> float | None:
        """When ``poll`` is to be called unless more text comes before; None: nothing is waited for."""
        due = [] if self._long_since_s is None else [self._long_since_s + WAIT_S]
        if self._reader.looks_whole:
            due.append(self._fed_s + LAST_WORD_WAIT_S)
        return min(due, default=None)

    def poll(self, now_s: float) -> list[str]:
        """Returns what has waited long enough."""
        segments: list[str] = []
        if self._reader.looks_whole and now_s >= self._fed_s + LAST_WORD_WAIT_S:
            segments = self._cut(self._reader.end_sentence())
        elif self._long_since_s is not None and now_s >= self._long_since_s + WAIT_S:
            segments = self._emit(self._best_place(FIRST_CLAUSE_WORDS) or len(self._units))
        self._look_at_length()
        return segments

    def flush(self) -> list[str]:
        """The answer is over; returns the rest."""
        return self._cut(self._reader.end_sentence()) + self._emit(len(self._units))

    def _cut(self, units: Iterator[Unit]) -> list[str]:
        segments: list[str] = []
        for unit in units:
            self._units.append(unit)
            self._came_s.append(self._fed_s)
            while count := self._place():
                segments += self._emit(count)
        return segments

    def _place(self) -> int:
        """Returns how many units make a segment now; 0: none."""
        words = 0.0
        for count, unit in enumerate(self._units, start=1):
            words += unit.words
            is_clause = unit.border is Border.CLAUSE and self._is_first and words >= FIRST_CLAUSE_WORDS
            is_sentence = unit.border >= Border.SENTENCE or (
                unit.has_emoji_end and words >= FIRST_CLAUSE_WORDS
            )
            if is_sentence or is_clause:
                return count
        limit = FIRST_WORDS if self._is_first else LATER_WORDS
        if words < limit:
            return 0
        return self._best_place(SHORTEST_WORDS) or (len(self._units) if words >= 2 * limit else 0)

    def _best_place(self, shortest: float) -> int:
        """Returns the last clause's end, or else the last place for a breath, behind ``shortest`` words."""
        best = {Border.CLAUSE: 0, Border.SOFT: 0}
        words = 0.0
        for count, unit in enumerate(self._units, start=1):
            words += unit.words
            if words >= shortest and unit.border in best:
                best[unit.border] = count
        return best[Border.CLAUSE] or best[Border.SOFT]

    def _emit(self, count: int) -> list[str]:
        taken, self._units, self._came_s = self._units[:count], self._units[count:], self._came_s[count:]
        text = re.sub(r"[ \n]{2,}", " ", "".join(unit.text + unit.gap for unit in taken)).strip()
        if taken and not self._units:
            self._reader.close_brackets()
        if not any(char.isalnum() for char in text):
            return []
        self._is_first = False
        return [text]

    def _look_at_length(self) -> None:
        """Notes since when there has been enough for the clock."""
        missing = float(SHORTEST_WORDS if self._is_first else LATER_LONG_WORDS)
        self._long_since_s = None
        for unit, came_s in zip(self._units, self._came_s, strict=True):
            missing -= unit.words
            if missing <= 0:
                self._long_since_s = came_s
                break
