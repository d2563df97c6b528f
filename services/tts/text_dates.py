"""Dates, months, decades and centuries. Pure."""

from __future__ import annotations

import re

from services.tts.text_numbers import english, english_ordinal, english_year, french, french_ordinal
from services.tts.text_ordinals import roman
from services.tts.text_words import Rule, Words, rule

_MONTH, _DAY = r"(0?[1-9]|1[0-2])", r"(0?[1-9]|[12]\d|3[01])"
_SHORT = {
    "en": {"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Sept": 9,
           "Oct": 10,           "Nov": 11, "Dec": 12},
    "fr": {"janv": 1, "févr": 2, "avr": 4, "juil": 7, "sept": 9, "oct": 10, "nov": 11, "déc": 12},
}  # fmt: skip
_DAYS = {"Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday",
         "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday"}  # fmt: skip


def dates(words: Words) -> list[Rule]:
    """Returns the rules of what a calendar counts."""
    is_english = words.language == "en"
    first, second = (_MONTH, _DAY) if is_english else (_DAY, _MONTH)

    def iso(match: re.Match[str]) -> str:
        at = f" {'at' if is_english else 'à'} " if match[4] else ""
        return _date(words, match[3], match[2], match[1]) + at

    def slashed(match: re.Match[str]) -> str | None:
        day, month = (match[2], match[1]) if is_english else (match[1], match[2])
        return _date(words, day, month, match[3])

    def month_only(match: re.Match[str]) -> str:
        month, year = (match[2], match[1]) if match[1] else (match[3], match[4])
        return f"{words.months[int(month) - 1]} {_year(words, year)}"

    def without_year(match: re.Match[str]) -> str | None:
        day, month = (match[2], match[1]) if is_english else (match[1], match[2])
        has_zero = "0" in {day[0], month[0]}
        return _date(words, day, month, "") if has_zero and int(month) <= 12 else None

    return [
        rule(rf"(?<![\w-])(\d{{4}})-{_MONTH}-{_DAY}(?:(T)(?=\d\d:)|(?![\w-]))", iso, "-"),
        rule(rf"(?<![\w/]){first}/{second}/(\d{{4}}|\d{{2}})(?![\w/])", slashed, "/"),
        rule(rf"(?<![\w/.]){_DAY}[./-]{_MONTH}[./-](\d{{4}})(?![\w/]|\.\d)",
             lambda m: _date(words, m[1], m[2], m[3]), "./-"),
        rule(r"(?<![\w-])(20\d\d)-(0[1-9])(?![\w-])|(?<![\w/])(0[1-9]|1[0-2])/(\d{4})(?![\w/])",
             month_only, "-/"),
        rule(r"(?<![\w/])(0[1-9]|[12]\d|3[01])/(0[1-9]|[12]\d|3[01])(?![\w/])", without_year, "/"),
        rule(r"(?<![\w:.])(\d{4})-(\d{4})(?![\w-])", lambda m: _years(words, m[1], m[2]), "-"),
        *(_english_calendar(words) if is_english else _french_calendar(words)),
    ]  # fmt: skip


def _date(words: Words, day: str, month: str, year: str) -> str:
    name, number = words.months[int(month) - 1], int(day)
    if words.language == "fr":
        return f"{'premier' if number == 1 else french(number)} {name} {_year(words, year)}".rstrip()
    return f"{name} {english_ordinal(number)}, {_year(words, year)}".rstrip(", ")


def _year(words: Words, year: str) -> str:
    if not year:
        return ""
    number = int(year) + (2000 if len(year) == 2 and int(year) < 70 else 1900 if len(year) == 2 else 0)
    return english_year(number) if words.language == "en" else french(number)


def _years(words: Words, first: str, last: str) -> str | None:
    if not (1000 <= int(first) < int(last) < 2200):
        return None
    return f"{_year(words, first)} {words.to} {_year(words, last)}"


def _month_names(words: Words) -> tuple[str, dict[str, str]]:
    """A pattern of the names and their short forms, and what each is."""
    names = {name: name for name in words.months}
    names |= {short: words.months[at - 1] for short, at in _SHORT[words.language].items()}
    return "|".join(sorted(names, key=len, reverse=True)), names


def _english_calendar(words: Words) -> list[Rule]:
    pattern, names = _month_names(words)
    month = rf"\b({pattern})\b\.?"
    day = r"(0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?![\w:]|[.,]\d|\s?%)"

    def month_first(match: re.Match[str]) -> str:
        last = f" to {english_ordinal(int(match[3]))}" if match[3] else ""
        year = f", {_year(words, match[4])}" if match[4] else ""
        return f"{names[match[1]]} {english_ordinal(int(match[2]))}{last}{year}"

    def day_first(match: re.Match[str]) -> str:
        year = f" {_year(words, match[3])}" if match[3] else ""
        article = "" if match.string[: match.start()].lower().endswith("the ") else "the "
        return f"{article}{english_ordinal(int(match[1]))} of {names[match[2]]}{year}"

    return [
        rule(rf"\b({'|'.join(_DAYS)})(?:\.(?=\s[a-z\d])|(?=,\s(?:{pattern}|\d)))", lambda m: _DAYS[m[1]]),
        rule(rf"{month}\s{day}(?:\s?[-–]\s?{day})?(?:,?\s(\d{{4}})(?!\w))?", month_first, "0"),
        rule(rf"(?<![\w.,:]){day}\s(?:of\s)?{month}(?:,?\s(\d{{4}})(?!\w))?", day_first, "0"),
        rule(rf"{month},?\s(\d{{4}})(?!\w)", lambda m: f"{names[m[1]]} {_year(words, m[2])}", "0"),
        rule(
            r"(?<=[Uu]nder[ -])(\d\d)s\b|(?<=[Oo]ver[ -])(\d\d)s\b",
            lambda m: _plural(english(int(m[1] or m[2]))),
            "0",
        ),
        rule(r"(?<!\w)(?:'(?=\d\d?0s))?(\d\d(?=\d0s))?(\d0)'?s\b", _decade, "0"),
    ]


def _french_calendar(words: Words) -> list[Rule]:
    pattern, names = _month_names(words)

    def day(match: re.Match[str]) -> str:
        number = match[1]
        said = "premier" if (number.startswith("1") and match[2]) or number == "1" else french(int(number))
        year = f" {french(int(match[4]))}" if match[4] else ""
        return f"{said} {names[match[3].lower()]}{year}"

    return [
        rule(rf"(?<![\w.,:])([12]\d|3[01]|0?[1-9])(er)?\s({pattern})\b\.?(?:\s(\d{{4}})(?!\w))?", day, "0",
             flags=re.IGNORECASE),
        rule(
            r"(?<=années\s)([2-9]0)-([2-9]0)\b", lambda m: f"{_annees('', m[1])} {_annees('', m[2])}", "-"
        ),
        rule(r"(?<=années\s)(19|20)?(\d0)\b", lambda m: _annees(m[1], m[2]), "0"),
        rule(r"\b([IVX]|[IVXLC]{2,})(?:e|ème|è|ᵉ)\b", lambda m: _nth(roman(m[1]))),
    ]  # fmt: skip


def _annees(century: str | None, tens: str) -> str:
    said = french(int(tens)).removesuffix("s") if tens != "00" else ""
    return f"{french(int(century) * 100).removesuffix('s')} {said}".strip() if century else said or "zéro"


def _nth(number: int | None) -> str | None:
    return None if number is None else french_ordinal(number)


def _decade(match: re.Match[str]) -> str:
    tens = english_year(int(match[2])) if match[2] != "00" else "hundred"
    said = _plural(tens)
    if match[1] == "20" and match[2] == "00":
        return "two thousands"
    return f"{english_year(int(match[1]))} {said}" if match[1] else said


def _plural(number: str) -> str:
    return number[:-1] + "ies" if number.endswith("y") else number + "s"
