"""Ends an answer that does not end by itself: too long, or the same words again and again. Pure."""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from services.llm.borders import SPACELESS
from services.llm.prompt import tokens

REPEATS = 4
"""The same segment so many times in a row is a model that is stuck."""
LONGEST_S: Final = 60.0
"""Of speech, the usual bound of an answer."""
LETTERS_PER_S: Final = 15.0
"""150 words a minute."""
SPACELESS_PER_S: Final = 5.0
_WORD: Final = re.compile(rf"[{SPACELESS}]|(?:(?![{SPACELESS}])[^\W_])+")
_SPACELESS: Final = re.compile(f"[{SPACELESS}]")
_LONGEST_WORD: Final = 200
_WORD_PERIODS, _WORDS_AT_LEAST = 32, 12
_CHAR_PERIODS, _CHARS_AT_LEAST, _TAIL_CHARS = 8, 60, 120


def speech_s(text: str) -> float:
    """Returns about how long it takes to say, seconds."""
    spaceless = 0 if text.isascii() else len(_SPACELESS.findall(text))
    return (len(text) - spaceless) / LETTERS_PER_S + spaceless / SPACELESS_PER_S


class _Runs:
    """Finds that the newest items repeat the ones before them, period by period.

    A run (maximal repetition) of period p is a stretch in which each item equals the one p before it: Main
    & Lorentz, "An O(n log n) algorithm for finding all repetitions in a string" (1984). Here the
    runs that go on are kept by period, up to a bound.
    """

    def __init__(self, periods: int, at_least: int) -> None:
        """``at_least``: items that a repetition takes up, in ``REPEATS`` rounds or more."""
        self._periods, self._at_least = periods, at_least
        self._count = 0
        self._places: dict[str, deque[int]] = {}
        """Of each item the newest ones."""
        self._lengths: dict[int, int] = {}
        """Of the runs that go on, by period."""

    def add(self, item: str) -> int:
        """Returns how many of the newest items are repetitions, the first round not counted; 0: no run."""
        found = 0
        lengths: dict[int, int] = {}
        places = self._places.setdefault(item, deque(maxlen=self._periods))
        for place in reversed(places):
            period = self._count - place
            if period > self._periods:
                break
            length = lengths[period] = self._lengths.get(period, 0) + 1
            if not found and length + period >= max(self._at_least, REPEATS * period):
                found = length
        places.append(self._count)
        self._count += 1
        self._lengths = lengths
        return found


def _repeated(text: str) -> int:
    """Returns how many characters at the end repeat the few before them; 0: no long run of that kind."""
    newest = text[-_CHARS_AT_LEAST:]
    for period in range(1, _CHAR_PERIODS + 1) if len(newest) == _CHARS_AT_LEAST else ():
        if newest[period:] == newest[:-period]:
            place = len(text) - 1
            while place >= period and text[place] == text[place - period]:
                place -= 1
            return len(text) - 1 - place
    return 0


class Guard:
    """Watches one answer."""

    def __init__(self, max_tokens: int, *, max_speech_s: float = LONGEST_S) -> None:
        """``max_speech_s``: 0 for an answer that is not spoken."""
        self._left = max_tokens * 2  # the provider was told max_tokens; estimates may differ by a factor
        self._left_s = max_speech_s or float("inf")
        self._last = ""
        self._repeats = 0
        self._words = _Runs(_WORD_PERIODS, _WORDS_AT_LEAST)
        self._tail = ""
        """The newest characters, without spaces."""
        self._open = ""
        self._length = 0
        self._ends: deque[int] = deque(maxlen=_WORD_PERIODS * (REPEATS + 1))
        """Where the newest words end, in characters of the answer."""
        self.is_over = False
        self.is_full = False
        """It is over because it had as many tokens as it may have."""
        self.surplus = 0
        """So many characters at the end of what was allowed only repeat what stands before them."""

    def allow(self, text: str) -> str:
        """Returns as much of ``text`` as the answer may still have."""
        self._left -= tokens(text)
        self._left_s -= speech_s(text)
        if self._left < 0:
            text = text[: max(0, len(text) + 4 * self._left)]
        self.is_full = self.is_full or self._left < 0
        self.is_over = self.is_over or self.is_full or self._left_s < 0
        self._look_for_runs(text)
        return text

    def is_stuck(self, segment: str) -> bool:
        """Whether this segment repeats once too often; the answer is over then."""
        words = segment.casefold()
        self._repeats = self._repeats + 1 if words == self._last else 1
        self._last = words
        self.is_over = self.is_over or self._repeats >= REPEATS
        return self._repeats >= REPEATS

    def _look_for_runs(self, text: str) -> None:
        self._tail = (self._tail + "".join(text.casefold().split()))[-_TAIL_CHARS - len(text) :]
        if repeated := _repeated(self._tail):
            self._end(repeated)
        whole, start = self._open + text, self._length - len(self._open)
        self._length += len(text)
        self._open = ""
        for word in _WORD.finditer(whole):
            if word.end() == len(whole) and not _SPACELESS.match(word.group()):
                self._open = word.group()[-_LONGEST_WORD:]  # it may go on
                return
            self._ends.append(start + word.end())
            if repeated := self._words.add(word.group().casefold()):
                self._end(self._length - self._ends[max(0, len(self._ends) - 1 - repeated)])

    def _end(self, surplus: int) -> None:
        self.is_over = True
        self.surplus = max(self.surplus, surplus)
