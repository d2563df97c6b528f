"""How much silence ends a turn, from all that is known of a pause: the words, a turn model, the person.

The person's own pauses give the unit; the words and the model say how much of it is waited for. The words
are the better witness that more will come ("and", "the"), the model (Smart Turn, or the melody of the
voice) that nothing will: so words that are open hold the turn whatever the melody says, and a sentence that
could stop here waits longer when the voice says that it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.messages import EndedBy

Completeness = Literal["open", "unknown", "complete"]
Leaning = Literal["over", "unsure", "going on"]

OVER, GOING_ON = 0.7, 0.3
"""A probability above or below which a turn model has an opinion."""


@dataclass(frozen=True, kw_only=True)
class Cue:
    """What the draft of a pause tells about whether the person is done.

    A draft that failed is told as a cue with nothing in it: then the silence alone decides.
    """

    pause: int
    text: Completeness = "unknown"
    """Of the words."""
    probability: float | None = None
    """Of a ``TurnModel``; None: there is none."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """How much silence ends the turn, and which layer says so."""

    silence_ms: float
    by: EndedBy


SHORTEST, LONGEST = 0.0, float("inf")
WAITS: dict[tuple[Completeness, Leaning], tuple[float, EndedBy]] = {
    ("complete", "over"): (SHORTEST, "text"),
    ("complete", "unsure"): (0.4, "text"),
    ("complete", "going on"): (1.6, "silence"),
    ("unknown", "over"): (SHORTEST, "model"),
    ("unknown", "unsure"): (1.6, "silence"),
    ("unknown", "going on"): (2.0, "silence"),
    ("open", "over"): (2.0, "silence"),
    ("open", "unsure"): (LONGEST, "limit"),
    ("open", "going on"): (LONGEST, "limit"),
}
"""How many of the person's expected pauses are waited for, within the bounds."""


def wait(cue: Cue | None, *, pace_ms: float, shortest_ms: float, longest_ms: float) -> Wait:
    """Returns how much silence ends the turn; between the bounds, milliseconds.

    No cue yet: the draft is on its way. Nothing can be answered before it is there, so waiting for it costs
    nothing, and when it comes it decides at once; only the longest silence goes before it.
    """
    if cue is None:
        return Wait(silence_ms=longest_ms, by="limit")
    factor, by = WAITS[cue.text, leaning(cue.probability)]
    silence_ms = min(max(factor * pace_ms, shortest_ms), longest_ms)
    return Wait(silence_ms=silence_ms, by="limit" if silence_ms == longest_ms else by)


def leaning(probability: float | None) -> Leaning:
    """Returns what a turn model's probability is worth; none, and what is no number, is no opinion."""
    if probability is not None and probability >= OVER:
        return "over"
    if probability is not None and probability <= GOING_ON:
        return "going on"
    return "unsure"
