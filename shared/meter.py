"""What a worker counts of its work. Who counts nothing pays for a call that does nothing.

``shared.metrics`` counts for Prometheus; only there is its library imported, and only where
``EVA_METRICS_PORT`` asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from shared.messages import Facts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Outcome = Literal["completed", "failed", "cancelled"]


class Meter(Protocol):
    """Counts one stage's work; nothing of it blocks or awaits."""

    lag_s: float
    """How late the last beat of the loop was."""
    registry: CollectorRegistry | None
    """Where a service puts figures of its own; None: nobody reads any."""

    def taken_up(self, waited_s: float, *, delivery: int = 1) -> None:
        """Work was begun after so long in its queue; ``delivery`` 1: by its first worker."""

    def first_output(self, seconds: float, stage: str = "") -> None:
        """The first of what is waited for came after so long; ``stage``: the worker's own if empty."""

    def ended(self, seconds: float, outcome: Outcome) -> None:
        """Work has ended, so long after it was taken up."""

    def failed(self, reason: str) -> None:
        """Work has failed; ``reason`` is a code, never somebody's words."""

    def watch(self, facts: Callable[[], Facts]) -> None:
        """Has what is true now read from a worker's facts."""

    def page(self, accept: str) -> tuple[bytes, str]:
        """Returns all figures and their content type, as an ``Accept`` header wants them."""


class _Unmetered:
    def __init__(self) -> None:
        self.lag_s = 0.0
        self.registry: CollectorRegistry | None = None

    def taken_up(self, waited_s: float, *, delivery: int = 1) -> None:
        pass

    def first_output(self, seconds: float, stage: str = "") -> None:
        pass

    def ended(self, seconds: float, outcome: Outcome) -> None:
        pass

    def failed(self, reason: str) -> None:
        pass

    def watch(self, facts: Callable[[], Facts]) -> None:
        pass

    def page(self, accept: str) -> tuple[bytes, str]:  # noqa: ARG002 - there is nothing to choose from
        return b"", "text/plain"


UNMETERED: Meter = _Unmetered()
"""Counts nothing."""
