"""Whisper by faster-whisper (CTranslate2): one encoder pass an utterance, language detection included.

``WhisperModel.transcribe`` encodes the audio twice when the language is to be detected (0.8 s more on two
cores with the base model), so its parts are called here: features, encode, detect, generate. Greedy, at
temperature 0, without timestamps and without the text before: a turn is short and must be quick. Against
invented text stand the gates of Whisper's paper (Radford et al. 2022, section 4.5); the voice activity
detector stands before them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from services.stt.engine import RATE_HZ, EngineInfo, Pcm, Transcript
from shared.errors import EngineFailed, EngineRefused

WINDOW = 30 * RATE_HZ
"""Samples that the model takes at once."""
CUT_WITHIN = 3 * RATE_HZ
"""Longer audio is cut at the quietest place of the window's last three seconds."""
NO_SPEECH = 0.6
MIN_LOGPROB = -1.0
MAX_COMPRESSION = 2.4
SURE_LANGUAGE = 0.7
TOKENS_PER_S = 12
"""Nobody speaks faster; bounds a loop of repetitions."""


def cuda_devices() -> int:
    """Returns how many CUDA devices CTranslate2 can use; 0 without a driver."""
    return int(ctranslate2.get_cuda_device_count())


def preload_cuda() -> None:
    """Loads the CUDA libraries of NVIDIA's wheels, where they are, so that CTranslate2 finds them."""
    import onnxruntime  # noqa: PLC0415 - only CUDA needs it here

    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


class WhisperEngine:
    """A loaded Whisper model."""

    def __init__(self, info: EngineInfo, model: WhisperModel) -> None:
        self.info = info
        self._model = model

    def transcribe(self, pcm: Pcm, language: str | None, *, likely: str = "") -> Transcript:
        """Returns what is said; the language is detected on the first window if it is not given."""
        texts: list[str] = []
        probability = 1.0 if language else 0.0
        try:
            for window in windows(pcm):
                encoded = self._encode(window)
                if not language:
                    language, probability = self._detect(encoded, likely)
                texts.append(self._decode(encoded, language, len(window) / RATE_HZ))
        except (RuntimeError, ValueError, MemoryError) as error:
            raise EngineFailed("whisper", one_line(error)) from error
        text = " ".join(text for text in texts if text)
        return Transcript(text=text, language=language or "", language_probability=probability)

    def _encode(self, window: Pcm) -> Any:
        features = self._model.feature_extractor(window)
        return self._model.encode(pad_or_trim(features[:, :-1]))

    def _detect(self, encoded: Any, likely: str) -> tuple[str, float]:
        if not self._model.model.is_multilingual:
            return "en", 1.0
        token, probability = self._model.model.detect_language(encoded)[0][0]
        if likely and probability < SURE_LANGUAGE:
            return likely, probability
        return str(token)[2:-2], probability

    def _decode(self, encoded: Any, language: str, seconds: float) -> str:
        model = self._model
        tokenizer = Tokenizer(
            model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language
        )
        prompt = model.get_prompt(tokenizer, [], without_timestamps=True)
        result = model.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=min(model.max_length, len(prompt) + 16 + int(TOKENS_PER_S * seconds)),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
        )[0]
        tokens = result.sequences_ids[0]
        text = str(tokenizer.decode(tokens)).strip()
        logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
        return text if is_speech(text, result.no_speech_prob, logprob) else ""


def is_speech(text: str, no_speech: float, logprob: float) -> bool:
    """Tells said words from invented ones: no silence that is unsure of its words, no loop."""
    if no_speech > NO_SPEECH and logprob < MIN_LOGPROB:
        return False
    raw = text.encode()
    return len(raw) <= MAX_COMPRESSION * len(zlib.compress(raw))


def windows(pcm: Pcm) -> Iterator[Pcm]:
    """Cuts audio into pieces of at most ``WINDOW`` samples, between words where there is a quiet place."""
    while len(pcm) > WINDOW:
        step = RATE_HZ // 50
        tail = pcm[WINDOW - CUT_WITHIN : WINDOW].reshape(-1, step)
        cut = WINDOW - CUT_WITHIN + step * int(np.argmin(np.square(tail).mean(axis=1)))
        yield pcm[:cut]
        pcm = pcm[cut:]
    yield pcm


def one_line(error: Exception) -> str:
    """Returns the first line of an error's text."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def load_whisper(
    path: Path, *, device: str, compute_type: str, threads: int, parallel: int, sha256: str
) -> WhisperEngine:
    """Loads a model whose files are known to be whole. Blocks for as long as that takes.

    Raises:
        EngineRefused: it cannot be loaded, or not on that device.
    """
    kind, _, number = device.partition(":")
    try:
        if kind == "cuda":
            preload_cuda()
        model = WhisperModel(
            str(path),
            device=kind,
            device_index=int(number or 0),
            compute_type=compute_type,
            cpu_threads=threads,
            num_workers=parallel,
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
        is_windowed=True,
        parallel=parallel,
    )
    return WhisperEngine(info, model)
