"""Which words of a line are still to be said when its sound broke off. Pure.

A word of which most was heard is not said again. The voice's own times decide where it tells any: those of
words, else those of its sounds; else it is a matter of proportion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.tts.engine import Line, Phone, SpokenWord
from services.tts.judge import USUAL_CHARACTERS_A_SECOND, is_speech, stretch

HEARD_SHARE = 0.7
"""Of a word: then it was understood."""
LIKELY_SHARE = 0.5
"""Likewise where it is a guess: a word that is heard twice is better than one that is lost."""
_WORD = re.compile(r"\S+")


def is_sayable(text: str) -> bool:
    """Whether there is a letter or a digit in a text."""
    return any(character.isalnum() for character in text)


def rest(
    line: Line, heard_s: float, *, words: Sequence[SpokenWord] = (), phones: Sequence[Phone] = ()
) -> int:
    """Returns where in ``line.text`` the first word begins that was not heard; its length: all were.

    ``heard_s``: of the line's audio, seconds.
    """
    if heard_s <= 0.0:
        return 0
    if words:
        begins = (word.begin for word in words if not _was_heard(word.start_s, word.end_s, heard_s))
        return next(begins, len(line.text))
    spans = [found.span() for found in _WORD.finditer(line.text) if is_sayable(found.group())]
    if speech := [phone for phone in phones if is_speech(phone)]:
        groups = _groups(phones)
        if len(groups) == len(spans):
            unheard = (
                span[0]
                for span, (start_s, end_s) in zip(spans, groups, strict=True)
                if not _was_heard(start_s, end_s, heard_s)
            )
            return next(unheard, len(line.text))
        share = sum(phone.end_s <= heard_s for phone in speech) / len(speech)
        letters = sum(end - begin for begin, end in spans)
        return _behind(spans, share * letters, len(line.text))
    budget = heard_s / stretch(line) * USUAL_CHARACTERS_A_SECOND
    for begin, end in spans:
        if budget < LIKELY_SHARE * (end - begin):
            return begin
        budget -= end - begin + 1
    return len(line.text)


def _was_heard(start_s: float, end_s: float, heard_s: float) -> bool:
    return heard_s >= start_s + HEARD_SHARE * (end_s - start_s)


def _behind(spans: Sequence[tuple[int, int]], letters: float, length: int) -> int:
    """Returns where the first word begins of which less than most lies within so many letters."""
    for begin, end in spans:
        if letters < HEARD_SHARE * (end - begin):
            return begin
        letters -= end - begin
    return length


def _groups(phones: Sequence[Phone]) -> list[tuple[float, float]]:
    """Returns begin and end of the sounds between two blanks, seconds."""
    found: list[tuple[float, float]] = []
    is_open = False
    for phone in phones:
        if is_speech(phone):
            found.append((found.pop()[0] if is_open else phone.start_s, phone.end_s))
            is_open = True
        elif phone.symbol.isspace():
            is_open = False
    return found
