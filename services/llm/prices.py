"""What tokens cost, by a table in the configuration: ``groq:llama-3.3=0.59/0.79, gpt-oss-20b=0.1/0.5/0.05``.

Pure. The longest prefix counts that a route's name or its model's begins with; what stands in no table
costs nothing, which is right for one's own machine and shows as such in the reports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from services.llm.engine import Price

BUILT_IN: Final[Mapping[str, Price]] = {
    "groq:llama-3.3-70b-versatile": Price(input=0.59, output=0.79),
    "groq:llama-3.1-8b-instant": Price(input=0.05, output=0.08),
}
"""Of Groq's default models, US dollars for a million tokens: list prices as known in 2025. To be checked
against the provider's page; a line of the configuration goes before them."""


class BadPrice(ValueError):
    """The table cannot be used; ``part`` is the entry at fault."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part!r}: {reason}")
        self.part, self.reason = part, reason


def parse_prices(text: str) -> dict[str, Price]:
    """Returns the prices by prefix: ``prefix=input/output`` or ``prefix=input/output/cached``, with commas.

    Raises:
        BadPrice: an entry is none.
    """
    prices: dict[str, Price] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        prefix, equals, figures = part.rpartition("=")
        if not equals or not prefix.strip():
            raise BadPrice(part, "must be route=input/output or route=input/output/cached")
        amounts = [_amount(part, figure) for figure in figures.split("/")]
        match amounts:
            case [fresh, output]:
                prices[prefix.strip()] = Price(input=fresh, output=output)
            case [fresh, output, cached]:
                prices[prefix.strip()] = Price(input=fresh, output=output, cached=cached)
            case _:
                raise BadPrice(part, "has not two or three figures")
    return prices


def price_of(route: str, model: str, prices: Mapping[str, Price]) -> Price:
    """Returns what a route's tokens cost: by ``prices``, or by ``BUILT_IN``, or nothing."""
    for table in (prices, BUILT_IN):
        fitting = [prefix for prefix in table if route.startswith(prefix) or model.startswith(prefix)]
        if fitting:
            return table[max(fitting, key=len)]
    return Price()


def _amount(part: str, figure: str) -> float:
    try:
        amount = float(figure)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise BadPrice(part, f"{figure.strip()!r} is no amount of dollars")
    return amount
