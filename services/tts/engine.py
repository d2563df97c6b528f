"""What the worker needs from a speech engine: voices that turn a sentence into samples.

An engine is given one sentence at a time, so that a failure in the middle of a segment loses no word and
doubles none. Speaking blocks; it is done in a thread and pulled piece by piece, so that cancellation lands
between two pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from shared.audio import Samples


class Voice(Protocol):
    """One voice, loaded and ready; several threads may use it at once."""

    @property
    def name(self) -> str:
        """As it is asked for, ``en_US-lessac-medium``."""

    @property
    def language(self) -> str:
        """ISO 639-1, or -3 where there is no shorter code."""

    @property
    def rate_hz(self) -> int:
        """Of its samples."""

    @property
    def sha256(self) -> str:
        """Of the model; empty where there is none."""

    def speak(self, text: str, *, speed: float) -> Iterator[Samples]:
        """Yields the samples of a sentence, ``speed`` 0.25..4; blocks. Raises ``EngineFailed``."""


class Engine(Protocol):
    """A way to make speech, on one device."""

    @property
    def name(self) -> str:
        """``piper``, ``espeak-ng``."""

    @property
    def device(self) -> str:
        """The device really in use: ``cuda:0``, ``cpu``."""

    @property
    def is_degraded(self) -> bool:
        """Whether a person hears at once that this is not the voice they were promised."""

    def voices(self) -> tuple[Voice, ...]:
        """Returns the voices loaded at start, the preferred one first."""

    def voice(self, language: str, wanted: str) -> Voice | None:
        """Returns the voice called ``wanted``, else one of the language, else None; no language: any."""
