"""What stands between two words: the end of a sentence, of a clause, a place for a breath, or nothing.

Pure. Borders are judged from one word, the gap behind it and the first character of the next word: a
dot ends a sentence only if what follows looks like a beginning. Where it is not sure, two sentences stay
together: that costs a little time, a sentence torn at ``Mr.`` costs the sense. The tables hold what
English and French write with a dot; scripts without spaces have their own full stops.
"""

from __future__ import annotations

import re
from enum import IntEnum

from services.llm.tables import words

SPACELESS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
"""Letters of scripts that do not separate words (kana, Han), as a regular expression's class."""
SPACELESS_WORD = 0.5
"""What one such letter counts as, in words."""

_CLOSERS = "\"'»”’)]}」』）】》"
_OPENERS = "\"'«“‘([{「『（【《"
_ENDS = "!?。！？؟।"
_PAUSES = ",;:、，；：،؛—–"

_NEVER_LAST = words(
    "mr mrs ms dr prof m mm mme mmes mlle mlles me mgr st ste sr sra rev hon gen col capt lt sgt vs "
    "cf p pp ex no nos fig art vol ch chap ed eds dept approx env av apr tel tél bd ave blvd resp max "
    "min e.g i.e viz al www"
)
"""Abbreviations that something always follows."""
_SOMETIMES_LAST = words("etc inc ltd co corp jr a.m p.m bros")
_MONTHS = words("jan feb mar apr jun jul aug sep sept oct nov dec janv févr fév avr juil août déc")
_WEAK = words(
    "a an the of to in on at for from with by and or but nor so as if than that which who whom whose "
    "my your his her its our their this these those is are was were be been am will would can could "
    "should may might must shall have has had do does did not no i he she it we they about into very "
    "too more most le la les un une des du de à au aux en dans sur sous par pour avec sans chez vers "
    "et ou mais donc ni car que qui dont où ce cet cette ces mon ma mes ton ta tes son sa ses notre "
    "nos votre vos leur leurs je tu il elle on nous vous ils elles ne se me te y plus très est sont "
    "était étaient ai as avons avez ont été être si comme bien"
)  # fmt: skip
"""Words that lean on the next one: no breath behind them."""

_DOTTED = re.compile(r"(?:[^\W\d_]\.-?){2,}$")
_INITIAL = re.compile(r"[^\W\d_]\.$")
_MARKER = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z])[.)]$")
_ELLIPSIS = re.compile(r"(?:\.{2,}|…)$")


class Border(IntEnum):
    """How well a segment may end here."""

    NONE = 0
    SOFT = 1
    """Between two words of a phrase; only if it cannot wait."""
    CLAUSE = 2
    SENTENCE = 3
    HARD = 4
    """A new line: list items, headings, paragraphs."""


def border(word: str, gap: str, following: str, *, is_line_start: bool) -> Border:  # noqa: PLR0911 - a table of cases
    """Judges the border behind ``word``; ``following`` is the first character after the gap, if any."""
    if "\n" in gap or not following:
        return Border.HARD
    if is_line_start and _MARKER.match(word):
        return Border.NONE
    if gap and following in "!?;:»%…)]}’”":
        return Border.NONE  # French sets these off with a space
    core = word.rstrip(_CLOSERS)
    if core.endswith(tuple(_ENDS)):
        is_quoted = core != word
        return Border.NONE if is_quoted and following.islower() else Border.SENTENCE
    if _ELLIPSIS.search(core):
        return Border.NONE if following.islower() or not gap else Border.SENTENCE
    if core.endswith("."):
        return _dot(core.lstrip(_OPENERS), following) if gap or not following.isascii() else Border.NONE
    if core.endswith(tuple(_PAUSES)) or word in {"-", "--"}:
        return Border.CLAUSE
    return _breath(core, gap, following)


def _dot(word: str, following: str) -> Border:
    stem = re.split(r"['’]", word.casefold())[-1][:-1]
    if following.islower() or stem in _NEVER_LAST:
        return Border.NONE
    if stem in _MONTHS and following.isdigit():
        return Border.NONE
    if stem in _SOMETIMES_LAST or word == "I.":
        return Border.SENTENCE
    if _DOTTED.match(word) or _INITIAL.match(word):
        return Border.NONE
    return Border.SENTENCE


def _breath(word: str, gap: str, following: str) -> Border:
    """A cut between plain words: not behind a leaning word, never beside a number (dates, units)."""
    if re.match(f"[{SPACELESS}]", following) and re.search(f"[{SPACELESS}]$", word):
        return Border.SOFT
    is_wordlike = word[-1:].isalpha() and (following.isalpha() or following in "«“\"'(")
    if not gap or not is_wordlike or word.casefold().lstrip(_OPENERS) in _WEAK:
        return Border.NONE
    return Border.NONE if any(char.isdigit() for char in word) else Border.SOFT


def is_sentence(text: str) -> bool:
    """Whether a text that stops here looks like a whole sentence, whatever may follow."""
    word = text.rstrip().rpartition(" ")[2]
    core = word.rstrip(_CLOSERS)
    if core.endswith(tuple(_ENDS)):
        return True
    letters = core.lstrip(_OPENERS).rstrip(".")
    return (
        core.endswith(".") and letters.isalpha() and len(letters) > 1 and _dot(core, "A") is Border.SENTENCE
    )


def depth(word: str, before: int) -> int:
    """Returns how many brackets and quotes are open behind ``word``; a straight quote opens or closes."""
    opened = before
    for char in word:
        if char in "«“([{「『（【《":
            opened += 1
        elif char in "»”)]}」』）】》":
            opened = max(0, opened - 1)
        elif char == '"':
            opened = opened - 1 if opened and word.rstrip(".,;:!?…").endswith('"') else opened + 1
    return opened
