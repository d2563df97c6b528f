"""Piper voices on ONNX Runtime, on the device that was asked for and no other.

The session is built here rather than by Piper's own loader, for three reasons. Without a working GPU,
``CUDAExecutionProvider`` loads on the CPU with a mere warning, so the provider really in use is read back.
The convolution search is ``HEURISTIC``: the exhaustive default costs seconds on each new length. And the
threads are limited and do not spin, because four services share one machine. Loudness is left as the voice
makes it: scaling each sentence to its own peak would need the whole sentence and let the level jump.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors
from piper import PiperVoice as VitsVoice
from piper.config import PhonemeType, PiperConfig, SynthesisConfig

from services.tts.espeak_lock import ESPEAK_LOCK
from shared.audio import Samples, to_float
from shared.errors import EngineFailed, EngineRefused

NAME = "piper"
CUDA = "CUDAExecutionProvider"
CUDA_HINT = "make setup GPU=1, then eva doctor; or EVA_TTS_DEVICE=cpu"
_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(kind for kind in vars(onnx_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)


@dataclass(frozen=True)
class PiperVoice:
    """One voice in a session of its own; sentences of several threads run in it side by side."""

    vits: VitsVoice = field(repr=False)
    name: str
    language: str
    rate_hz: int
    device: str
    sha256: str = ""

    def speak(self, text: str, *, speed: float) -> Iterator[Samples]:
        """Yields the samples of each sentence. Raises ``EngineFailed``."""
        options = SynthesisConfig(length_scale=self.vits.config.length_scale / speed)
        try:
            with ESPEAK_LOCK:
                sentences = self.vits.phonemize(text)
            for phonemes in filter(None, sentences):
                ids = self.vits.phonemes_to_ids(phonemes)
                audio: Any = self.vits.phoneme_ids_to_audio(ids, options)
                yield to_float(audio)
        except _ERRORS as error:
            raise EngineFailed(NAME, f"{self.name}: {_one_line(error)}") from error


class Piper:
    """The voices that were proven on one device."""

    name = NAME
    is_degraded = False

    def __init__(self, device: str, voices: tuple[PiperVoice, ...]) -> None:
        self.device = device
        self._voices = voices

    def voices(self) -> tuple[PiperVoice, ...]:
        """Returns the voices, the preferred one first."""
        return self._voices

    def voice(self, language: str, wanted: str) -> PiperVoice | None:
        """Returns the voice called ``wanted``, else one of the language, else None; no language: any."""
        by_name = (voice for voice in self._voices if voice.name == wanted)
        by_language = (voice for voice in self._voices if not language or voice.language == language)
        return next(by_name, None) or next(by_language, None)


def cuda_is_listed() -> bool:
    """Whether this ONNX Runtime was built for CUDA; whether CUDA works is seen only in a session."""
    return CUDA in onnxruntime.get_available_providers()


def load_voice(model: Path, *, device: str, threads: int, sha256: str = "") -> PiperVoice:
    """Loads ``<name>.onnx`` beside its ``<name>.onnx.json`` on ``cpu`` or ``cuda[:n]``; blocks.

    Raises:
        EngineRefused: names the file that is broken, or the device that is not there.
    """
    settings = _read_config(model.with_name(model.name + ".json"))
    try:
        config = PiperConfig.from_dict(settings)
        language = str(settings.get("language", {}).get("code", "") or config.espeak_voice)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EngineRefused(NAME, f"{model}.json is no Piper configuration: {_one_line(error)}") from error
    if config.phoneme_type not in {PhonemeType.ESPEAK, PhonemeType.TEXT}:
        raise EngineRefused(NAME, f"{model.name} needs a phonemizer that is not installed")
    vits = VitsVoice(session=_open(model, device, threads), config=config)
    name = model.name.removesuffix(".onnx")
    primary = language.replace("_", "-").split("-")[0].lower()
    return PiperVoice(vits, name, primary, config.sample_rate, device, sha256)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineRefused(NAME, f"{path}: {_one_line(error)}", hint="eva models pull") from error
    if not isinstance(settings, dict):
        raise EngineRefused(NAME, f"{path} is no Piper configuration", hint="eva models pull")
    return settings


def _open(model: Path, device: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a wanted CUDA that is absent is reported by us, in one line
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wants_cuda = device.startswith("cuda")
    providers: list[Any] = ["CPUExecutionProvider"]
    if wants_cuda:
        if not cuda_is_listed():
            raise EngineRefused(NAME, "the installed ONNX Runtime has no CUDA", hint=CUDA_HINT)
        onnxruntime.preload_dlls()
        index = device.partition(":")[2] or "0"
        providers.insert(0, (CUDA, {"device_id": index, "cudnn_conv_algo_search": "HEURISTIC"}))
    try:
        session = onnxruntime.InferenceSession(str(model), sess_options=options, providers=providers)
    except _ERRORS as error:
        raise EngineRefused(NAME, f"{model}: {_one_line(error)}", hint="eva models pull") from error
    if wants_cuda:
        require_cuda(session.get_providers(), device)
    return session


def require_cuda(used: Sequence[str], device: str) -> None:
    """Raises ``EngineRefused`` unless a session's providers, the one in use first, begin with CUDA."""
    if not used or used[0] != CUDA:
        raise EngineRefused(NAME, f"{device} was asked for, the CPU would have served", hint=CUDA_HINT)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
