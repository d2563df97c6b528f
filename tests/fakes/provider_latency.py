"""How long a provider takes to its first token, turn by turn: mostly quick, sick for some turns now and then.

The shape is that of the provider whose answers swung from 190 to 2100 ms: median about 190 ms, 15 % of turns
over 500 ms, 12 % over 800 ms, never above 2100 ms; the slow turns come together, in spells of about twenty.
Seeded: the same seed gives the same turns, in whatever order they are asked for; two seeds, two providers
that know nothing of each other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

WELL_MEDIAN_S, WELL_SIGMA = 0.182, 0.22
SICK_MEDIAN_S, SICK_SIGMA = 1.15, 0.45
LEAST_S, MOST_S = 0.06, 2.1
SICK_TURNS = (10, 30)
"""Least and most of a spell."""
WELL_TURNS = (55, 163)
"""Least and most between two spells."""

Spells = Literal["random", "square", "never", "always"]


@dataclass(kw_only=True, slots=True)
class Trace:
    """The first tokens of one route; its turns are counted for all routes, so that a spell is a time."""

    seed: int
    spells: Spells = "random"
    recorded_s: Sequence[float] = ()
    """Instead of everything else: these, seconds, again and again."""
    _sick: list[bool] = field(default_factory=list)

    def first_token_s(self, turn: int) -> float:
        """Returns what the route takes in this turn (from 0), seconds."""
        if self.recorded_s:
            return self.recorded_s[turn % len(self.recorded_s)]
        chance = random.Random(f"{self.seed}:{turn}")
        if self.is_sick(turn):
            taken_s = chance.lognormvariate(math.log(SICK_MEDIAN_S), SICK_SIGMA)
        else:
            taken_s = chance.lognormvariate(math.log(WELL_MEDIAN_S), WELL_SIGMA)
        return min(MOST_S, max(LEAST_S, taken_s))

    def is_sick(self, turn: int) -> bool:
        """Says whether this turn (from 0) lies in a spell."""
        match self.spells:
            case "never" | "always":
                return self.spells == "always"
            case "square":
                well = sum(WELL_TURNS) // 2
                return turn % (well + sum(SICK_TURNS) // 2) >= well
            case "random":
                if turn >= len(self._sick):
                    self._sick = self._drawn(turn + 1)
                return self._sick[turn]

    def _drawn(self, turns: int) -> list[bool]:
        """Returns at least so many turns, drawn from the first on: the order of asking does not matter."""
        chance = random.Random(f"{self.seed}:spells")
        drawn = [False] * chance.randint(0, WELL_TURNS[1])  # a route need not begin a fresh well spell
        while len(drawn) < 2 * turns:
            drawn += [True] * chance.randint(*SICK_TURNS)
            drawn += [False] * chance.randint(*WELL_TURNS)
        return drawn
