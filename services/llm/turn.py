"""One piece of work, its bounds, and the figures that it ends with. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from services.llm.guard import LONGEST_S
from services.llm.moods import DEFAULT
from shared.messages import Generate


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One piece of work, taken up."""

    work: Generate
    language: str
    """Of the person, and so of the answer and its voice; empty: unknown."""
    began_s: float
    """When it was taken up, by the worker's clock."""
    waited_s: float
    """How long it had waited until then."""

    @property
    def due_s(self) -> float:
        """When nobody waits for it any more, by the worker's clock."""
        return self.began_s - self.waited_s + self.work.remaining_ms / 1000

    def max_tokens(self, bounds: Bounds) -> int:
        """Returns how many tokens its answer may have: what is asked for, within the worker's own bound."""
        return min(self.work.max_tokens or bounds.max_tokens, bounds.max_tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Of one answer."""

    max_tokens: int
    max_speech_s: float = LONGEST_S
    moods: tuple[str, ...] = DEFAULT


class Figures(TypedDict):
    """What a turn's report says of its telling."""

    deltas: int
    segments: int
    queue_ms: float
    first_token_ms: float
    first_segment_ms: float
    total_ms: float
