"""Samples: 16-bit bytes, floats and their levels. Pure; always mono, floats in [-1, 1].

What an engine hands over is not trusted: NaN becomes silence and whatever is too loud is clipped, so that a
broken engine can never send a loud click into somebody's ear.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""One-dimensional float32 samples in [-1, 1]."""

FULL_SCALE = 32768.0
SILENCE_DBFS = -60.0
"""Below this level nobody hears anything."""


def from_pcm16(pcm: bytes) -> Samples:
    """Reads signed 16-bit little-endian samples; a trailing odd byte is dropped."""
    whole = len(pcm) - len(pcm) % 2
    return np.frombuffer(pcm, dtype="<i2", count=whole // 2).astype(np.float32) / np.float32(FULL_SCALE)


def to_pcm16(samples: Samples) -> bytes:
    """Writes signed 16-bit little-endian samples, clipped; NaN becomes silence."""
    scaled = np.clip(safe(samples) * np.float32(FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    return bytes(np.rint(scaled).astype("<i2").data)


def to_float(samples: npt.NDArray[Any]) -> Samples:
    """Returns samples of an engine (int16, or floats of any width and shape) as one row of float32."""
    flat = np.asarray(samples).reshape(-1)
    if flat.dtype == np.int16:
        return flat.astype(np.float32) / np.float32(FULL_SCALE)
    return flat.astype(np.float32, copy=False)


def safe(samples: Samples) -> Samples:
    """Returns the samples clipped to [-1, 1], NaN as silence."""
    clipped = np.clip(samples, -1.0, 1.0)
    is_nan = np.isnan(clipped)
    return np.where(is_nan, np.float32(0.0), clipped) if is_nan.any() else clipped


def is_finite(samples: Samples) -> bool:
    """Whether there is neither NaN nor infinity."""
    return bool(np.isfinite(samples).all())


def rms(samples: Samples) -> float:
    """Returns the root mean square, 0..1; 0 for no samples."""
    if samples.size == 0:
        return 0.0
    return float(math.sqrt(float(np.mean(np.square(samples, dtype=np.float64)))))


def dbfs(level: float) -> float:
    """Returns a root mean square as decibels below full scale; -inf for silence."""
    return 20.0 * math.log10(level) if level > 0.0 else -math.inf


def is_audible(samples: Samples) -> bool:
    """Whether the samples as a whole are louder than ``SILENCE_DBFS``."""
    return dbfs(rms(samples)) > SILENCE_DBFS
