"""Voice activity by Silero v6, from the ONNX file that faster-whisper carries (no second download).

The model takes 512 new samples behind 64 samples of context and keeps a recurrent state per stream. Two
forms of it are loaded, with one thread each: ``run`` takes many frames of one session (a replay, a file),
``step`` one frame of each of many sessions. Where the second form cannot be made of the file that is
there, ``step`` calls the first once per session, and the log says so.

Wall time of one call, one core (``benchmarks/voice_activity.py``): a frame 0.19–0.27 ms by itself, 0.07–0.08
in a batch of 16 or more.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from services.stt.engine import FRAME, Frames, Pcm
from shared.errors import EngineRefused
from shared.observe import Log

log = Log("eva.stt")

CONTEXT = 64
HIDDEN = 128
STATE = CONTEXT + 2 * HIDDEN
"""Numbers that a stream keeps: the last samples, and the LSTM's two states."""
MAX_DIFFERENCE = 1e-5
"""Between the two forms, in probability and state."""

State = npt.NDArray[np.float32]
"""``[STATE]``; zeros for a new stream."""


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
    """The loaded model; both calls block and may come from several threads at once."""

    state_size = STATE

    def __init__(self, path: Path, rebuild: Callable[[Path], bytes] | None = None) -> None:
        """``rebuild`` makes the second form; blocks for about 0.3 s."""
        self._one = _session(str(path))
        self._many: Any = None
        try:
            self._many = _session((rebuild or _batched)(path))
            self._prove()
        except Exception as error:  # noqa: BLE001 - whatever a strange file or runtime raises: the plain form serves
            self._many = None
            log.warning("stt.voice_activity_unbatched", reason=str(error).partition("\n")[0])

    @property
    def is_batched(self) -> bool:
        """Whether ``step`` is one call for all sessions."""
        return self._many is not None

    def run(self, state: State, frames: Frames) -> tuple[list[float], State]:
        """Judges frames of one session, in order; returns their probabilities and the state behind them."""
        before = np.concatenate([state[None, :CONTEXT], frames[:-1, -CONTEXT:]])
        h, c = state[None, None, CONTEXT:-HIDDEN], state[None, None, -HIDDEN:]
        rows = np.concatenate([before, frames], axis=1)
        heard, h, c = self._one.run(None, {"input": rows, "h": h, "c": c})
        return heard.tolist(), np.concatenate([frames[-1, -CONTEXT:], h[0, 0], c[0, 0]])

    def step(self, states: State, frames: Frames) -> tuple[list[float], State]:
        """Judges one frame of each session; ``states`` is ``[n, STATE]``, and so is what is returned."""
        if self._many is None:
            pairs = [self.run(state, frame[None]) for state, frame in zip(states, frames, strict=True)]
            return [heard[0] for heard, _ in pairs], np.stack([state for _, state in pairs])
        h, c = states[None, :, CONTEXT:-HIDDEN], states[None, :, -HIDDEN:]
        rows = np.concatenate([states[:, :CONTEXT], frames], axis=1)
        heard, h, c = self._many.run(None, {"input": rows, "h": h, "c": c})
        return heard.tolist(), np.concatenate([frames[:, -CONTEXT:], h[0], c[0]], axis=1)

    def open(self) -> SileroStream:
        """Returns a detector for one session by itself: one call for each of its pieces."""
        return SileroStream(self)

    def _prove(self) -> None:
        """Raises ``ValueError`` unless both forms say the same of the same frames."""
        frames = np.random.default_rng(0).normal(0.0, 0.1, (3, 4, FRAME)).astype(np.float32)
        states = np.zeros((3, STATE), dtype=np.float32)
        heard = []
        for turn in range(4):
            now, states = self.step(states, frames[:, turn])
            heard.append(now)
        for session in range(3):
            alone, state = self.run(np.zeros(STATE, dtype=np.float32), frames[session])
            together = [now[session] for now in heard]
            far = max(np.abs(np.subtract(alone, together)).max(), np.abs(state - states[session]).max())
            if not far <= MAX_DIFFERENCE:
                raise ValueError(f"the batched form is off by {far:g}")


class SileroStream:
    """One session's detector, on its own."""

    def __init__(self, model: SileroModel) -> None:
        self._model = model
        self._state = np.zeros(STATE, dtype=np.float32)

    async def probabilities(self, frames: Frames) -> list[float]:
        """Returns how likely each frame holds speech, 0..1; blocks the loop for 0.1 to 0.3 ms a frame."""
        if not len(frames):
            return []
        heard, self._state = self._model.run(self._state, frames)
        return heard

    def probability(self, frame: Pcm) -> float:
        """Returns how likely the frame holds speech, 0..1."""
        heard, self._state = self._model.run(self._state, frame[None])
        return heard[0]


def _batched(path: Path) -> bytes:
    from services.stt.silero_graph import batched  # noqa: PLC0415 - onnx may be missing

    return batched(path)


def _session(model: str | bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
