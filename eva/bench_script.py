"""What simulated people do: how they talk, what they say and when, from a seed. Pure.

The same seed and number make the same person on every machine. How people are mixed goes by their number, so
that few of them are a mixture too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["spoken", "typed", "push_to_talk"]
KINDS: Final[tuple[Kind, ...]] = ("spoken", "typed", "spoken", "push_to_talk")
LINES: Final = (
    "Hello, how are you today?", "Tell me a joke, please.", "What is my name?", "Thank you very much.",
    "What can you do for me?", "Who are you?",
)  # fmt: skip
"""What the offline ears understand, too."""
PAUSE_S, SPREAD = 1.2, 0.5
"""Behind an answer: the median, and the deviation of its logarithm."""
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.4, 4.0
INTERRUPTS = 0.15
"""The share of what is said that is said into an answer."""
INTO_S = (0.3, 2.0)
TWO_LINES = 0.25
"""The share of what is said that has a breath in the middle."""
BREATH_S = (0.08, 0.2)
"""Shorter than the least silence that ends a turn (300 ms): EVA should not answer into it."""
JOIN_S = 1.0
"""Within so long behind their arrival people begin to talk."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """One question."""

    pause_s: float
    """Of silence before it, once the answer to the last one was heard; not where it is said into that."""
    lines: tuple[int, ...]
    """Which of ``LINES``; with a breath between two."""
    breath_s: float = 0.0
    into_s: float | None = None
    """Said once so much of the last answer was heard; None: only when all of it was."""


def kind_of(number: int) -> Kind:
    """Returns how a person talks."""
    return KINDS[number % len(KINDS)]


def acts(seed: int, number: int) -> Iterator[Act]:
    """Yields what a person does, without end."""
    dice = random.Random(f"{seed}/{number}")  # noqa: S311 - behaviour, no secret
    yield Act(pause_s=dice.uniform(0.0, JOIN_S), lines=_lines(dice, 1))
    while True:
        into_s = dice.uniform(*INTO_S) if dice.random() < INTERRUPTS else None
        pause_s = dice.lognormvariate(0.0, SPREAD) * PAUSE_S
        count = 2 if dice.random() < TWO_LINES else 1
        yield Act(
            pause_s=min(max(pause_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S),
            lines=_lines(dice, count),
            breath_s=dice.uniform(*BREATH_S) if count > 1 else 0.0,
            into_s=into_s,
        )


def _lines(dice: random.Random, count: int) -> tuple[int, ...]:
    return tuple(dice.sample(range(len(LINES)), count))


def text_of(act: Act) -> str:
    """Returns what the act says, as it is typed."""
    return " ".join(LINES[line] for line in act.lines)
