"""Times of day, and the numbers of telephones and versions. Pure."""

from __future__ import annotations

import re

from services.tts.text_numbers import english_year, french
from services.tts.text_words import Rule, Words, rule


def times(words: Words) -> list[Rule]:
    """Returns the rules of what a clock shows and of the numbers that are codes."""
    return [
        *_telephones(words),
        *(_english_times(words) if words.language == "en" else _french_times(words)),
        *_versions(words),
    ]


def _english_times(words: Words) -> list[Rule]:
    half = r"(?:\s?([AaPp])\.?\s?[Mm]\b\.?(?!\w))"

    def clock(match: re.Match[str]) -> str:
        return _english_time(match[1], match[2], match[4]) + _seconds(words, match[3]) + _stop(match)

    return [
        rule(r"(?<=:\d\d)\s?[-–]\s?(?=\d\d?:\d\d)|(?<=\d[apAP][mM])\s?[-–]\s?(?=\d)", " to ", "-–"),
        rule(rf"(?<![\d:.])([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?:\.\d+)?(?![\d:]){half}?", clock, ":"),
        rule(rf"(?<![\w.,:$£€])(1[0-2]|0?[1-9])\s?[-–]\s?(1[0-2]|0?[1-9]){half}",
             lambda m: f"{words.say(m[1])} to {words.say(m[2])} {m[3].upper()}.M{_stop(m)}", "-–"),
        rule(rf"(?<![\w.,:])(1[0-2]|0?[1-9]){half}",
             lambda m: f"{words.say(str(int(m[1])))} {m[2].upper()}.M{_stop(m)}", "0"),
    ]  # fmt: skip


def _stop(match: re.Match[str]) -> str:
    """The full stop of ``p.m.`` where it ends the sentence too."""
    behind = match.string[match.end() :].lstrip()[:1]
    return "." if match[0].endswith(".") and (not behind or behind.isupper()) else ""


def _english_time(hour: str, minute: str, half: str | None) -> str:
    said = english_year(int(hour))
    if minute == "00":
        said += "" if half else " o'clock" if 0 < int(hour) < 13 else " hundred"
    else:
        said += f" {'oh ' * (minute[0] == '0')}{english_year(int(minute))}"
    return f"{said} {half.upper()}.M" if half else said


def _seconds(words: Words, second: str | None) -> str:
    if not second or second == "00":
        return ""
    return f" {words.signs['&']} {words.counted(str(int(second)), words.units['s'])}"


def _french_times(words: Words) -> list[Rule]:
    def clock(match: re.Match[str]) -> str:
        return french_time(match[1], match[2] or "00") + _seconds(words, match[3])

    return [
        rule(
            r"(?<![\w/])([13])/([24])\s?h(?:eures?)?\b",
            lambda m: (
                f"{french(int(m[1]))} {'quart' if m[2] == '4' else 'demi'}{'s' * (m[1] == '3')} d'heure"
            ),
            "0",
        ),
        rule(r"(?<=[\dh])\s?[-–]\s?(?=\d\d?\s?[h:]\s?(?:\d\d)?\b)", " à ", "-–"),
        rule(r"(?<![\w:.,])([01]?\d|2[0-4])\s?[hH]\s?([0-5]\d(?!\d))?()(?:\s?min\b)?(?![\w/])", clock, "0"),
        rule(r"(?<![\w.,])(\d+)\s?h(?![\w/])", lambda m: words.counted(m[1], ("heure", "heures")), "0"),
        rule(r"(?<![\d:])([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?:\.\d+)?(?![\d:])", clock, ":"),
    ]


def french_time(hour: str, minute: str) -> str:
    """``14``, ``30`` → ``quatorze heures trente``."""
    number = int(hour)
    said = f"{french(number, is_feminine=True)} heure{'s' * (number > 1)}"
    return said if minute == "00" else f"{said} {french(int(minute), is_feminine=True)}"


def _telephones(words: Words) -> list[Rule]:
    numerals = words.numerals

    def grouped(match: re.Match[str]) -> str:
        lead = "plus " if match[0].startswith("+") else ""
        groups = re.findall(r"\d+", match[0])
        if words.language == "fr":
            if groups[0].startswith("33") and len(groups[0]) == 11:
                groups = ["33", groups[0][2:]]
            groups = [pair for group in groups for pair in _pairs(group)]
            return lead + ", ".join(_pair(words, group) for group in groups)
        return lead + ", ".join(numerals.digits(group) for group in groups)

    french_number = r"(?<![\w.,+])0\d(?:[ .-]?\d\d){4}(?![\w])"
    short_number = r"(?<![\w.,-])\d{3}-\d{4}(?![\w-])|(?<![\w.,])0\d{2,4} \d{3,4} ?\d{2,4}(?!\w)"
    english_number = r"(?<![\w.,])(?:\+?1[ .-])?(?:\(\d{3}\)\s?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])"
    emergency = rule(
        r"(?:(?<=\b[Dd]ial )|(?<=\b[Cc]all ))\d{3}\b(?![- .]?\d)", lambda m: numerals.digits(m[0]), "0"
    )
    return [
        *([emergency] if words.language == "en" else []),
        rule(r"(?<![\w])\+\d{1,3}[ .-]?(?:\(0?\)\s?)?\d(?:[ .-]?\d){6,13}(?![\w])", grouped, "+"),
        rule(french_number if words.language == "fr" else english_number, grouped, "0"),
        *([] if words.language == "fr" else [rule(short_number, grouped, "0")]),
    ]


def _pairs(group: str) -> list[str]:
    """``0612345678`` → pairs; an odd first digit or a country's number stands alone."""
    if len(group) < 4:
        return [group]
    odd = len(group) % 2
    return [*([group[:odd]] if odd else []), *(group[at : at + 2] for at in range(odd, len(group), 2))]


def _pair(words: Words, group: str) -> str:
    return words.numerals.digits(group) if group[0] == "0" else words.numerals.whole(group)


def _versions(words: Words) -> list[Rule]:
    point = " point "

    def dotted(match: re.Match[str]) -> str:
        said = point.join(words.numerals.whole(part) for part in match[2].split("."))
        return f"version {said}" if match[1] else said

    named = r"(?:[Vv]ersion|Python|Release|Node|Java|Ubuntu|Linux|Django|CUDA|v|Llama|Gemini|Claude)"
    return [
        rule(r"(?<![\w.])([vV])?(\d+(?:\.\d+){2,})(?!\w|\.\d)", dotted, "."),
        rule(r"(?<![\w.])([vV])(\d+(?:\.\d+)?)(?!\w|\.\d)", dotted, "0"),
        rule(
            rf"(?<=\b)(?:{named}\s)()(\d+\.\d+)(?!\w|\.\d)", lambda m: f"{m[0].split()[0]} {dotted(m)}", "."
        ),
    ]
