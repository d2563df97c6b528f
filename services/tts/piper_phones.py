"""From Piper's phonemes to its ids and back to times; where a long line may be cut. Pure.

Piper writes a line as ``^ _ h _ ə _ … $``: a beginning, each phoneme followed by a pad, an end. Its
durations are whole frames for each id; a pad belongs to the phoneme before it, as in Piper's own
alignments. Beginning and end are silence. Marks that espeak-ng writes as letters of their own go with the
sound that they change.

The text part sees the whole line at once and costs more the longer it is. So a long line is encoded in
several runs, each with some words before and behind the part that is kept: what is kept was computed in its
context, and there is no pause and no other melody where two parts meet. A part ends behind punctuation
where there is some, else between two words.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.tts.engine import Phone

PAD, BOS, EOS = "_", "^", "$"
BLANK = " "
CUT_FROM = 56
"""Phonemes, about 10 words: a shorter line is encoded at once."""
FIRST_LEAST, FIRST_MOST = 12, 28
"""Phonemes of the first part where punctuation tells its end: 3 to 5 words."""
FIRST = 16
"""Likewise, where a blank has to do."""
SECOND_LEAST, SECOND_MOST, SECOND = 24, 60, 40
"""Of the second, for which there is as much time as the first sound lasts."""
LATER_LEAST, LATER_MOST, LATER = 60, 130, 90
BEFORE, BEHIND = 16, 10
"""Phonemes of context, at least, rounded up to words."""
_PAUSES = frozenset(",;:.!?…—–")
_WITH_THE_NEXT = frozenset("ˈˌ")
_WITH_THE_LAST = frozenset("ːˑ˞ʰʲˤʷ")


@dataclass(frozen=True, kw_only=True)
class Span:
    """Phonemes ``begin:end`` are kept of a run over ``first:last``."""

    begin: int
    end: int
    first: int
    last: int


def spans(phonemes: Sequence[str]) -> list[Span]:
    """Returns the runs in which a sentence is encoded; one that is not long: a single one."""
    total = len(phonemes)
    if total <= CUT_FROM:
        return [Span(begin=0, end=total, first=0, last=total)]
    found = []
    begin = 0
    plan = itertools.chain(
        [(FIRST_LEAST, FIRST_MOST, FIRST), (SECOND_LEAST, SECOND_MOST, SECOND)],
        itertools.repeat((LATER_LEAST, LATER_MOST, LATER)),
    )
    while begin < total:
        least, most, usual = next(plan)
        end = total
        if total - begin > most:
            end = _border(phonemes, begin + least, begin + most, begin + usual)
        first = _word_before(phonemes, begin - BEFORE)
        last = _word_behind(phonemes, end + BEHIND)
        found.append(Span(begin=begin, end=end, first=first, last=last))
        begin = end
    return found


def ids_of(phonemes: Sequence[str], id_map: Mapping[str, Sequence[int]]) -> tuple[list[int], list[int]]:
    """Returns the ids, and for each the index of its phoneme: -1 the beginning, ``len(phonemes)`` the end.

    What the voice does not know is left out, as Piper does. Raises ``KeyError``: no pad, beginning or end.
    """
    ids, owners = [], []
    for index, symbol in enumerate([BOS, *phonemes], start=-1):
        known = id_map[BOS] if index < 0 else id_map.get(symbol, ())
        if known:
            made = [*known, *id_map[PAD]]
            ids += made
            owners += [index] * len(made)
    ids += id_map[EOS]
    owners += [len(phonemes)] * len(id_map[EOS])
    return ids, owners


def frames_of(count: int, owners: Sequence[int], durations: Sequence[float]) -> list[int]:
    """Returns the frames of the beginning, of each of ``count`` phonemes, and of the end."""
    frames = [0] * (count + 2)
    for owner, duration in zip(owners, durations, strict=True):
        frames[owner + 1] += int(duration)
    return frames


def phones(phonemes: Sequence[str], frames: Sequence[int | None], frame_s: float) -> tuple[Phone, ...]:
    """Returns the sounds and their times.

    Args:
        phonemes: of a line, ``^`` and ``$`` among them.
        frames: of each; None: not yet known, then as long as such are that are known.
        frame_s: seconds of one.
    """
    guess = _guesses(phonemes, frames)
    ends = itertools.accumulate(
        guess(symbol) if n is None else n for symbol, n in zip(phonemes, frames, strict=True)
    )
    found: list[Phone] = []
    at, is_open = 0.0, False
    for symbol, end in zip(phonemes, ends, strict=True):
        shown = BLANK if symbol in {BOS, EOS} else symbol
        joins = found and (is_open or _is_mark(shown)) and not shown.isspace()
        if joins and not found[-1].symbol.isspace():
            last = found.pop()
            found.append(Phone(symbol=last.symbol + shown, start_s=last.start_s, end_s=end * frame_s))
        elif end > at or shown in _WITH_THE_NEXT or symbol not in {BOS, EOS}:
            found.append(Phone(symbol=shown, start_s=at * frame_s, end_s=end * frame_s))
        is_open = shown in _WITH_THE_NEXT or (is_open and _is_mark(shown))
        at = end
    return tuple(found)


def _is_mark(symbol: str) -> bool:
    return symbol in _WITH_THE_LAST or all(unicodedata.combining(letter) for letter in symbol)


class _guesses:  # noqa: N801 - a function with a memory
    """How long a phoneme is that is not yet known, frames."""

    def __init__(self, phonemes: Sequence[str], frames: Sequence[int | None]) -> None:
        known = [(symbol, n) for symbol, n in zip(phonemes, frames, strict=True) if n is not None]
        every = [n for symbol, n in known if symbol not in {BOS, EOS}]
        of: dict[str, list[int]] = {}
        for symbol, n in known:
            of.setdefault(symbol, []).append(n)
        self._of = {symbol: sum(sample) / len(sample) for symbol, sample in of.items()}
        self._usual = sum(every) / len(every) if every else 0.0

    def __call__(self, symbol: str) -> float:
        return self._of.get(symbol, self._usual)


def _border(phonemes: Sequence[str], least: int, most: int, usual: int) -> int:
    """Returns where a word begins: behind punctuation between the bounds, else near the usual place."""
    words = list(_words(phonemes))
    paused = [at for at in words if least <= at <= most and phonemes[at - 2] in _PAUSES]
    if paused:
        return paused[0]
    return next((at for at in words if at >= usual), len(phonemes))


def _words(phonemes: Sequence[str]) -> Iterator[int]:
    """Yields where words begin, the first excepted."""
    for index in range(2, len(phonemes)):
        if phonemes[index - 1] == BLANK:
            yield index


def _word_before(phonemes: Sequence[str], at: int) -> int:
    return max((word for word in _words(phonemes) if word <= at), default=0)


def _word_behind(phonemes: Sequence[str], at: int) -> int:
    return next((word for word in _words(phonemes) if word >= at), len(phonemes))
