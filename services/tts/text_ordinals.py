"""Ordinals and Roman numbers: who reigned as which, which chapter, which century. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from services.tts.text_numbers import english_ordinal, english_year, french, french_ordinal
from services.tts.text_words import Rule, Words, rule

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_WELL_FORMED = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_REIGNED = (
    "Louis|Henry|Henri|Charles|Georges?|Edward|Édouard|Elizabeth|Élisabeth|William|Guillaume|Philippe?|Napol[eé]on|"
    "John "
    "Paul|Jean-Paul|Jean|Benedict|Benoît|Pius|Pie|Francis|François|Peter|Pierre|Catherine|Leo|Léon|Richard|"
    "James|Jacques|Mary|Frederick|Frédéric|Ivan|Nich?olas|Alexand(?:er|re)|Urbain?|Clovis|Ramesses|Ramsès|"
    "Ptolemy|Ptolémée|Innocent|Gregory|Grégoire|Clement|Clément|Paul|Wilhelm|Gustave?|Christian|Alphonse|Alfonso"
)
_NUMBERED = {
    "en": "Chapter|Part|Act|Scene|Volume|Vol|Book|Section|Article|Phase|Type|Level|World War|Episode|"
          "Super Bowl|"          "Class|Stage|Title|Appendix|Mark|Tier",
    "fr": "Chapitre|Partie|Acte|Scène|Volume|Tome|Livre|Section|Article|Phase|Type|Niveau|Épisode|Classe|"
          "Titre|"          "Annexe|Guerre mondiale|Paris",
}  # fmt: skip


_COUNTED = r"\b((?i:{names})) ([IVX][IVXLC]*|[LC][IVXLC]+)(?!\w)"
_FOLLOWED = r"\b([A-ZÉ][^\W\d_]+) (II|III|IV|VI{1,3}|IX|XI{1,3}|XI?V|XVI{1,3})(?!\w)"
"""A name and a Roman number that is no word and no abbreviation: ``Rocky IV``."""


def ordinals(words: Words) -> list[Rule]:
    """Returns the rules of places in a succession."""
    return _english_ordinals() if words.language == "en" else _french_ordinals()


def roman(numeral: str) -> int | None:
    """Returns the value of a well-formed Roman number, else None."""
    if not numeral or not _WELL_FORMED.fullmatch(numeral):
        return None
    values = [_ROMAN[letter] for letter in numeral]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def _english_ordinals() -> list[Rule]:

    def reigned(match: re.Match[str]) -> str | None:
        number = roman(match[2])
        return f"{match[1]} the {english_ordinal(number)}" if number else None

    ends = r"(?=\s*(?:[,.;:)!?]|$|of\b|was\b|reigned|died|became|ruled|had\b))"
    return [
        rule(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b",
             lambda m: english_ordinal(int(m[1].replace(",", ""))), "0"),
        rule(rf"\b({_REIGNED}) ((?=[IVX])(?:[VX][IVX]*|I[IVX]+|I{ends}))(?![\w.]\w|\w)", reigned, "IVX"),
        rule(_COUNTED.format(names=_NUMBERED["en"]), lambda m: _counted_roman(m, english_year), "IVXL"),
        rule(_FOLLOWED, lambda m: _counted_roman(m, english_year), "IVX"),
    ]  # fmt: skip


def _french_ordinals() -> list[Rule]:
    written = r"(?:e|ème|ième|è|ᵉ|nde?|ères?|ers?|res?)"

    def ordinal(match: re.Match[str]) -> str:
        ending = match[2]
        if ending.startswith("nd"):
            return "seconde" if ending == "nde" else "second"
        said = french_ordinal(int(match[1].replace(" ", "")), is_feminine=ending.startswith(("re", "èr")))
        return said + "s" if ending.endswith("s") or match[3] else said

    def reigned(match: re.Match[str]) -> str | None:
        number = roman(match[2])
        if not number:
            return None
        if number == 1:
            return f"{match[1]} premier"
        return f"{match[1]} {french(number)}"

    return [
        rule(rf"(?<![\w.,])(\d{{1,3}}(?: \d{{3}})+|\d+)({written})(s)?\b", ordinal, "0"),
        rule(rf"\b({_REIGNED}) (I(?=er\b)|[VX][IVX]*|I[IVX]+)(?:er)?(?!\w)", reigned, "IVX"),
        rule(r"\bIer\b", "premier", "I"),
        rule(r"\bI[èr]re\b", "première", "I"),
        rule(_COUNTED.format(names=_NUMBERED["fr"]), lambda m: _counted_roman(m, french), "IVXL"),
        rule(_FOLLOWED, lambda m: _counted_roman(m, french), "IVX"),
    ]  # fmt: skip


def _counted_roman(match: re.Match[str], say: Callable[[int], str]) -> str | None:
    number = roman(match[2])
    return f"{match[1]} {say(number)}" if number else None
