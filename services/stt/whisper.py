"""Whisper by faster-whisper (CTranslate2): one model for all sessions, one encoder pass a turn.

Several clips are encoded and decoded in one call where that pays (``measure``). Against invented text stand
the gates of ``gates``; what looks like a loop is asked once more with the full window and without the
context, the two things that are known to bring loops about.

Batches, as measured with the true architecture and random weights on two cores (int8, 14 tokens, per clip,
median of 3, singly and in fours): base in a window of 5 s 123 and 82 ms, tiny 65 and 44; in the full window
of 30 s base 1020 and 1110 ms, tiny 530 and 450. The decoder gains what the encoder does not, so on a CPU
batches pay in short windows only.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel

from services.stt.choose import batch_that_pays
from services.stt.engine import RATE_HZ, Clip, EngineInfo, Transcript, Word
from services.stt.gates import Evidence, Verdict, judge
from services.stt.phantoms import without_credits
from services.stt.whisper_model import Asked, Decoded, Model
from services.stt.windows import FULL_FRAMES, WINDOW, frames_for, windows
from shared.errors import EngineFailed, EngineRefused

SURE_LANGUAGE = 0.7
TURN_S = 3.0
"""Of a turn; what is timed."""
PATIENCE_S = 1.5
"""A batch that would take longer at warm-up is not tried: such an engine is too slow for talk anyway."""


def cuda_devices() -> int:
    """Returns how many CUDA devices CTranslate2 can use; 0 without a driver."""
    return int(ctranslate2.get_cuda_device_count())


def compute_types(device: str) -> tuple[str, ...]:
    """Returns what ``cpu`` or ``cuda:1`` can calculate in."""
    kind, _, number = device.partition(":")
    return tuple(sorted(ctranslate2.get_supported_compute_types(kind, int(number or 0))))


def preload_cuda() -> None:
    """Loads the CUDA libraries of NVIDIA's wheels, where they are, so that CTranslate2 finds them."""
    import onnxruntime  # noqa: PLC0415 - only CUDA needs it here

    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


@dataclass(frozen=True, kw_only=True)
class WhisperOptions:
    """How a model is run."""

    device: str
    compute_type: str
    threads: int
    """Of one call, on the CPU."""
    parallel: int
    lanes: int = 1
    is_short: bool = False
    """Whether a short turn gets a short window; see ``windows``."""
    batch: int = 0
    """Clips in one call at most; 0: as many as pay."""


class WhisperEngine:
    """A loaded Whisper model."""

    def __init__(self, info: EngineInfo, model: Model, *, is_short: bool = False, batch: int = 0) -> None:
        self.info = info
        self._model = model
        self._is_short, self._batch = is_short, batch

    def transcribe(self, clip: Clip) -> Transcript:
        """Returns what is said; the language is detected on the first window if it is not given."""
        said: list[Transcript] = []
        offset_s = 0.0
        with _failing():
            for window in windows(clip.pcm):
                piece = replace(clip, pcm=window)
                if said:
                    piece = replace(piece, language=said[0].language, prompt="")
                [transcript] = self._hear([piece])
                said.append(_later(transcript, offset_s))
                offset_s += len(window) / RATE_HZ
        text = " ".join(part.text for part in said if part.text)
        return replace(said[0], text=text, words=tuple(word for part in said for word in part.words))

    def transcribe_batch(self, clips: Sequence[Clip]) -> list[Transcript]:
        """Returns what is said in each; clips that need windows of different sizes take several calls."""
        done: dict[int, Transcript] = {}
        alike: dict[tuple[int, bool, str | None], list[int]] = defaultdict(list)
        for number, clip in enumerate(clips):
            if len(clip.pcm) > WINDOW:
                done[number] = self.transcribe(clip)
            else:
                language = clip.language if clip.has_words else None  # words are split as it asks for
                alike[self._frames(clip), bool(clip.prompt), language].append(number)
        with _failing():
            for numbers in alike.values():
                heard = self._hear([clips[number] for number in numbers])
                done.update(zip(numbers, heard, strict=True))
        return [done[number] for number in range(len(clips))]

    def measure(self) -> None:
        """Times a turn of three seconds and, where that is to be found out, a batch of them."""
        most = self._batch or (8 if self.info.device.startswith("cuda") else 4)
        with _failing():
            call_s = min(self._time(1), self._time(1))
            pays = self._batch or 1
            if not self._batch and call_s * most <= PATIENCE_S:
                pays = batch_that_pays(call_s, self._time(most), most)
        self.info = replace(self.info, call_ms=1000 * call_s, rtf=call_s / TURN_S, max_batch=pays)

    def _time(self, clips: int) -> float:
        noise = np.random.default_rng(0).normal(0.0, 0.003, int(TURN_S * RATE_HZ)).astype(np.float32)
        began = time.perf_counter()
        self._model.work(self._model.encode([noise] * clips, self._frames(Clip(pcm=noise))), clips)
        return time.perf_counter() - began

    def _frames(self, clip: Clip) -> int:
        return frames_for(len(clip.pcm)) if self._is_short else FULL_FRAMES

    def _hear(self, clips: Sequence[Clip]) -> list[Transcript]:
        """Returns what is said in clips of one window each."""
        frames = max(self._frames(clip) for clip in clips)
        encoded = self._model.encode([clip.pcm for clip in clips], frames)
        languages = [(clip.language or "", 1.0) for clip in clips]
        if not all(clip.language for clip in clips):
            detected = self._detect(encoded, len(clips))
            languages = [
                (clip.language, 1.0) if clip.language else likelier(found, clip.likely)
                for clip, found in zip(clips, detected, strict=True)
            ]
        asked = [_asked(clip, language) for clip, (language, _) in zip(clips, languages, strict=True)]
        decoded = self._model.decode(encoded, asked)
        believed = [
            self._believed(clip, one, said, frames)
            for clip, one, said in zip(clips, asked, decoded, strict=True)
        ]
        return [
            Transcript(text=text, language=language, language_probability=probability, words=words)
            for (text, words), (language, probability) in zip(believed, languages, strict=True)
        ]

    def _detect(self, encoded: object, clips: int) -> list[tuple[str, float]]:
        return self._model.detect(encoded) if self._model.is_multilingual else [("en", 1.0)] * clips

    def _believed(
        self, clip: Clip, asked: Asked, decoded: Decoded, frames: int
    ) -> tuple[str, tuple[Word, ...]]:
        """Returns the text and the words that stand before the gates."""
        verdict = _judge(clip, asked, decoded)
        if verdict in {"loop", "doubtful"} and (frames < FULL_FRAMES or asked.prompt):
            encoded = self._model.encode([clip.pcm], FULL_FRAMES)
            asked = replace(asked, prompt="")
            [decoded] = self._model.decode(encoded, [asked])
            verdict = _judge(clip, asked, decoded)
        if verdict not in {"said", "doubtful"}:
            return "", ()
        text = without_credits(decoded.text)
        return text, decoded.words if text == decoded.text else decoded.words[: len(text.split())]


def likelier(detected: tuple[str, float], likely: str) -> tuple[str, float]:
    """Returns the language to go by, and the probability of the one that was detected."""
    language, probability = detected
    return (likely if likely and probability < SURE_LANGUAGE else language), probability


def _asked(clip: Clip, language: str) -> Asked:
    return Asked(
        language=language,
        seconds=len(clip.pcm) / RATE_HZ,
        prompt=clip.prompt,
        has_words=clip.has_words,
    )


def _judge(clip: Clip, asked: Asked, decoded: Decoded) -> Verdict:
    return judge(
        Evidence(
            text=decoded.text,
            seconds=asked.seconds,
            tokens=len(decoded.tokens),
            no_speech=decoded.no_speech,
            logprob=decoded.logprob,
            language=asked.language,
            speech_s=clip.speech_s,
        )
    )


def _later(transcript: Transcript, offset_s: float) -> Transcript:
    words = tuple(
        replace(word, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s)
        for word in transcript.words
    )
    return replace(transcript, words=words)


@contextmanager
def _failing() -> Iterator[None]:
    """Turns the runtime's errors into ours."""
    try:
        yield
    except (RuntimeError, ValueError, MemoryError) as error:
        raise EngineFailed("whisper", one_line(error)) from error


def one_line(error: Exception) -> str:
    """Returns the first line of an error's text."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def load_whisper(path: Path, options: WhisperOptions, *, sha256: str = "") -> WhisperEngine:
    """Loads a model whose files are known to be whole. Blocks for as long as that takes.

    Raises:
        EngineRefused: it cannot be loaded, or not on that device.
    """
    device = options.device
    kind, _, number = device.partition(":")
    try:
        if kind == "cuda":
            preload_cuda()
        model = WhisperModel(
            str(path),
            device=kind,
            device_index=int(number or 0),
            compute_type=options.compute_type,
            cpu_threads=options.threads,
            num_workers=options.parallel,
            local_files_only=True,
        )
    except Exception as error:
        raise EngineRefused("whisper", f"{path.name} on {device}: {one_line(error)}") from error
    if model.model.device != kind:
        raise EngineRefused("whisper", f"{path.name} runs on {model.model.device}, not on {device}")
    info = EngineInfo(
        name="whisper",
        model=path.name,
        device=device,
        model_sha256=sha256,
        languages=tuple(model.supported_languages),
        is_windowed=not options.is_short,
        parallel=options.parallel,
        lanes=options.lanes,
    )
    return WhisperEngine(info, Model(model), is_short=options.is_short, batch=options.batch)
