"""What only the voice counts: seconds of computing, and the seconds of sound that came of it."""

from __future__ import annotations

from typing import Protocol


class SpeechMeter(Protocol):
    """Counts what was spoken; nothing of it blocks."""

    def spoke(self, engine: str, device: str, *, computed_s: float, sound_s: float) -> None:
        """A segment, or what there is of it, was computed."""

    def cached(self) -> None:
        """A segment was there already."""


class _Unmetered:
    def spoke(self, engine: str, device: str, *, computed_s: float, sound_s: float) -> None:
        pass

    def cached(self) -> None:
        pass


UNMETERED: SpeechMeter = _Unmetered()
"""Counts nothing."""
