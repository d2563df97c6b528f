"""Voice activity by Silero v6, from the ONNX file that faster-whisper carries (no second download).

The model takes 512 new samples behind 64 samples of context and keeps a recurrent state per stream; its
batch is fixed at 1. One runtime session with one thread is shared by all streams: a frame costs about
0.1 ms, so it runs on the event loop, where a hop to a thread would cost as much.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from services.stt.engine import FRAME, Pcm
from shared.errors import EngineRefused

CONTEXT = 64
_STATE = (1, 1, 128)


def silero_path() -> Path:
    """Returns the model's file without importing the package that carries it.

    Raises:
        EngineRefused: it is not installed.
    """
    spec = importlib.util.find_spec("faster_whisper")
    folders = spec.submodule_search_locations if spec is not None else None
    path = Path(folders[0]) / "assets" / "silero_vad_v6.onnx" if folders else None
    if path is None or not path.is_file():
        raise EngineRefused(
            "silero", "silero_vad_v6.onnx is not installed", hint="pip install faster-whisper"
        )
    return path


class SileroModel:
    """The loaded model; ``stream`` gives each session its own state."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def stream(self) -> SileroStream:
        """Returns a detector for one session."""
        return SileroStream(self._session)


class SileroStream:
    """One session's detector."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = np.zeros((1, CONTEXT + FRAME), dtype=np.float32)
        self._h = np.zeros(_STATE, dtype=np.float32)
        self._c = np.zeros(_STATE, dtype=np.float32)

    def probability(self, frame: Pcm) -> float:
        """Returns how likely the frame holds speech, 0..1."""
        self._input[0, :CONTEXT] = self._input[0, -CONTEXT:]
        self._input[0, CONTEXT:] = frame
        output, self._h, self._c = self._session.run(None, {"input": self._input, "h": self._h, "c": self._c})
        return float(output.reshape(-1)[0])
