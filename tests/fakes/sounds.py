"""Sounds that are no speech: what a telephone and a radio bring to a microphone. Mono int16 at 16 kHz."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.fakes.speech import RATE_HZ, Pcm, silence, tone

LOUD = 12000.0


def chords(seconds: float) -> Pcm:
    """Returns four chords again and again, each struck and fading, two a second."""
    progression = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))
    fading = LOUD * np.exp(-1.5 * _times(0.5)) / 3
    struck = [
        fading * sum(np.sin(2 * np.pi * hz * _times(0.5)) for hz in progression[beat % 4])
        for beat in range(int(2 * seconds))
    ]
    return _pcm(np.concatenate(struck))


def sweep(seconds: float) -> Pcm:
    """Returns a tone that rises from 200 to 3000 Hz."""
    times = _times(seconds)
    return _pcm(LOUD * np.sin(2 * np.pi * (200 * times + (3000 - 200) / (2 * seconds) * times**2)))


def cadence(hz: float, on_s: float, off_s: float, times: int) -> Pcm:
    """Returns a line's signal: a tone, off and on."""
    return np.concatenate([np.concatenate([tone(hz, on_s), silence(off_s)]) for _ in range(times)])


def ringing(seconds: float) -> Pcm:
    """Returns the two tones of a North American bell."""
    return _pcm((tone(440, seconds) / 2.0) + (tone(480, seconds) / 2.0))


def hum(seconds: float) -> Pcm:
    """Returns a badly earthed line: 50 Hz and its overtones."""
    parts = [np.sin(2 * np.pi * 50 * harmonic * _times(seconds)) / harmonic for harmonic in range(1, 8)]
    return _pcm(LOUD / 2 * np.sum(parts, axis=0))


def _times(seconds: float) -> npt.NDArray[np.float64]:
    return np.arange(int(seconds * RATE_HZ)) / RATE_HZ


def _pcm(samples: npt.NDArray[np.floating]) -> Pcm:
    clipped: Pcm = np.clip(samples, -32768, 32767).astype(np.int16)
    return clipped
