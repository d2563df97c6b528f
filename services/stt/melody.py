"""Hears from the melody of the voice whether somebody is done: for want of a turn model.

People let the pitch fall to the bottom of their range when they are done and keep it level in the middle
when they only pause; rises are ambiguous (Edlund and Heldner 2005, "Exploring prosody in interaction
control"; Ferrer, Shriberg and Stolcke 2002). The pitch is followed by normalised autocorrelation (Boersma
1993) over the last two seconds at 8 kHz, below 1 kHz (Rabiner 1977, "On the use of autocorrelation analysis
for pitch detection": most noise lies above), in semitones, against the same person's median of these. What is
hardly louder than the pause itself is the room, not the person. A few milliseconds a pause, no model, no
language; in strong noise it often has no opinion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.stt.engine import RATE_HZ, EngineInfo, Pcm

SECONDS = 2
RATE = RATE_HZ // 2
WINDOW, HOP = 320, 160
"""40 ms every 20 ms."""
LOWEST_HZ, HIGHEST_HZ = 65, 400
FFT = 512
HIGHEST_PARTIAL_HZ = 1000
VOICED = 0.6
"""Autocorrelation at the pitch period, 0..1; noise has less."""
NEARLY = 0.9
LOUD = 0.15
"""Of the loudest frames: quieter ones are an echo of the word."""
LEAST_FRAMES = 12
"""So much voiced speech makes a range."""
LAST_FRAMES = 3
PAUSE_FRAMES = 4
"""At the end, in which only the room is heard: less than the shortest pause that is asked about."""
ABOVE_PAUSE = 1.5
"""Times the pause's loudness: what is quieter may be somebody else's voice."""
FALL, LEVEL = 2.6, 1.0
"""Semitones below the median that are a fall, and less than that are none."""
RISE = 1.5
"""Semitones above the median that are a rise."""
SURELY, HARDLY, UNSURE = 0.9, 0.2, 0.5
INFO = EngineInfo(name="melody", model="", device="cpu", is_degraded=True, parallel=2)

Floats = npt.NDArray[np.floating]

_TAPER = np.hanning(WINDOW).astype(np.float32)
_BAND = np.fft.rfftfreq(FFT, 1 / RATE) <= HIGHEST_PARTIAL_HZ


@dataclass(frozen=True)
class Melody:
    """A ``TurnModel`` without a model."""

    info: EngineInfo = INFO

    def probability(self, pcm: Pcm) -> float:
        """Returns how likely the person is done, 0..1; 0.5: the melody does not tell.

        ``pcm`` ends in the pause that is asked about, of 0.1 s at least: a voice in there is somebody else's.
        """
        pitch, is_voiced, loudness = pitches(pcm)
        own = pitch[is_voiced & (loudness > ABOVE_PAUSE * _middle(loudness[-PAUSE_FRAMES:]))]
        if len(own) < LEAST_FRAMES:
            return UNSURE
        fall = float(np.median(own) - np.median(own[-LAST_FRAMES:]))
        if fall < -RISE:
            return UNSURE
        share = min(max((fall - LEVEL) / (FALL - LEVEL), 0.0), 1.0)
        return HARDLY + share * (SURELY - HARDLY)


def pitches(pcm: Pcm) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """Returns of each frame of the last seconds its pitch, whether there is a voice, and its loudness.

    Pitch in semitones over 100 Hz; loudness of what lies below 1 kHz, linear, of no unit.
    """
    tail = pcm[-SECONDS * RATE_HZ :]
    half = tail[len(tail) % 2 :].reshape(-1, 2).mean(axis=1)
    if len(half) < WINDOW:
        return np.zeros(0), np.zeros(0, np.bool_), np.zeros(0)
    half = half[(len(half) - WINDOW) % HOP :]  # the last frame ends with the audio
    frames = np.lib.stride_tricks.sliding_window_view(half, WINDOW)[::HOP]
    frames = (frames - frames.mean(axis=1, keepdims=True)) * _TAPER
    power = np.square(np.abs(np.fft.rfft(frames, FFT))) * _BAND
    lags = np.fft.irfft(power)[:, : RATE // LOWEST_HZ]
    lags /= np.maximum(lags[:, :1], 1e-9) * _taper_lags()
    period, strength = _periods(lags)
    loudness = np.sqrt(power.sum(axis=1))
    is_voiced = (strength > VOICED) & (loudness > LOUD * np.percentile(loudness, 90))
    return 12 * np.log2(RATE / period / 100), is_voiced, loudness


def _middle(values: Floats) -> float:
    return float(np.median(values)) if len(values) else 0.0


def _periods(lags: Floats) -> tuple[Floats, Floats]:
    """Returns each frame's period in samples, and how strong it is.

    The first peak that is nearly the highest: its multiples are as high, an octave and more too low.
    """
    first = RATE // HIGHEST_HZ
    before, here, behind = lags[:, first - 1 : -2], lags[:, first:-1], lags[:, first + 1 :]
    highest = here.max(axis=1, keepdims=True)
    is_peak = (here >= before) & (here >= behind) & (here >= NEARLY * highest)
    rows, peak = np.arange(len(lags)), is_peak.argmax(axis=1)
    left, top, right = before[rows, peak], here[rows, peak], behind[rows, peak]
    bend = np.minimum(left - 2 * top + right, -1e-9)
    shift = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)  # of the parabola through three samples
    return peak + first + shift, top


def _taper_lags() -> Floats:
    """The taper's own autocorrelation, which every frame's is divided by."""
    lags = np.fft.irfft(np.square(np.abs(np.fft.rfft(_TAPER, FFT))))[: RATE // LOWEST_HZ]
    return np.asarray(lags / lags[0])
