"""What the worker needs from a speech engine: voices that turn a line of plain text into sound.

An engine is given one sentence at a time, so that a failure in the middle of a segment loses no word and
doubles none. Speaking blocks; it is done in a thread and pulled piece by piece, so that cancellation lands
between two pieces, and so that the pieces of many listeners can take turns on one device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from shared.audio import Samples


@dataclass(frozen=True, kw_only=True)
class Prosody:
    """How a line is said, against the voice's own way; a voice takes of it what it can."""

    length: float = 1.0
    """Factor of every duration."""
    noise: float = 1.0
    """Factor of how lively the voice is."""
    noise_w: float = 1.0
    """Factor of how uneven its rhythm is."""
    pitch: float = 0.0
    """Semitones."""
    gain_db: float = 0.0


NEUTRAL = Prosody()


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is to be said."""

    text: str
    """One sentence, plain."""
    speed: float = 1.0
    """0.25..4."""
    prosody: Prosody = NEUTRAL
    is_crowded: bool = False
    """Others are being spoken to as well: the next piece may be late, so the first is to last longer."""


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A sound of speech; seconds of the line's audio."""

    symbol: str
    """IPA, as espeak-ng writes it; a blank between words, punctuation where the voice has it."""
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class SpokenWord:
    """A word and when it is said: ``line.text[begin:end]``; seconds of the line's audio."""

    begin: int
    end: int
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A piece of a line's audio, and what is known by now of when its words are said."""

    samples: Samples
    phones: tuple[Phone, ...] = ()
    """A voice that knows its durations tells all of the line's with the first piece; of a long line those
    that it does not know yet are guessed, and all are told again with the piece that brings more of them."""
    words: tuple[SpokenWord, ...] = ()
    """Likewise, of a voice that knows its words."""


class Voice(Protocol):
    """One voice, loaded and ready; several threads may use it at once."""

    @property
    def name(self) -> str:
        """As it is asked for, ``en_US-lessac-medium``; ``…#speaker`` of a model that has several."""

    @property
    def language(self) -> str:
        """ISO 639-1, or -3 where there is no shorter code."""

    @property
    def rate_hz(self) -> int:
        """Of its samples."""

    @property
    def sha256(self) -> str:
        """Of the model; empty where there is none."""

    def speak(self, line: Line) -> Iterator[Sound]:
        """Yields the sound of a line; each piece is computed when it is asked for.

        Raises:
            EngineFailed: it could not be said (to its end).
        """


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
