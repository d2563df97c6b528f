"""How numbers, units, dates and abbreviations are said in English and French. Pure.

Only what espeak-ng (which reads for Piper as well) gets wrong by itself is rewritten, and digits stay
digits: it says "1000000", "21st" or "50 %" rightly, but "$5" as "dollar five" and "10-20" as "ten dash
twenty". Other languages are left alone: a wrong expansion is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_NUMBER = r"\d+(?:[.,]\d+)?"


@dataclass(frozen=True)
class Words:
    """What differs between the languages; units are (one, several)."""

    dot: str
    at: str
    link: str
    to: str
    over: str
    times: str
    divided_by: str
    equals: str
    less: str
    more: str
    about: str
    number: str
    minus: str
    and_: str
    months: tuple[str, ...]
    currencies: dict[str, tuple[str, str]]
    cents: tuple[str, str]
    magnitudes: str
    """Pattern of the words that may stand between an amount and its currency."""
    joint: str
    """Between such a word and its currency."""
    units: dict[str, tuple[str, str]]
    abbreviations: tuple[tuple[str, str], ...]
    """Patterns, tried in order."""


_ENGLISH = Words(
    dot="dot", at="at", link="a link", to="to", over="over", times="times", divided_by="divided by",
    equals="equals", less="less than", more="greater than", about="about", number="number", minus="minus",
    and_="and",
    months=("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November", "December"),
    currencies={"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds"),
                "¥": ("yen", "yen")},
    cents=("cent", "cents"), magnitudes="hundred|thousand|million|billion|trillion", joint=" ",
    units={
        "km/h": ("kilometre per hour", "kilometres per hour"), "mph": ("mile per hour", "miles per hour"),
        "m/s": ("metre per second", "metres per second"), "km²": ("square kilometre", "square kilometres"),
        "m²": ("square metre", "square metres"), "m³": ("cubic metre", "cubic metres"),
        "km": ("kilometre", "kilometres"), "cm": ("centimetre", "centimetres"),
        "mm": ("millimetre", "millimetres"), "m": ("metre", "metres"), "ft": ("foot", "feet"),
        "kg": ("kilogram", "kilograms"), "mg": ("milligram", "milligrams"), "g": ("gram", "grams"),
        "lbs": ("pound", "pounds"), "lb": ("pound", "pounds"), "oz": ("ounce", "ounces"),
        "ml": ("millilitre", "millilitres"), "cl": ("centilitre", "centilitres"), "L": ("litre", "litres"),
        "ms": ("millisecond", "milliseconds"), "s": ("second", "seconds"), "min": ("minute", "minutes"),
        "h": ("hour", "hours"), "kWh": ("kilowatt hour", "kilowatt hours"), "kW": ("kilowatt", "kilowatts"),
        "MW": ("megawatt", "megawatts"), "W": ("watt", "watts"), "V": ("volt", "volts"),
        "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"),
        "GHz": ("gigahertz", "gigahertz"), "Hz": ("hertz", "hertz"),
        "kB": ("kilobyte", "kilobytes"), "KB": ("kilobyte", "kilobytes"), "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"), "TB": ("terabyte", "terabytes"),
        "°C": ("degree Celsius", "degrees Celsius"), "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
        "°": ("degree", "degrees"),
    },
    abbreviations=(
        (r"\bDr\.?(?=\s[A-Z])", "Doctor"), (r"\bMr\.?(?=\s[A-Z])", "Mister"),
        (r"\bMrs\.?(?=\s[A-Z])", "Missis"), (r"\bMs\.?(?=\s[A-Z])", "Miss"),
        (r"\bProf\.(?=\s)", "Professor"), (r"\bSt\.(?=\s[A-Z])", "Saint"),
        (r"\b[Ee]\.\s?g\.,?", "for example,"), (r"\b[Ii]\.\s?e\.,?", "that is,"),
        (r"\betc\.(?=\s*(?:$|[A-Z]))", "et cetera."), (r"\betc\b\.?", "et cetera"),
        (r"\bvs\b\.?", "versus"), (r"\bapprox\.", "approximately"), (r"\bNo\.\s?(?=\d)", "number "),
        (r"\b[Ff]ig\.\s?(?=\d)", "figure "), (r"\bJr\.(?=\W)", "junior"), (r"\bSr\.(?=\W)", "senior"),
        (r"\b24/7\b", "24 7"),
    ),
)  # fmt: skip

_FRENCH = Words(
    dot="point", at="arobase", link="un lien", to="à", over="sur", times="fois", divided_by="divisé par",
    equals="égale", less="inférieur à", more="supérieur à", about="environ", number="numéro", minus="moins",
    and_="et",
    months=("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
            "novembre", "décembre"),
    currencies={"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("livre", "livres"),
                "¥": ("yen", "yens")},
    cents=("centime", "centimes"), magnitudes="mille|millions?|milliards?", joint=" d'",
    units={
        "km/h": ("kilomètre heure", "kilomètres heure"), "m/s": ("mètre par seconde", "mètres par seconde"),
        "km²": ("kilomètre carré", "kilomètres carrés"), "m²": ("mètre carré", "mètres carrés"),
        "m³": ("mètre cube", "mètres cubes"), "km": ("kilomètre", "kilomètres"),
        "cm": ("centimètre", "centimètres"), "mm": ("millimètre", "millimètres"), "m": ("mètre", "mètres"),
        "kg": ("kilogramme", "kilogrammes"), "mg": ("milligramme", "milligrammes"),
        "g": ("gramme", "grammes"), "ml": ("millilitre", "millilitres"), "cl": ("centilitre", "centilitres"),
        "L": ("litre", "litres"), "l": ("litre", "litres"), "ms": ("milliseconde", "millisecondes"),
        "s": ("seconde", "secondes"), "min": ("minute", "minutes"),
        "kWh": ("kilowattheure", "kilowattheures"), "kW": ("kilowatt", "kilowatts"),
        "MW": ("mégawatt", "mégawatts"), "W": ("watt", "watts"), "V": ("volt", "volts"),
        "kHz": ("kilohertz", "kilohertz"), "MHz": ("mégahertz", "mégahertz"),
        "GHz": ("gigahertz", "gigahertz"), "Hz": ("hertz", "hertz"), "ko": ("kilooctet", "kilooctets"),
        "Ko": ("kilooctet", "kilooctets"), "Mo": ("mégaoctet", "mégaoctets"),
        "Go": ("gigaoctet", "gigaoctets"), "To": ("téraoctet", "téraoctets"),
        "°C": ("degré Celsius", "degrés Celsius"), "°F": ("degré Fahrenheit", "degrés Fahrenheit"),
        "°": ("degré", "degrés"),
    },
    abbreviations=(
        (r"\bM\.(?=\s[A-ZÉ])", "Monsieur"), (r"\bMM\.(?=\s[A-ZÉ])", "Messieurs"),
        (r"\bMmes(?=\s)", "Mesdames"), (r"\bMme(?=\s)", "Madame"), (r"\bMlle(?=\s)", "Mademoiselle"),
        (r"\bDr\.?(?=\s[A-ZÉ])", "Docteur"), (r"\bPr\.?(?=\s[A-ZÉ])", "Professeur"),
        (r"\bSte(?=[\s-][A-ZÉ])", "Sainte"), (r"\bSt(?=[\s-][A-ZÉ])", "Saint"),
        (r"\bp\.\s?ex\.", "par exemple"), (r"\bc\.?-à-d\.?|\bcàd\b", "c'est-à-dire"),
        (r"\betc\.(?=\s*(?:$|[A-ZÉ]))", "et cétéra."), (r"\betc\b\.?", "et cétéra"),
        (r"\benv\.", "environ"), (r"\bcf\.", "voir"), (r"\bJ\.-C\.", "Jésus-Christ"), (r"\bav\.", "avant"),
        (r"\bapr\.", "après"), (r"\btél\.", "téléphone"), (r"\b(?:svp|SVP)\b", "s'il vous plaît"),
        (r"\b(?:rdv|RDV)\b", "rendez-vous"), (r"\b[nN]°\s?(?=\d)", "numéro "),
        (r"\b24/7\b", "24 heures sur 24"),
    ),
)  # fmt: skip

WORDS = {"en": _ENGLISH, "fr": _FRENCH}


def spoken(text: str, language: str) -> str:
    """Rewrites one line of plain text for the ear; only English and French are changed."""
    for pattern, replacement in _RULES.get(language, ()):
        text = pattern.sub(replacement, text)
    return text


def _amount(words: Words, number: str, magnitude: str, symbol: str) -> str:
    one, several = words.currencies[symbol]
    if magnitude:
        return f"{number} {magnitude}{words.joint if not magnitude.startswith('mille') else ' '}{several}"
    whole, _, part = number.replace(",", ".").partition(".")
    if len(part) != 2:
        return f"{number} {one if number == '1' else several}"
    if whole == "0":
        return f"{int(part)} {words.cents[part != '01']}"
    name = one if whole == "1" else several
    return f"{whole} {name}" if part == "00" else f"{whole} {name} {int(part)}"


def _roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[letter] for letter in numeral]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def _common_rules(words: Words) -> list[Rule]:
    symbols = "".join(words.currencies)
    units = "|".join(sorted(map(re.escape, words.units), key=len, reverse=True))
    magnitude = rf"(?:\s?({words.magnitudes}))?"

    def unit(match: re.Match[str]) -> str:
        number, name = match.groups()
        return f"{number} {words.units[name][number != '1']}"

    return [
        *((re.compile(pattern), text) for pattern, text in words.abbreviations),
        (
            re.compile(rf"([{symbols}])\s?({_NUMBER}){magnitude}\b"),
            lambda match: _amount(words, match[2], match[3] or "", match[1]),
        ),
        (
            re.compile(rf"({_NUMBER}){magnitude}\s?([{symbols}])"),
            lambda match: _amount(words, match[1], match[2] or "", match[3]),
        ),
        (re.compile(rf"(?<![\w.,])({_NUMBER})\s?({units})(?![\w/²³])"), unit),
        (re.compile(r"(?<=\d)\s?[-–]\s?(?=\d)"), f" {words.to} "),
        (re.compile(r"(?<![\w/])(\d+)\s?/\s?(\d+)(?![\w/])"), rf"\1 {words.over} \2"),
        (re.compile(r"(?<=[2-9])\s?[x×*]\s?(?=\d)|(?<=\d)\s[x×*]\s(?=\d)"), f" {words.times} "),
        (re.compile(r"\s?÷\s?"), f" {words.divided_by} "),
        (re.compile(r"\s?(?<![<>=!])=(?!=)\s?"), f" {words.equals} "),
        (re.compile(r"(?<=[\w)])\s<\s(?=[\w(])"), f" {words.less} "),
        (re.compile(r"(?<=[\w)])\s>\s(?=[\w(])"), f" {words.more} "),
        (re.compile(r"[~≈]\s?(?=\d)"), f"{words.about} "),
        (re.compile(r"#(?=\d)"), f"{words.number} "),
        (re.compile(r"(?<![\w)])[-−](?=\d)"), f"{words.minus} "),
        (re.compile(r"\s?&\s?"), f" {words.and_} "),
    ]


def _english_time(match: re.Match[str]) -> str:
    hour, minute, half = int(match[1]), match[2], match[3]
    if minute == "00":
        said = f"{hour}" if half else f"{hour} o'clock"
    else:
        said = f"{hour} {minute}" if minute[0] != "0" else f"{hour} oh {minute[1]}"
    return f"{said} {half[0].lower()} m" if half else said


def _french_time(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2] or 0)
    return f"{hour} heure{'s' * (hour > 1)}" + (f" {minute}" if minute else "")


def _date(words: Words, year: str, month: str, day: str) -> str:
    name, number = words.months[int(month) - 1], int(day)
    if words is _FRENCH:
        return f"{'1er' if number == 1 else number} {name} {year}"
    return f"{name} {number}, {year}"


_MONTH, _DAY = r"(0?[1-9]|1[0-2])", r"(0?[1-9]|[12]\d|3[01])"
_ISO_DATE = re.compile(rf"(?<![\w-])(\d{{4}})-{_MONTH}-{_DAY}(?![\w-])")
_ENGLISH_RULES: list[Rule] = [
    (re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d)"), lambda match: match[0].replace(",", "")),
    (_ISO_DATE, lambda match: _date(_ENGLISH, match[1], match[2], match[3])),
    (
        re.compile(rf"(?<![\w/]){_MONTH}/{_DAY}/(\d{{4}})(?![\w/])"),
        lambda match: _date(_ENGLISH, match[3], match[1], match[2]),
    ),
    (re.compile(r"(?<![\d:])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])(?:\s?([AaPp])\.?[Mm]\b\.?)?"), _english_time),
    (re.compile(r"(?<=\d)\s?([AaPp])\.?[Mm]\b\.?"), lambda match: f" {match[1].lower()} m"),
]
_FRENCH_RULES: list[Rule] = [
    (re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?!\d)"), lambda match: match[0].replace(" ", "")),
    (_ISO_DATE, lambda match: _date(_FRENCH, match[1], match[2], match[3])),
    (
        re.compile(rf"(?<![\w/]){_DAY}/{_MONTH}/(\d{{4}})(?![\w/])"),
        lambda match: _date(_FRENCH, match[3], match[2], match[1]),
    ),
    (re.compile(r"(?<![\d:])([01]?\d|2[0-3])\s?[hH]\s?([0-5]\d)?(?![\w])"), _french_time),
    (re.compile(r"(?<![\d:])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])"), _french_time),
    (re.compile(r"(?<![\d.])(\d+)\.(\d+)(?![\d.])"), r"\1,\2"),
    (re.compile(r"\b([IVXLC]+)(?:e|ème)\b"), lambda match: f"{_roman(match[1])}ème"),
    (re.compile(r"\b(\d+)(?:e|ième|è)\b"), r"\1ème"),
]
_RULES: dict[str, list[Rule]] = {
    "en": [*_ENGLISH_RULES, *_common_rules(_ENGLISH)],
    "fr": [*_FRENCH_RULES, *_common_rules(_FRENCH)],
}
