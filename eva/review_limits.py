"""What ``--fail-on`` and ``--watch`` were told: limits on a review's figures, and spans of time. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.errors import BadInput

_UNITS: Final = {"": 1.0, "s": 1.0, "ms": 0.001, "%": 0.01}
_SPANS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_LIMIT = re.compile(r"\s*([a-z0-9_]+)\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|%)?\s*")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smh])")
LATENCIES: Final = ("connect", "llm", "first_token", "tts", "typed_response", "response")
FIGURES: Final = frozenset(
    {f"{name}_{part}" for name in LATENCIES for part in ("p50", "p95", "p99")}
    | {"llm_spread", "barge_in", "recovery", "mute_share", "said_back_wer", "understood_wer", "gpu_idle"}
    | {"gpu_memory", "score", "blockers", "regressions"}
)
"""What a limit may be about: seconds, shares, bytes, points, counts."""
LEAST_SPAN_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A review fails where the figure compares like this."""

    figure: str
    sign: str
    bound: float
    text: str
    """As it was given."""

    def broken_by(self, figures: Mapping[str, float]) -> str:
        """Returns how the figures break the limit, or nothing. A figure that is not there breaks it."""
        found = figures.get(self.figure)
        if found is None:
            return f"{self.text}: {self.figure} was not measured"
        return f"{self.text}: it is {found:g}" if _COMPARE[self.sign](found, self.bound) else ""


def parse_limit(text: str) -> Limit:
    """Returns ``response_p95>0.5``, ``tts_p50 >= 250ms`` or ``mute_share>1%`` as a limit.

    Raises:
        BadInput: it is none, or no review has such a figure.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise BadInput(f"{text!r} is no limit as `response_p95>0.5`", param="fail_on")
    figure, sign, number, unit = match.groups(default="")
    if figure not in FIGURES:
        raise BadInput(
            f"no review has a figure {figure!r}; there are {', '.join(sorted(FIGURES))}", param="fail_on"
        )
    return Limit(figure=figure, sign=sign, bound=float(number) * _UNITS[unit], text=text.strip())


def parse_span(text: str) -> float:
    """Returns ``30s``, ``10m`` or ``1h`` in seconds. Raises ``BadInput``: it is none, or under 10 s."""
    match = _SPAN.fullmatch(text.strip())
    span_s = float(match[1]) * _SPANS[match[2]] if match else 0.0
    if span_s < LEAST_SPAN_S:
        raise BadInput(f"{text!r} is no span as `10m`, of 10 s at least", param="watch")
    return span_s


def broken(limits: Sequence[Limit], figures: Mapping[str, float]) -> list[str]:
    """Returns how the figures break the limits, in their order."""
    return [how for limit in limits if (how := limit.broken_by(figures))]
