"""The words that differ between the languages whose numbers and signs are written out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from services.tts.text_numbers import Numerals

Forms = tuple[str, str]
"""For one, for several."""
Say = Callable[[re.Match[str]], str | None]
"""What is said of a match; None: it is none after all."""


@dataclass(frozen=True)
class Rule:
    """A written form and what is said of it."""

    pattern: re.Pattern[str]
    say: str | Say
    needs: frozenset[str] = frozenset()
    """One of these is in every match, ``0``: a digit; looked for first, since most lines have none."""


def rule(pattern: str, say: str | Say, needs: str = "", *, flags: int = 0) -> Rule:
    """Returns a rule of a pattern as it is written."""
    return Rule(re.compile(pattern, flags), say, frozenset(needs))


@dataclass(frozen=True)
class Words:
    """One language."""

    language: str
    numerals: Numerals
    number: str
    """Pattern of a number >= 0 as it is written, with separators."""
    signs: dict[str, str]
    """What a sign is called: ``.``, ``@``, ``/`` …"""
    link: str
    to: str
    months: tuple[str, ...]
    currencies: dict[str, Forms]
    cents: Forms
    magnitudes: dict[str, Forms]
    """What may stand between an amount and its currency, short or long."""
    joint: str
    """Between a million and its currency."""
    units: dict[str, Forms]
    feminine: frozenset[str]
    """Names of units and currencies before which *one* has its other form."""
    letters: dict[str, str]
    """Letters that a voice says wrong when they stand alone."""
    letter_joint: str
    acronyms: frozenset[str]
    """Capitals that are said as a word."""
    abbreviations: tuple[tuple[str, str], ...]
    """Patterns, tried in order."""

    def plain(self, number: str) -> str:
        """Returns a written number as digits with a full stop before its decimals."""
        if self.language == "en":
            return number.replace(",", "").replace(" ", "")
        number = number.replace(" ", "")
        if re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?", number):
            number = number.replace(".", "")
        return number.replace(",", ".")

    def say(self, number: str, name: str = "") -> str:
        """Returns a written number in words, before the thing called ``name``."""
        said = self.numerals.decimal(self.plain(number))
        return said + "e" if name in self.feminine and said.endswith("un") else said

    def counted(self, number: str, forms: Forms) -> str:
        """Returns so many of a thing."""
        name = forms[not self.is_one(number)]
        return f"{self.say(number, forms[0])} {name}"

    def is_one(self, number: str) -> bool:
        """Whether a thing so often is in the singular."""
        plain = self.plain(number)
        return plain == "1" if self.language == "en" else float(plain) < 2

    def spelled(self, letters: str) -> str:
        """Returns letters (and digits) one by one, as an abbreviation is said."""
        letters = letters.upper()
        if len(letters) == 1:
            return self.letters.get(letters, letters)
        return self.letter_joint.join(
            self.letters.get(x, x) if self.letter_joint == " " else x for x in letters
        )

    def slowly(self, text: str) -> str:
        """Returns every letter, digit and sign by its name, with a pause between."""
        return ", ".join(name for name in map(self._name, text) if name)

    def _name(self, char: str) -> str:
        if char.isdecimal():
            return self.numerals.digits(char)
        return self.spelled(char) if char.isalpha() else self.signs.get(char, "")
