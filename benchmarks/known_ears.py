"""EVA's own speech recognition worker, with an engine that costs what Whisper costs and knows the words.

    python -m benchmarks.known_ears

The service's worker in its own process, configured by the same ``EVA_…`` variables, with the real detector.
Its engine is the service's own Whisper with the weights of nobody (``benchmarks.random_whisper``), bounded to
as many tokens as the words that are really in the clip; its invented text is replaced by those words, since
random text gives no cue and settles nothing. ``EVA_BENCH_KNOWN`` names the file that knows them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.known_words import Known, seconds
from benchmarks.random_whisper import Bounded, bound
from services.stt import __main__ as stt
from services.stt.chain import Chain
from services.stt.choose import Candidate
from services.stt.engine import Batching, Clip, EngineInfo, Measuring, Transcript, Word
from services.stt.settings import SttSettings
from services.stt.whisper import WhisperEngine
from services.stt.worker import SttWorker
from shared import service
from shared.settings import CommonSettings


class KnownWhisper:
    """A ``Transcriber`` that is ``Batching`` and ``Measuring``, as the engine that it stands for."""

    def __init__(self, engine: WhisperEngine, bounded: Bounded, known: Known) -> None:
        self._engine, self._bounded, self._known = engine, bounded, known

    @property
    def info(self) -> EngineInfo:
        """Of the engine that it stands for."""
        return self._engine.info

    def transcribe(self, clip: Clip) -> Transcript:
        """Costs what it costs; returns the words that are in the clip."""
        transcript = self._knowing(clip)
        self._engine.transcribe(clip)
        return transcript

    def transcribe_batch(self, clips: Sequence[Clip]) -> list[Transcript]:
        """As ``transcribe``; the longest turn bounds the tokens of all."""
        transcripts = [self._knowing(clip) for clip in clips]
        self._bounded.allow(max(len(transcript.text.split()) for transcript in transcripts))
        assert isinstance(self._engine, Batching)
        self._engine.transcribe_batch(clips)
        return transcripts

    def measure(self) -> None:
        """Lets the engine time itself."""
        self._bounded.allow(9)
        if isinstance(self._engine, Measuring):
            self._engine.measure()

    def _knowing(self, clip: Clip) -> Transcript:
        found = self._known.words(clip.pcm)
        self._bounded.allow(len(found))
        words = []
        for each in found:
            start_s, end_s = seconds(each)
            words.append(Word(text=each.text, start_s=start_s, end_s=end_s, probability=0.9))
        return Transcript(
            text=" ".join(word.text for word in words),
            language=clip.language or "en",
            language_probability=1.0,
            words=tuple(words) if clip.has_words else (),
        )


def make_worker(settings: CommonSettings) -> SttWorker:
    """Returns the service's worker, its engine replaced."""
    assert isinstance(settings, SttSettings)
    known = Known.read(Path(os.environ["EVA_BENCH_KNOWN"]))
    path = Path(settings.stt_model)
    candidate = Candidate(engine="whisper", model=path.name, device="cpu", path=path, compute_type="int8")

    def load(candidate: Candidate) -> KnownWhisper:
        engine = stt.load(candidate, settings)
        assert isinstance(engine, WhisperEngine)
        model = engine._model._model  # noqa: SLF001 - the bound goes right before CTranslate2
        return KnownWhisper(engine, bound(model), known)

    worker = stt.make_worker(settings)
    # All else stays as the service has it.
    worker._parts = replace(worker._parts, make_chain=lambda: Chain([candidate], load))  # noqa: SLF001
    return worker


if __name__ == "__main__":
    service.run(SttSettings.read, make_worker, stt.connect)
