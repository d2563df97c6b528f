"""Sums as people say them, in English and French digits and words. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

from services.llm.tables import listed

_UNITS_EN = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS_EN = listed("twenty thirty forty fifty sixty seventy eighty ninety")
_UNITS_FR = listed(
    "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
)
_TENS_FR = {"vingt": 20, "vingts": 20, "trente": 30, "quarante": 40, "cinquante": 50, "soixante": 60}
_NUMBERS: dict[str, int] = (
    {word: value for value, word in enumerate(_UNITS_EN)}
    | {word: value for value, word in enumerate(_UNITS_FR)}
    | {word: value for value, word in zip(range(20, 100, 10), _TENS_EN, strict=True)}
    | _TENS_FR
    | {"hundred": 100, "cent": 100, "cents": 100, "une": 1}
)
_OPERATORS = {
    "+": "+", "plus": "+", "and": "+", "-": "-", "minus": "-", "moins": "-", "less": "-", "*": "*", "x": "*",
    "×": "*", "times": "*", "multiplied": "*", "fois": "*", "multiplie": "*", "/": "/", "÷": "/", "over": "/",
    "divided": "/", "divise": "/", "sur": "/",
}  # fmt: skip
_TOKEN = re.compile(r"\d+(?:[.,]\d+)?|[+*/×÷-]|[^\W\d_]+")
_GLUE = frozenset({"et", "by", "par"})
"""Twenty *et* un, divided *by*."""
_MAX_TERMS = 8


class DividedByZero(ValueError):
    """The sum has no result."""


def solve(text: str) -> Fraction | None:
    """Returns the result of the sum in ``text`` (lower case, without accents), None if there is none.

    Raises:
        DividedByZero: the sum divides by zero.
    """
    terms: list[Fraction] = []
    operators: list[str] = []
    number: Fraction | None = None
    for token in _TOKEN.findall(text):
        value = _value(token)
        if value is not None:
            number = value if number is None or token[0].isdecimal() else _joined(number, value)
        elif number is not None and token in _OPERATORS and len(terms) < _MAX_TERMS:
            terms.append(number)
            operators.append(_OPERATORS[token])
            number = None
        elif token in _GLUE:
            continue
        elif number is not None and operators:
            break
        else:
            terms, operators, number = [], [], None
    if number is None or not operators:
        return None
    return _calculated([*terms, number], operators)


def _value(token: str) -> Fraction | None:
    if token[0].isdecimal():
        return Fraction(token.replace(",", "."))
    return Fraction(_NUMBERS[token]) if token in _NUMBERS else None


def _joined(number: Fraction, value: Fraction) -> Fraction:
    """Twenty one, two hundred, quatre vingt dix."""
    is_product = value == 100 or (number == 4 and value == 20)
    return number * value if is_product else number + value


def _calculated(terms: list[Fraction], operators: list[str]) -> Fraction:
    total, product = Fraction(0), terms[0]
    for operator, term in zip(operators, terms[1:], strict=True):
        match operator:
            case "*":
                product *= term
            case "/":
                if term == 0:
                    raise DividedByZero
                product /= term
            case _:
                total += product
                product = term if operator == "+" else -term
    return total + product


def shown(result: Fraction, *, decimal_mark: str) -> str:
    """Returns the number with two decimals at most."""
    if result.denominator == 1:
        return str(result.numerator)
    return f"{float(result):.2f}".rstrip("0").rstrip(".").replace(".", decimal_mark)
