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

_CLOSERS = "\"'»«”“’‘)]}」』）】》"
_OPENERS = "\"'«»“„‘‚([{「『（【《¿¡"
_PAIRS = {
    "«": "»", "“": "”", "„": "“", "‚": "‘", "(": ")", "[": "]", "{": "}",
    "「": "」", "『": "』", "（": "）", "【": "】", "《": "》",
}  # fmt: skip
_CLIPPED = words("n s d m t ll re ve em cause til till tis twas bout round cos")
"""Written with an apostrophe in front."""
_ENDS = "!?。！？؟।"
_PAUSES = ",;:、，；：،؛—–"

_NEVER_LAST = words(
    "mr mrs ms dr nr núm prof m mm mme mmes mlle mlles mgr msgr st ste sr sra srta dra dña dn rev hon "
    "gen sen gov col capt lt sgt vs cf p pp ex fig vol ch chap ed eds dept approx env av apr tel tél bd "
    "ave blvd resp e.g i.e ph.d viz al www ca bzw bspw evtl ggf inkl sog vgl mio mrd ee sig dott avv dhr "
    "mevr bijv"
)
"""Abbreviations that something always follows."""
_TITLES = words("Me Fr Pr Hr Rep Pres Mt Ft Ud Uds")
"""The same, but only with a capital letter."""
_BEFORE_NUMBERS = words("no nos art min max")
"""Abbreviations only where a number follows, and words otherwise."""
_BEFORE_ORDINALS = words("am der dem den die das des zum vom beim bis ab seit im")
"""Behind these German writes an ordinal as a number with a dot."""
_SOMETIMES_LAST = words("etc usw s.v.p inc ltd co corp jr a.m p.m bros")
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
_UNIT_ABBREVIATED = re.compile(r"[ghlms]\.$")
_ORDINAL = re.compile(r"\d{1,2}\.$")
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


def border(  # noqa: PLR0911 - a table of cases
    word: str, gap: str, following: str, *, before: str = "", is_line_start: bool
) -> Border:
    """Judges the border behind ``word``.

    ``before`` is the word before it, ``following`` the first character behind the gap, if any.
    """
    if "\n" in gap or not following:
        return Border.HARD
    if is_line_start and _MARKER.match(word):
        return Border.NONE
    if gap and following in "!?;:»%…)]}’”":
        return Border.NONE  # French sets these off with a space
    core = word.rstrip(_CLOSERS)
    if not core:
        core = before.rstrip(_CLOSERS)  # a mark that is set off closes what stands before it
        word = f"{core}{word}"
    if core.endswith(tuple(_ENDS)):
        is_quoted = core != word
        return Border.NONE if is_quoted and following.islower() else Border.SENTENCE
    if _ELLIPSIS.search(core):
        return Border.NONE if following.islower() or not gap else Border.SENTENCE
    if core.endswith("."):
        if not gap and following.isascii():
            return Border.NONE
        if _UNIT_ABBREVIATED.match(core) and before[-1:].isdigit() and not following.islower():
            return Border.SENTENCE
        is_ordinal = _ORDINAL.match(core) is not None and before.casefold() in _BEFORE_ORDINALS
        return Border.NONE if is_ordinal else _dot(core.lstrip(_OPENERS), following)
    if core.endswith(",") and core[-2:-1].isdigit() and following.isdigit():
        return Border.NONE  # a date, or numbers in a row
    if core.endswith(tuple(_PAUSES)) or word in {"-", "--"}:
        return Border.CLAUSE
    return _breath(core, gap, following)


def _dot(word: str, following: str) -> Border:
    bare = re.split(r"['’]", word)[-1][:-1]
    stem = bare.casefold()
    if following.islower() or stem in _NEVER_LAST or bare in _TITLES:
        return Border.NONE
    if following.isdigit() and (stem in _MONTHS or stem in _BEFORE_NUMBERS or stem.endswith("str")):
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
    if not core.endswith(".") or not letters.isalpha() or len(letters) < 2:
        return False
    if letters.casefold() in _MONTHS:  # a number may follow
        return False
    return _dot(core.lstrip(_OPENERS), "A") is Border.SENTENCE


def opened(word: str, before: str) -> str:
    """Returns the closing marks awaited behind ``word``, the innermost last; before it ``before`` were."""
    awaited = before
    for index, char in enumerate(word):
        if char in awaited and not (char in "'’" and not _is_end(word, index)):
            awaited = awaited[: awaited.rindex(char)]
        elif char in _PAIRS:
            awaited += _PAIRS[char]
        elif _is_beginning(word, index):
            awaited += {"»": "«", "‘": "’"}.get(char, char)
    return awaited


def _is_end(word: str, index: int) -> bool:
    """Whether only marks follow, so that it is no apostrophe within a word."""
    return not any(char.isalnum() for char in word[index:])


def _is_beginning(word: str, index: int) -> bool:
    """Whether this opens a quotation with a mark that may stand for something else: an apostrophe, inches."""
    if word[index] not in "\"'‘»" or any(char.isalnum() for char in word[:index]):
        return False
    rest = word[index + 1 :].rstrip(_CLOSERS + ".,;:!?…")
    if word[index] == '"':
        return True
    return rest[:1].isalpha() and rest.casefold() not in _CLIPPED
