"""EVA's real workers with engines that cost nothing: what is left is orchestration.

    python -m benchmarks.zero_cost stt|llm|tts

Each is the service's own worker in its own process, configured by the same ``EVA_…`` variables; only the
engine behind its Protocol is replaced: ears that hear "hello" in any loud frame, a mind that answers one
short sentence, a voice that has one chunk of a tone ready. With ``EVA_BENCH_PACED_S`` the voice hands its
tone out in real time, 20 ms a piece, for so many seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.llm.chain import Chain as MindChain
from services.llm.engine import Device, Usage
from services.llm.worker import LlmWorker
from services.llm.worker import Options as MindOptions
from services.stt.chain import Chain as EarChain
from services.stt.choose import Candidate
from services.stt.engine import EngineInfo, Pcm, Transcript
from services.stt.worker import Parts, SttWorker
from services.stt.worker import WorkerOptions as EarOptions
from services.tts.chain import Chain as VoiceChain
from services.tts.worker import TtsWorker
from services.tts.worker import WorkerOptions as VoiceOptions
from shared import service, subjects
from shared.audio import Samples
from shared.bus import Bus
from shared.bus.nats import connect
from shared.messages import ChatMessage
from shared.settings import CommonSettings

RATE_HZ = 24000
PIECE_S = 0.02
CHUNK_S = 0.06
SLOTS = 64
ANSWER = "Hello there."


class ZeroMind:
    """Answers at once."""

    name, model, is_degraded = "zero", "zero", False
    device: Device = "local"

    async def stream(
        self, _messages: Sequence[ChatMessage], *, language: str, remaining_s: float
    ) -> AsyncGenerator[str | Usage, None]:
        """Yields the one sentence."""
        del language, remaining_s
        yield ANSWER

    async def prove(self) -> None:
        """Is always there."""

    async def close(self) -> None:
        """Has nothing to give back."""


class ZeroVoice:
    """Has its tone ready."""

    name, language, rate_hz, sha256 = "zero", "en", RATE_HZ, ""

    def __init__(self, paced_s: float) -> None:
        length = int(RATE_HZ * (paced_s or CHUNK_S))
        self._tone = (0.3 * np.sin(2 * np.pi * 220 * np.arange(length) / RATE_HZ)).astype(np.float32)
        self._is_paced = paced_s > 0

    def speak(self, _text: str, *, speed: float) -> Iterator[Samples]:
        """Yields the tone, at once or in real time."""
        del speed
        if not self._is_paced:
            yield self._tone
            return
        piece = int(RATE_HZ * PIECE_S)
        began = time.monotonic()
        for number, start in enumerate(range(0, len(self._tone), piece)):
            time.sleep(max(0.0, began + number * PIECE_S - time.monotonic()))
            yield self._tone[start : start + piece]


class ZeroEngine:
    """The engine of that voice."""

    name, device, is_degraded = "zero", "cpu", False

    def __init__(self, paced_s: float) -> None:
        self._voice = ZeroVoice(paced_s)

    def voices(self) -> tuple[ZeroVoice, ...]:
        """Returns the one voice."""
        return (self._voice,)

    def voice(self, _language: str, _wanted: str) -> ZeroVoice:
        """Returns the one voice."""
        return self._voice


class ZeroEars:
    """Understands everything as "hello"."""

    info = EngineInfo(name="zero", model="zero", device="cpu", parallel=SLOTS)

    def transcribe(self, _pcm: Pcm, _language: str | None, *, likely: str = "") -> Transcript:
        """Returns the one word."""
        del likely
        return Transcript(text="hello", language="en")


class ZeroDetector:
    """Takes what is loud for speech."""

    def probability(self, frame: Pcm) -> float:
        """Returns 1 for a loud frame."""
        return 1.0 if float(np.abs(frame).max()) > 0.1 else 0.0


class SameRate:
    """Resamples nothing."""

    def convert(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Returns what it got."""
        return pcm


def make_mind(settings: CommonSettings) -> LlmWorker:
    """Returns the mind's worker."""
    return LlmWorker(
        settings.worker_id or subjects.new_token(), MindChain([ZeroMind()]), MindOptions(slots=SLOTS)
    )


def make_voice(settings: CommonSettings) -> TtsWorker:
    """Returns the voice's worker."""
    paced_s = float(os.environ.get("EVA_BENCH_PACED_S", "0"))
    options = VoiceOptions(
        name=settings.worker_id or subjects.new_token(), slots=SLOTS, chunk_ms=20 if paced_s else 60
    )
    return TtsWorker(options, lambda: VoiceChain([ZeroEngine(paced_s)], time.monotonic))


def make_ears(settings: CommonSettings) -> SttWorker:
    """Returns the ears' worker."""
    options = EarOptions(worker=settings.worker_id or subjects.new_token(), pid=os.getpid(), slots=SLOTS)
    candidate = Candidate(engine="sphinx", model="zero", device="cpu", path=Path())
    parts = Parts(
        make_chain=lambda: EarChain([candidate], lambda _candidate: ZeroEars()),
        make_detectors=lambda: ZeroDetector,
        make_resampler=lambda _rate_hz: SameRate(),
    )
    return SttWorker(options, parts)


async def connected(settings: CommonSettings) -> Bus:
    """Connects to the broker."""
    password = settings.nats_password.get_secret_value()
    return await connect(settings.nats_url, name="zero", user=settings.nats_user, password=password)


MAKERS: dict[str, Callable[[CommonSettings], service.Worker]] = {
    "llm": make_mind,
    "stt": make_ears,
    "tts": make_voice,
}

if __name__ == "__main__":
    service.run(CommonSettings.read, MAKERS[sys.argv[1]], connected)
