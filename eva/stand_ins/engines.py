"""Engines that cost nothing, behind the services' own protocols: what is left is orchestration.

Ears that hear "Hello." in any loud frame, a mind that answers one sentence, a voice that has a tone ready,
one chunk of it first.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator

import numpy as np
import numpy.typing as npt

from services.llm.engine import Device, Piece, Price, Question
from services.stt.engine import Clip, EngineInfo, Frames, Transcript
from services.tts.engine import Line, Sound
from services.tts.judge import longest_s, shortest_s
from shared.audio import Samples

RATE_HZ = 24000
PIECE_S = 0.02
CHUNK_S = 0.06
LONGEST_S = 20.0
AT_ONCE = 64
"""Transcriptions at a time."""
ANSWER = "Hello there."
LONG_ANSWER = (
    "Seven grey horses walked slowly along empty roads under heavy clouds and carried old leather bags"
    " full of dried herbs towards distant mountains"
)
"""None of its words is in what people say meanwhile."""


class ZeroMind:
    """Answers at once, always the same."""

    name, route, model, is_degraded = "zero", "zero", "zero", False
    device: Device = "local"
    price = Price()

    def __init__(self, answer: str) -> None:
        self._answer = answer

    async def stream(self, _question: Question) -> AsyncGenerator[Piece, None]:
        """Yields the one sentence."""
        yield self._answer

    async def keep_warm(self) -> None:
        """Has nothing to keep warm."""

    async def prove(self) -> None:
        """Is always there."""

    async def close(self) -> None:
        """Has nothing to give back."""


class ZeroVoice:
    """Has its tone ready; paced, it hands it out in real time.

    ``slowness``: how long the tone of a text is, by the shortest that it could be said in.
    """

    name, language, rate_hz, sha256 = "zero", "en", RATE_HZ, ""

    def __init__(self, paced_s: float, slowness: float) -> None:
        self._slowness = slowness
        self._short, self._long, self._any = _tone(CHUNK_S), _tone(paced_s), _tone(LONGEST_S)

    def speak(self, line: Line) -> Iterator[Sound]:
        """Yields the tone, at once or in real time."""
        if not len(self._long) or not set(line.text.strip(" .,").split()) <= set(LONG_ANSWER.split()):
            yield Sound(samples=self._short)
            yield Sound(samples=self._any[: int(RATE_HZ * self._slowness * shortest_s(line))])
            return
        piece = int(RATE_HZ * PIECE_S)
        began = time.monotonic()
        most = min(len(self._long), int(0.9 * longest_s(line) * RATE_HZ))  # the answer comes in segments
        for number, start in enumerate(range(0, most, piece)):
            time.sleep(max(0.0, began + number * PIECE_S - time.monotonic()))
            yield Sound(samples=self._long[start : start + piece])


def _tone(seconds: float) -> Samples:
    samples: Samples = np.sin(2 * np.pi * 220 * np.arange(int(RATE_HZ * seconds)) / RATE_HZ)
    return (0.3 * samples).astype(np.float32)


class ZeroEngine:
    """The engine of that voice."""

    name, device, is_degraded = "zero", "cpu", False

    def __init__(self, paced_s: float, slowness: float = 1.0) -> None:
        self._voice = ZeroVoice(paced_s, slowness)

    def voices(self) -> tuple[ZeroVoice, ...]:
        """Returns the one voice."""
        return (self._voice,)

    def voice(self, _language: str, _wanted: str) -> ZeroVoice:
        """Returns the one voice."""
        return self._voice


class ZeroEars:
    """Understands everything as "Hello.": finished, and finished if it is understood in several pieces.

    Without its point, two of them together are no sentence that anybody ends with, and the end is waited for
    longer on purpose: a bench would tell that as load.
    """

    info = EngineInfo(name="zero", model="zero", device="cpu", parallel=AT_ONCE)

    def transcribe(self, _clip: Clip) -> Transcript:
        """Returns the one word."""
        return Transcript(text="Hello.", language="en")


class ZeroVoiceActivity:
    """Takes what is loud for speech."""

    def open(self) -> ZeroVoiceActivity:
        """Returns itself: it keeps no state."""
        return self

    async def probabilities(self, frames: Frames) -> list[float]:
        """Returns 1 for each loud frame."""
        return [float(loudest > 0.1) for loudest in np.abs(frames).max(axis=1)]


class SameRate:
    """Resamples nothing."""

    def convert(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Returns what it got."""
        return pcm
