"""When the words of one segment are heard, and which shape the mouth has: told before the sound. Pure.

What the voice tells of a segment counts in samples of the take that it makes; what the client is told counts
in milliseconds of the turn's sound, as it is sent. A word is told with the chunk in which it begins. Of two
tellings of a word the later one counts: an estimate is told again when it is better known, and a voice that
goes on in the place of another one, or a segment's next take, says the rest in its own time. A next take is
heard only behind what was received of the one before.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from shared.messages import Timing

_TOKEN = re.compile(r"\S+")
_TOLERANCE_S = 1e-6


@dataclass(frozen=True, slots=True)
class WordCue:
    """A word as it is written; milliseconds of the turn's sound."""

    begin: int
    end: int
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class VisemeCue:
    """From here on the mouth has this shape."""

    viseme: str
    start_ms: float


@dataclass(frozen=True, slots=True)
class Cues:
    """What is to be told before a piece of sound."""

    words: tuple[WordCue, ...] = ()
    visemes: tuple[VisemeCue, ...] = ()
    are_words_estimated: bool = False
    are_visemes_estimated: bool = False


@dataclass(frozen=True, slots=True)
class _Word:
    take: int
    begin: int
    end: int
    from_s: float
    to_s: float
    is_estimated: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    take: int
    viseme: str
    from_s: float
    is_estimated: bool


class Score:
    """The words and visemes of one segment, in order; seconds of its own sound."""

    def __init__(self) -> None:
        self._words: list[_Word] = []
        self._shapes: list[_Shape] = []
        self._words_due: list[_Word] = []
        self._shapes_due: list[_Shape] = []
        self._take, self._floor_s = 0, 0.0
        self.due_at_s = math.inf
        """Before sound that ends later than this, something is to be told."""

    def add(self, timing: Timing, received_s: float) -> None:
        """Takes what the voice tells; so much of the segment's sound has been received."""
        if timing.take != self._take:
            self._take, self._floor_s = timing.take, received_s
        if timing.words:
            self._add_words(timing)
        if timing.visemes:
            self._add_shapes(timing)
        self._look_ahead()

    def _add_words(self, timing: Timing) -> None:
        take, floor_s, first = timing.take, self._floor_s, timing.words[0].begin
        before = self._words
        kept = [
            word for word in before if (word.begin < first if word.take == take else word.to_s <= floor_s)
        ]
        first = max([first, *(word.end for word in kept)])
        new = []
        for word in timing.words:
            from_s, to_s = word.from_sample / timing.rate_hz, word.to_sample / timing.rate_hz
            if word.begin >= first and to_s > floor_s:
                from_s = max(from_s, floor_s)
                new.append(_Word(take, word.begin, word.end, from_s, to_s, timing.is_estimated))
        self._words = kept + new
        self._words_due = [word for word in self._words_due if word in kept] + [
            word for word in new if word in self._words_due or word not in before
        ]

    def _add_shapes(self, timing: Timing) -> None:
        take, floor_s = timing.take, self._floor_s
        told = [
            _Shape(take, it.viseme, it.from_sample / timing.rate_hz, timing.is_estimated)
            for it in timing.visemes
        ]
        begin_s = max(floor_s, told[0].from_s)
        kept = [shape for shape in self._shapes if shape.from_s < begin_s]
        new = [shape for shape in told if shape.from_s >= begin_s]
        before, self._shapes = self._shapes, kept + new
        self._shapes_due = [shape for shape in self._shapes_due if shape.from_s < begin_s] + [
            shape for shape in new if shape in self._shapes_due or shape not in before
        ]

    def due(self, until_s: float, at_ms: float) -> Cues | None:
        """Returns what is to be told before sound that ends at ``until_s``, once; None: nothing.

        ``at_ms``: where in the turn's sound that of the segment begins.
        """
        if not self._words_due and not self._shapes_due:
            return None
        words = [word for word in self._words_due if word.from_s < until_s]
        shapes = [shape for shape in self._shapes_due if shape.from_s < until_s]
        if not words and not shapes:
            return None
        self._words_due = [word for word in self._words_due if word.from_s >= until_s]
        self._shapes_due = [shape for shape in self._shapes_due if shape.from_s >= until_s]
        self._look_ahead()
        return Cues(
            words=tuple(
                WordCue(word.begin, word.end, at_ms + 1000 * word.from_s, at_ms + 1000 * word.to_s)
                for word in words
            ),
            visemes=tuple(VisemeCue(shape.viseme, at_ms + 1000 * shape.from_s) for shape in shapes),
            are_words_estimated=any(word.is_estimated for word in words),
            are_visemes_estimated=any(shape.is_estimated for shape in shapes),
        )

    def again(self, from_s: float) -> None:
        """What is heard from there on is to be told again."""
        self._words_due = [word for word in self._words if word.to_s > from_s]
        self._shapes_due = [shape for shape in self._shapes if shape.from_s >= from_s]
        self._look_ahead()

    def _look_ahead(self) -> None:
        words, shapes = self._words_due, self._shapes_due
        times = (*(word.from_s for word in words), *(shape.from_s for shape in shapes))
        self.due_at_s = min(times, default=math.inf)

    def heard(self, text: str, until_s: float) -> int | None:
        """Returns how many characters of the text were heard by then; None: its words have no times.

        Only whole words that were heard to their end, with the punctuation that they bear; what stands
        behind them and is not said, a dash, counts with the next word.
        """
        if not self._words:
            return None
        ends = [word.end for word in self._words if word.to_s <= until_s + _TOLERANCE_S]
        begins = [word.begin for word in self._words if word.to_s > until_s + _TOLERANCE_S]
        first = min(begins, default=len(text))
        last = max((end for end in ends if end <= first), default=0)
        whole = [it.end() for it in _TOKEN.finditer(text) if it.start() < last and it.end() <= first]
        return max(whole, default=0)
