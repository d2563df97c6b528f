"""How much and how many: money, units, percentages, fractions, ranges, plain numbers. Pure."""

from __future__ import annotations

import re

from services.tts.text_numbers import english_ordinal, english_year, french_ordinal
from services.tts.text_trace import MADE
from services.tts.text_words import Rule, Words, rule

_SLASHES = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8",
            "⅞": "7/8", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6"}  # fmt: skip
FRACTIONS = "".join(_SLASHES)
_SIGNS = {
    "en": {"+": "plus", "-": "minus", "−": "minus", "±": "plus or minus", "~": "about", "≈": "about"},
    "fr": {"+": "plus", "-": "moins", "−": "moins", "±": "plus ou moins", "~": "environ", "≈": "environ"},
}
_SCREENS = frozenset({"2K", "4K", "8K"})
_PER = {
    "en": {"kg": "kilo", "km": "kilometre", "h": "hour", "hr": "hour", "mo": "month", "yr": "year",
           "m²": "square metre", "s": "second", "day": "day", "month": "month", "year": "year",
           "hour": "hour", "week": "week", "person": "person", "night": "night", "user": "user",
           "lb": "pound",
           "GB": "gigabyte", "min": "minute", "minute": "minute", "second": "second"},
    "fr": {"kg": "kilo", "km": "kilomètre", "h": "heure", "m²": "mètre carré", "jour": "jour", "mois": "mois",
           "an": "an", "heure": "heure", "semaine": "semaine", "personne": "personne", "nuit": "nuit",
           "j": "jour", "Go": "gigaoctet", "min": "minute", "litre": "litre", "L": "litre", "l": "litre"},
}  # fmt: skip
_FEMININE_NOUN = re.compile(
    r"(?:fois|personne|année|semaine|page|chose|question|minute|heure|seconde|journée|voiture|femme|fille|place|"
    r"étape|alerte|minute|demande|ligne|photo|image|table|chambre|nuit|bouteille|tasse|cuillère|pièce|pomme|tranche|rue|ville|école|"
    r"idée|lettre|carte|partie|équipe|vie|victoire|défaite|voix|main|tonne|livre sterling|"
    r"\w+[st]ion|\w+ette|\w+ance)s?\b"
)


def quantities(words: Words) -> list[Rule]:
    """Returns the rules of amounts and measures, those that take most first."""
    return [*_money(words), *_measures(words)]


def fractions(words: Words) -> list[Rule]:
    """Returns the rules of parts of a whole."""
    return [
        rule(
            rf"(?:(?<![\w/.])(\d+)\s?)?([{FRACTIONS}])",
            lambda m: _mixed(words, m[1], _SLASHES[m[2]]),
            FRACTIONS,
        ),
        rule(r"(?<![\w/.,])(\d+) (\d{1,2}/\d{1,3})(?![\w/])", lambda m: _mixed(words, m[1], m[2]), "/"),
        rule(rf"(?<![\w/.,])({words.number})/(\d+)(?![\w/])", lambda m: _fraction(words, m[1], m[2]), "/"),
    ]


def numbers(words: Words) -> list[Rule]:
    """Returns the rules of numbers that stand alone; they come after all others that begin with a digit."""
    number, to = words.number, words.to
    sign = r"(?<![\w).,])([-−+])"

    def signed(match: re.Match[str]) -> str:
        return f"{_sign(words, match[1])} {bare(words, match[2])}"

    def one_or_many(match: re.Match[str]) -> str:
        is_feminine = words.language == "fr" and _FEMININE_NOUN.match(match.string, match.end() + 1)
        said = bare(words, match[0])
        return said + "e" if is_feminine and said.endswith("un") else said

    return [
        rule(rf"(?<![\d.,])({number})\s?[-–]\s?({number})(?![\w-]|[.,]\d)",
             lambda m: _range(words, m[1], m[2]), "-–"),
        rule(r"(?<![\d.,:])(\d{1,3}):(\d{1,6})(?![\d:])",
             lambda m: f"{words.say(m[1])} {to} {words.say(m[2])}", ":"),
        rule(rf"{sign}\s?({number})(?!\w)", signed, "-−+"),
        rule(rf"(?<![\d.,])({number})(?!\d)", one_or_many, "0"),
        rule(r"(?<![\w.])\.(\d+)", lambda m: f"{words.numerals.point} {words.numerals.digits(m[1])}", "."),
        rule(r"\d+", lambda m: words.numerals.whole(m[0]), "0"),
        rule(rf"(?<={MADE})[,;:](?={MADE})", lambda m: f"{m[0]} ", ",;:"),
    ]  # fmt: skip


def bare(words: Words, number: str) -> str:
    """Returns a number without a thing behind it; in English 1100 to 2099 are said as years."""
    if words.language == "en" and len(number) == 4 and number.isdecimal() and 1100 <= int(number) <= 2099:
        return english_year(int(number))
    return words.say(number)


def _range(words: Words, first: str, last: str) -> str:
    """``10-20``; what does not rise is a name (``747-400``) where it is no score (``3-2``)."""
    is_name = first.isdecimal() and last.isdecimal() and len(last) > 2 and int(first) > int(last)
    return f"{bare(words, first)} {'' if is_name else words.to + ' '}{_range_end(words, first, last)}"


def _range_end(words: Words, first: str, last: str) -> str:
    """``1984-85``: the end of a span of years may be cut short."""
    if words.language == "en" and len(first) == 4 and len(last) == 2 and last[0] == "0" and first.isdecimal():
        return f"oh {words.say(last[1])}"
    return bare(words, last)


def _sign(words: Words, sign: str) -> str:
    return _SIGNS[words.language][sign]


def _money(words: Words) -> list[Rule]:
    number = words.number
    symbols = "".join(name for name in words.currencies if len(name) == 1)
    codes = "|".join(name for name in words.currencies if len(name) == 3)
    long = "|".join(sorted((name for name in words.magnitudes if len(name) > 3), key=len, reverse=True))
    short = "|".join(sorted((name for name in words.magnitudes if len(name) <= 3), key=len, reverse=True))
    magnitude = rf"(?:\s?({long})\b|({short})(?![\w]))?"
    behind = rf"(?:\s?({long})|\s?({short}))?"
    sign = r"(?:(?<![\w)])([-−~≈])\s?)?"

    def before(match: re.Match[str]) -> str:
        minus, symbol, first, last, longer, shorter = match.groups()
        said = _amount(words, last or first, longer or shorter or "", symbol)
        if last:
            said = f"{words.say(first)} {words.to} {said}"
        return f"{_sign(words, minus)} {said}" if minus else said

    def after(match: re.Match[str]) -> str:
        minus, first, last, longer, shorter, symbol = match.groups()
        said = _amount(words, last or first, longer or shorter or "", symbol)
        if last:
            said = f"{words.say(first)} {words.to} {said}"
        return f"{_sign(words, minus)} {said}" if minus else said

    per = "|".join(sorted(map(re.escape, _PER[words.language]), key=len, reverse=True))
    joint = "per" if words.language == "en" else "par"
    marks = symbols + "UEGCJ"
    return [
        rule(rf"{sign}([{symbols}])\s?({number})(?:\s?[-–]\s?[{symbols}]?({number}))?{magnitude}",
             before, symbols),
        rule(rf"{sign}(?<!\w)({number})(?:\s?[-–]\s?({number}))?{behind}\s?(?:d['’]\s?)?([{symbols}]|(?:{codes})\b)",
             after, marks),
        rule(rf"({number})\s?¢", lambda m: words.counted(m[1], words.cents), "¢"),
        rule(rf"\b()({codes})\s?({number})(?!\d)()()()", before, "UEGCJ"),
        rule(rf"\s?/\s?({per})(?![\w/²])",
             lambda m: f" {joint} {_PER[words.language][m[1]]}" if _is_amount(m) else None, "/"),
    ]  # fmt: skip


def _is_amount(match: re.Match[str]) -> bool:
    """Whether a slash stands behind a number or what was made of an amount (see ``speech_text``)."""
    before = match.string[: match.start()].rstrip()[-1:]
    return before >= MADE or before.isdecimal()


def _amount(words: Words, number: str, magnitude: str, symbol: str) -> str:
    forms = words.currencies[symbol]
    if magnitude and words.magnitudes[magnitude][0] == "mille":
        return f"{_thousands(words, number)} {forms[1]}"
    if magnitude:
        name = words.magnitudes[magnitude]
        is_one = words.language == "fr" and words.is_one(number)
        return f"{words.say(number)} {name[not is_one]}{words.joint}{forms[1]}"
    whole, _, part = words.plain(number).partition(".")
    if len(part) != 2:
        return words.counted(number, forms)
    cents = f"{words.numerals.count(int(part))} {words.cents[part != '01']}"
    if whole == "0":
        return cents if part != "00" else words.counted("0", forms)
    tail = f" {words.signs['&']} {cents}" if part[0] == "0" else f" {words.numerals.count(int(part))}"
    return words.counted(whole, forms) + (tail if part != "00" else "")


def _english_idioms(words: Words) -> list[Rule]:
    def feet(match: re.Match[str]) -> str:
        return f"{words.counted(match[1], words.units['ft'])} {words.say(match[2])}"

    return [
        rule(r"(?<![\w.,])(\d{1,2})['’]\s?(\d{1,2})(?:\"|”|''|’’)(?!\w)", feet, "0"),
        rule(rf"(?<![\w.,])({words.number})(?:in\b|\s?inch(?:es)?\b)",
             lambda m: words.counted(m[1], ("inch", "inches")), "0"),
    ]  # fmt: skip


def _french_idioms(words: Words) -> list[Rule]:
    """``1,80 m`` and ``1,5 M de vues``."""
    return [
        rule(r"(?<![\w.,])(\d),(\d\d)\s?m(?![\w/²³'’])",
             lambda m: f"{words.counted(m[1], words.units['m'])} {words.say(m[2])}", "0"),
        rule(rf"(?<![\w.,])({words.number})\s?M(?=\s(?:de\b|d['’]))",
             lambda m: words.counted(m[1], words.magnitudes["M"]), "0"),
    ]  # fmt: skip


def _thousands(words: Words, number: str) -> str:
    """``200`` → ``deux cent mille``: before *mille* nothing is in the plural, and *un* is not said."""
    plain = words.plain(number)
    if plain.isdecimal() and len(plain) < 4:
        return words.numerals.count(int(plain) * 1000)
    return f"{words.say(number)} {words.magnitudes['k'][0]}"


def _measures(words: Words) -> list[Rule]:
    number = words.number
    units = "|".join(sorted(map(re.escape, words.units), key=len, reverse=True))
    percent = "percent" if words.language == "en" else "pour cent"
    mille = "per mille" if words.language == "en" else "pour mille"
    by = "by" if words.language == "en" else "par"
    sign = r"(?:(?<![\w).,])([-−+±~≈])\s?|(?<![\w.,]))"
    measure = rf"{sign}({number})(?:\s?[-–]\s?({number}))?"

    def said(match: re.Match[str], tail: str) -> str:
        sign, first, last = match[1], match[2], match[3]
        head = f"{words.say(first)} {words.to} " if last else ""
        lead = f"{_sign(words, sign)} " if sign else ""
        return f"{lead}{head}{tail}"

    return [
        *(_english_idioms(words) if words.language == "en" else _french_idioms(words)),
        rule(rf"{measure}\s?%", lambda m: said(m, f"{words.say(m[3] or m[2])} {percent}"), "%"),
        rule(rf"{measure}\s?‰", lambda m: said(m, f"{words.say(m[3] or m[2])} {mille}"), "‰"),
        rule(rf"(?<![\w.,])({number})\s?[x×]\s?({number})\s?({units})(?![\w/²³])",
             lambda m: f"{words.say(m[1])} {by} {words.counted(m[2], words.units[m[3]])}", "x×"),
        rule(rf"{measure}[\s-]?({units})(?![\w/²³]|[-.'’]\w)",
             lambda m: said(m, words.counted(m[3] or m[2], words.units[m[4]])), "0"),
        rule(rf"(?<![\w.,])({number})([kKM])(?![\w-])",
             lambda m: None if m[0] in _SCREENS else _short(words, m[1], m[2]), "0"),
    ]  # fmt: skip


def _short(words: Words, number: str, magnitude: str) -> str:
    """``3M`` → ``three million``."""
    if magnitude == "M":
        return words.counted(number, words.magnitudes["M"])
    return _thousands(words, number)


def _fraction(words: Words, above: str, below: str) -> str:
    """``3/4`` → ``three quarters``; a ratio or a large one is said as it is written."""
    count = words.numerals
    if above == below == "50":
        return " ".join([count.count(50)] * 2)
    top, bottom = (int(above) if above.isdecimal() else 0), int(below)
    if not (0 < top < bottom <= 20 or (0 < top < bottom and bottom in {100, 1000})):
        over = "over" if words.language == "en" else "sur"
        return f"{words.say(above)} {over} {count.whole(below)}"
    if words.language == "en":
        name = {2: "half", 4: "quarter"}.get(bottom) or english_ordinal(bottom)
    else:
        name = {2: "demi", 3: "tiers", 4: "quart"}.get(bottom) or french_ordinal(bottom)
    plural = "" if top == 1 or name.endswith("s") else "s"
    return f"{count.count(top)} {name}{plural}"


def _mixed(words: Words, whole: str | None, fraction: str) -> str:
    above, below = fraction.split("/")
    said = _fraction(words, above, below)
    if whole is None:
        return said
    if words.language == "en":
        return f"{words.say(whole)} and {said.replace('one ', 'a ', 1) if above == '1' else said}"
    return f"{words.say(whole)} et {said.removeprefix('un ') if below == '2' else said}"
