"""Smart Turn v3: hears from the last eight seconds whether somebody is done (pipecat-ai/smart-turn, BSD-2).

A Whisper tiny encoder with a classifier behind it, in one ONNX file. Its contract: log-mel features as
Whisper's, ``input_features`` ``[n, 80, 800]`` float32, of audio that is padded in front to eight seconds and
scaled to mean 0 and variance 1; one probability ``[n, 1]`` comes back. Batches gain nothing on a CPU, so a
pause costs one call, on one thread, beside the draft of its text.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from faster_whisper.feature_extractor import FeatureExtractor

from services.stt.engine import RATE_HZ, EngineInfo, Pcm
from shared.errors import EngineFailed, EngineRefused

NAME = "smart-turn"
SECONDS = 8
SAMPLES = SECONDS * RATE_HZ
MELS, FRAMES = 80, 100 * SECONDS
PARALLEL = 2
PROOFS = 3
SLOWEST_S = 1.0
"""A slower model would say nothing before the longest silence is over."""
PULL = "eva models pull"


class SmartTurn:
    """The loaded model; ``probability`` may be called from several threads at once."""

    def __init__(self, info: EngineInfo, session: Any) -> None:
        self.info = info
        self._session = session
        self._extract = FeatureExtractor(feature_size=MELS, chunk_length=SECONDS)

    def probability(self, pcm: Pcm) -> float:
        """Returns how likely the person is done, 0..1. Blocks for some 30 ms.

        Raises:
            EngineFailed: the runtime failed, or what came back is no probability.
        """
        try:
            (answer,) = self._session.run(None, {"input_features": self.features(pcm)[np.newaxis]})
            probability = float(answer.reshape(-1)[0])
        except Exception as error:
            raise EngineFailed(NAME, _one_line(error)) from error
        if not 0.0 <= probability <= 1.0:
            raise EngineFailed(NAME, f"{probability} is no probability")
        return probability

    def features(self, pcm: Pcm) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Returns the features of the last eight seconds, ``[80, 800]``."""
        window = np.zeros(SAMPLES, dtype=np.float32)
        tail = pcm[-SAMPLES:]
        if len(tail):
            window[-len(tail) :] = tail
        window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        return np.asarray(self._extract(window, padding=0), dtype=np.float32)


def load_smart_turn(
    path: Path, *, sha256: str = "", threads: int = 1, slowest_s: float = SLOWEST_S
) -> SmartTurn:
    """Loads the model and lets it prove itself. Blocks.

    Raises:
        EngineRefused: it cannot be loaded, is another model, gives no probabilities, or is too slow here.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise EngineRefused(NAME, f"{path.name}: {_one_line(error)}", hint=PULL) from error
    _refuse_another_model(path, session)
    info = EngineInfo(
        name=NAME, model=path.stem, device="cpu", model_sha256=sha256, is_windowed=True, parallel=PARALLEL
    )
    model = SmartTurn(info, session)
    _prove(path, model, slowest_s)
    return model


def _refuse_another_model(path: Path, session: Any) -> None:
    inputs = [(item.name, item.type, list(item.shape[1:])) for item in session.get_inputs()]
    if inputs != [("input_features", "tensor(float)", [MELS, FRAMES])]:
        raise EngineRefused(NAME, f"{path.name} wants {inputs}: it is not Smart Turn v3", hint=PULL)
    outputs = [(item.type, list(item.shape[1:])) for item in session.get_outputs()]
    if outputs != [("tensor(float)", [1])]:
        raise EngineRefused(NAME, f"{path.name} gives {outputs}: it is not Smart Turn v3", hint=PULL)


def _prove(path: Path, model: SmartTurn, slowest_s: float) -> None:
    """Runs the model on noise, as often as it takes to know its time."""
    noise = np.random.default_rng(0).normal(0.0, 0.05, 2 * RATE_HZ).astype(np.float32)
    took_s = []
    for _ in range(PROOFS):
        began = time.perf_counter()
        try:
            model.probability(noise)
        except EngineFailed as failed:
            raise EngineRefused(NAME, f"{path.name}: {failed.reason}", hint=PULL) from failed
        took_s.append(time.perf_counter() - began)
    if min(took_s) > slowest_s:
        reason = f"{path.name} takes {1000 * min(took_s):.0f} ms here, more than {1000 * slowest_s:.0f}"
        raise EngineRefused(NAME, reason, hint="EVA decides by silence, words and melody alone")


def _one_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
