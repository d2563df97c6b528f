"""What the ears need from an engine, and the errors that one may raise. The worker knows no more than this.

A ``Transcriber`` is the loaded model, shared by all sessions and called from threads; what belongs to one
session (voice activity, endpoint, audio) is never in it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
Frames = npt.NDArray[np.float32]
"""``[n, FRAME]``: frames of one session, in order."""


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
    is_incremental: bool = False
    """It decodes while a person speaks."""
    parallel: int = 1
    """How many calls it takes at once."""
    lanes: int = 1
    """How many of them run at full speed side by side."""
    max_batch: int = 1
    """How many clips pay in one call of ``Batching``, as measured at warm-up; 1: none."""
    call_ms: float = 0.0
    """A turn's call, as measured at warm-up with nothing beside it; 0: not measured."""
    rtf: float = 0.0
    """Its time by the length of that turn's audio."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word; times in seconds from the start of the audio that was given."""

    text: str
    start_s: float
    end_s: float
    probability: float = 0.0
    """0: the engine does not say."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What was said; empty ``text``: nothing."""

    text: str
    language: str = ""
    language_probability: float = 0.0
    words: tuple[Word, ...] = ()
    """Where they were asked for and the engine can tell."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Some audio to be transcribed."""

    pcm: Pcm
    language: str | None = None
    """ISO 639-1; None: to be detected."""
    likely: str = ""
    """Taken where ``language`` is None and the audio does not tell clearly."""
    prompt: str = ""
    """What was said just before, as far as it is settled: context, never repeated in the transcript."""
    has_words: bool = False
    """Whether times of words are wanted."""
    speech_s: float = 0.0
    """How much of it the voice activity detector took for speech; 0: not known."""


class Transcriber(Protocol):
    """A loaded model."""

    @property
    def info(self) -> EngineInfo:
        """What it is."""

    def transcribe(self, clip: Clip) -> Transcript:
        """Returns what is said. Blocks; is called in threads, ``info.parallel`` at once.

        Raises:
            EngineFailed: no usable output; another engine may have the same audio.
        """


@runtime_checkable
class Batching(Protocol):
    """An engine that takes several clips in one call."""

    def transcribe_batch(self, clips: Sequence[Clip]) -> list[Transcript]:
        """Returns what is said in each, as ``transcribe`` would; at most ``info.max_batch`` clips. Blocks.

        Raises:
            EngineFailed: for all of them.
        """


class Decoding(Protocol):
    """One piece of speech on its way through an engine that decodes while it is spoken.

    One call at a time, from any thread; all of them block and may raise ``EngineFailed``.
    """

    @property
    def learnt(self) -> str:
        """What is known of how the person sounds, as of the last draft; the engine's own, perhaps nothing."""

    def feed(self, pcm: Pcm) -> None:
        """Takes more audio."""

    def draft(self) -> Transcript:
        """Returns what was said so far, as good as if it had ended here; feeding may go on behind it."""

    def close(self) -> None:
        """Gives its place free; may be called at any time, more than once."""


@runtime_checkable
class Incremental(Protocol):
    """An engine that can decode while a person speaks, so that little is left to do at the end."""

    def begin(self, language: str | None, learnt: str = "") -> Decoding | None:
        """Returns a new decoding, or None where there is no room for one; then ``transcribe`` serves.

        ``learnt``: what a decoding of the same engine had learnt from what was said before in the session.
        """


@runtime_checkable
class Measuring(Protocol):
    """An engine that can tell what it costs on this machine."""

    def measure(self) -> None:
        """Times itself once it is warm; ``info`` tells the outcome. Blocks; raises ``EngineFailed``."""


@runtime_checkable
class Closable(Protocol):
    """An engine that holds more than memory."""

    def close(self) -> None:
        """Lets go of it; calls that still run may fail."""


class Voice(Protocol):
    """Voice activity of one session; keeps its state between frames."""

    async def probabilities(self, frames: Frames) -> list[float]:
        """Returns how likely each frame holds speech, 0..1; frames of many sessions share one model call."""


class VoiceActivity(Protocol):
    """The voice activity detector of a worker."""

    def open(self) -> Voice:
        """Returns one session's."""


class TurnModel(Protocol):
    """A semantic model of turn-taking, such as Smart Turn."""

    @property
    def info(self) -> EngineInfo:
        """What it is."""

    def probability(self, pcm: Pcm) -> float:
        """Returns how likely the person is done, 0..1, from the end of ``pcm`` (8 s are enough).

        Blocks; is called in threads. Raises ``EngineFailed``.
        """


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
