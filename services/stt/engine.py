"""What the ears need from an engine, and the errors that one may raise. The worker knows no more than this.

A ``Transcriber`` is the loaded model, shared by all sessions and called from threads; what belongs to one
session (voice activity, endpoint, audio) is never in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from shared.errors import EvaError

RATE_HZ = 16000
FRAME = 512
"""Samples that the voice activity detector takes at once: 32 ms."""

Pcm = npt.NDArray[np.float32]
"""Mono samples at ``RATE_HZ``, -1..1."""


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What an engine is, as it was proven and not as it was asked for."""

    name: str
    model: str
    device: str
    """The device really in use, ``cuda:0`` or ``cpu``."""
    model_sha256: str = ""
    languages: tuple[str, ...] = ()
    """ISO 639-1; empty: any."""
    is_degraded: bool = False
    is_windowed: bool = False
    """Audio is padded to a window, so a short clip costs as much as a long one."""
    parallel: int = 1
    """How many calls it takes at once."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What was said; empty ``text``: nothing."""

    text: str
    language: str = ""
    language_probability: float = 0.0


class Transcriber(Protocol):
    """A loaded model."""

    @property
    def info(self) -> EngineInfo:
        """What it is."""

    def transcribe(self, pcm: Pcm, language: str | None, *, likely: str = "") -> Transcript:
        """Returns what is said in ``pcm``. Blocks; is called in threads, ``info.parallel`` at once.

        ``likely`` is taken where ``language`` is None and the audio does not tell clearly.

        Raises:
            EngineFailed: no usable output; another engine may have the same audio.
        """


@runtime_checkable
class Closable(Protocol):
    """An engine that holds more than memory."""

    def close(self) -> None:
        """Lets go of it; calls that still run may fail."""


class SpeechDetector(Protocol):
    """The voice activity detector of one session; keeps its state between frames."""

    def probability(self, frame: Pcm) -> float:
        """Returns how likely the ``FRAME`` samples hold speech, 0..1. Takes about 0.1 ms."""


class Resampler(Protocol):
    """Turns one session's microphone into ``RATE_HZ``; keeps its state between frames."""

    def convert(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Returns what is ready; up to a millisecond is held back."""


class UnsupportedLanguage(EvaError):
    """The engine in use does not know the session's language; a model would."""

    code = "unsupported_language"

    def __init__(self, engine: str, language: str, languages: tuple[str, ...]) -> None:
        super().__init__(
            f"The {engine} engine understands {', '.join(languages)} only, not {language!r}. "
            "Run `eva models pull` to get a model that does."
        )
        self.engine, self.language, self.languages = engine, language, languages


def short_language(language: str | None) -> str | None:
    """Returns the ISO 639-1 part of a tag (``en-US`` becomes ``en``); None for none."""
    if not language:
        return None
    return language.replace("_", "-").split("-")[0].lower() or None
