"""Which sounds are which words. Pure.

espeak-ng does not group sounds as a text is written: "out of" is one group, "1984" are six, "c'est-à-dire" is
one. Groups and words are matched in order, several of one side to one of the other where that fits better, by
their lengths (the idea of Gale and Church, 1993, for sentences of a translation) and by the first sound of
each. Every word gets a span: none is lost, whatever the sounds are.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from services.tts.engine import Phone

Span = tuple[float, float]
"""Beginning and end, seconds."""

LETTERS_A_DIGIT = 4
MOST_GROUPS, MOST_WORDS = 6, 4
_UNEVEN = 0.8
"""Cost of each group or word beyond one to one, in squared deviations of length."""
_STRANGE = 1.5
"""Cost of a first sound that its letters do not make."""
_VOWELS = "aeiouyhæœ"
_LETTERS = {
    "p": "pb", "b": "b", "t": "tds", "d": "dt", "k": "ckqxg", "ɡ": "g", "g": "g", "f": "fp", "v": "vwf",
    "s": "scçzxp", "z": "zsx", "ʃ": "scj", "ʒ": "jgsz", "m": "m", "n": "nkgpm", "ŋ": "n", "ɲ": "gn", "l": "l",
    "r": "rw", "ɹ": "rw", "ʁ": "r", "ɾ": "rtd", "h": "hwj", "w": "wouq", "ɥ": "uhy", "j": "yijue", "ð": "t",
    "θ": "t", "x": "chjg",
}  # fmt: skip


_STEPS = [
    (1, 1),
    *((taken, 1) for taken in range(2, MOST_GROUPS + 1)),
    *((1, said) for said in range(2, MOST_WORDS + 1)),
]
Pair = tuple[Sequence[list[Phone]], Sequence[str]]


def is_sound(phone: Phone) -> bool:
    """Whether it is a sound of speech: neither a blank, nor punctuation, nor a mark of the model's."""
    return any(unicodedata.category(char)[0] in "LM" for char in phone.symbol)


def groups(phones: Sequence[Phone]) -> list[list[Phone]]:
    """Returns the sounds between the pauses."""
    runs = itertools.groupby(phones, is_sound)
    return [list(run) for is_sounding, run in runs if is_sounding]


def aligned(words: Sequence[str], phones: Sequence[Phone]) -> list[Span]:
    """Returns when each word is said; nothing if there is no sound.

    Args:
        words: as they are spoken, each with a letter or digit.
        phones: of the whole line, in order.
    """
    found = groups(phones)
    if not found or not words:
        return []
    if len(found) == len(words) and all(map(_fits, found, words)):
        return [_span(group) for group in found]
    spans: list[Span] = []
    for some_groups, some_words in _matched(found, words):
        spans += _shared([phone for group in some_groups for phone in group], some_words)
    return spans


def weight(word: str) -> int:
    """Returns how much there is to say of a word: letters, one at least; a digit is a word of its own."""
    return max(1, sum(LETTERS_A_DIGIT if char.isdigit() else char.isalpha() for char in word))


def _span(phones: Sequence[Phone]) -> Span:
    return phones[0].start_s, phones[-1].end_s


def _base(phone: Phone) -> str:
    """Returns the sound's first letter, without stress, length and other modifiers; "": it is only such."""
    return next((char for char in phone.symbol if unicodedata.category(char) in {"Ll", "Lo", "Lu"}), "")


def _first(group: Sequence[Phone]) -> str:
    return next(filter(None, map(_base, group)), "")


def _count(group: Sequence[Phone]) -> int:
    return max(1, sum(bool(_base(phone)) for phone in group))


def _initial(word: str) -> str:
    """Returns the word's first letter, without its accent; "": a digit, or another script's, is any sound."""
    char = next((char for char in word.lower() if char.isalnum()), "")
    letter = unicodedata.normalize("NFD", char)[:1]
    return letter if letter.isascii() and letter.isalpha() else ""


def _makes(letter: str, sound: str) -> bool:
    return not letter or letter in _LETTERS.get(sound, _VOWELS)


def _fits(group: Sequence[Phone], word: str) -> bool:
    sounds, letters = _count(group), weight(word)
    return _makes(_initial(word), _first(group)) and sounds <= 2 * letters + 1 and letters <= 3 * sounds + 2


def _matched(found: Sequence[list[Phone]], words: Sequence[str]) -> Iterator[Pair]:
    """Yields the cheapest pairs of neighbours, by dynamic programming: row by row, a row at once."""
    many, few = len(found), len(words)
    costs = _costs(found, words)
    best = np.full((many + 1, few + 1), np.inf)
    best[0, 0] = 0.0
    steps = np.zeros((many + 1, few + 1), np.int64)
    for row in range(1, many + 1):
        options = np.full((len(_STEPS), few + 1), np.inf)
        for number, (taken, said) in enumerate(_STEPS):
            if taken <= row and said <= few:
                options[number, said:] = best[row - taken, : few + 1 - said] + costs[number][row - taken]
        steps[row] = options.argmin(axis=0)
        best[row] = options.min(axis=0)
    if not np.isfinite(best[many, few]):
        yield found, words
        return
    row, column = many, few
    pairs: list[Pair] = []
    while row:
        taken, said = _STEPS[steps[row, column]]
        pairs.append((found[row - taken : row], words[column - said : column]))
        row, column = row - taken, column - said
    yield from reversed(pairs)


def _costs(found: Sequence[list[Phone]], words: Sequence[str]) -> list[npt.NDArray[np.float64]]:
    """Returns for each step what it costs from each group (row) and word (column) on."""
    sounds, letters = _sums(map(_count, found)), _sums(map(weight, words))
    rate = sounds[-1] / letters[-1]
    initials = [_initial(word) for word in words]
    firsts = [_first(group) for group in found]
    strange = np.array([[not _makes(letter, first) for letter in initials] for first in firsts])
    costs = []
    for taken, said in _STEPS:
        expected = rate * (letters[said:] - letters[: max(0, len(letters) - said)])
        off = (sounds[taken:] - sounds[: max(0, len(sounds) - taken)])[:, None] - expected[None, :]
        cost = off**2 / (expected + 1) + _UNEVEN * (taken + said - 2)
        costs.append(cost + _STRANGE * strange[: cost.shape[0], : cost.shape[1]])
    return costs


def _sums(counts: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.array([0, *itertools.accumulate(counts)])


def _shared(phones: Sequence[Phone], words: Sequence[str]) -> list[Span]:
    """Shares sounds among words that follow one another without a pause: by letters, between two sounds."""
    if len(words) == 1:
        return [_span(phones)]
    weights = [int(part) for part in _sums(map(weight, words))]
    start_s, end_s = _span(phones)
    if len(phones) < len(words):
        ends = [start_s + (end_s - start_s) * part / weights[-1] for part in weights]
    else:
        ends = [start_s]
        at = 0
        for number, part in enumerate(weights[1:], 1):
            at = max(at + 1, min(round(len(phones) * part / weights[-1]), len(phones) - len(words) + number))
            ends.append(phones[at - 1].end_s)
    return list(itertools.pairwise(ends))
