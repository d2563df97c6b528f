"""What is done to an engine's sound before it is encoded: edges, loudness, pitch. Pure.

Silence in front of the first word is latency and is cut but for ``LEAD_S``; behind the last one a natural
pause of ``TAIL_S`` stays. A window of 5 ms counts as speech from 36 dB below the usual loudness of speech
on, which is softer than any fricative. Between 5 and 10 ms are held back, to be faded out if the sound ends
there; silence is held back longer, because nobody misses it, until it is known whether sound follows.
All is done in windows that count from the beginning: it does not matter in which pieces the sound comes.
What needs no change is passed on bit by bit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from services.tts.engine import NEUTRAL, Prosody, Sound
from services.tts.loudness import TARGET_LUFS, limited
from services.tts.pitch import factor, heard
from shared.audio import Samples

WINDOW_S = 0.005
"""Of telling speech from silence, and of the fades."""
LEAD_S, TAIL_S = 4 * WINDOW_S, 50 * WINDOW_S
SPEECH_DBFS = TARGET_LUFS - 36.0
CLICK = 1e-3
"""A sound that begins or ends farther than this from zero is faded."""
_SPEECH_POWER = 10 ** (SPEECH_DBFS / 10)
_NOTHING: Samples = np.zeros(0, np.float32)


class Finish:
    """One line's sound, from one voice."""

    def __init__(self, rate_hz: int, prosody: Prosody = NEUTRAL, *, voice_gain_db: float = 0.0) -> None:
        """``prosody``: what the voice did not do itself, see ``pitch.divided``."""
        self.rate_hz = round(rate_hz * factor(prosody.pitch))
        """Of what it returns: at another rate than the voice's it sounds higher or lower."""
        self.shift_s = 0.0
        """So much was cut from the beginning; known once ``has_begun``."""
        self.has_begun = False
        """Whether speech was found; before it nothing is returned."""
        self._ratio = self.rate_hz / rate_hz
        self._gain = np.float32(10 ** ((voice_gain_db + prosody.gain_db) / 20))
        self._window = max(1, round(rate_hz * WINDOW_S))
        self._lead, self._tail = (round(it / WINDOW_S) * self._window for it in (LEAD_S, TAIL_S))
        self._fade = _rising(self._window)
        self._held = _NOTHING
        self._looked_at = 0
        """So much of ``_held`` is known to be silence; before speech was found."""
        self._silent = 0
        """Samples of the present silence that were returned."""

    def push(self, samples: Samples) -> Samples:
        """Returns what is ready of the sound so far, at ``rate_hz``."""
        if self._gain != 1.0:
            samples = limited(samples * self._gain)
        self._held = np.concatenate([self._held, samples]) if self._held.size else samples
        if not self.has_begun and not self._begin():
            return _NOTHING
        sure = (len(self._held) // self._window - 1) * self._window
        if sure <= 0:
            return _NOTHING
        speech_end = self._speech_end(self._held)
        if speech_end > 0:
            self._silent = 0
        end = min(sure, speech_end + self._tail - self._silent)
        self._silent += max(0, end - speech_end)
        ready, self._held = self._held[:end], self._held[end:]
        return ready

    def end(self) -> Samples:
        """Returns what is left of it."""
        left, self._held = self._held, _NOTHING
        if self.has_begun:
            left = left[: self._end_of(left)]
        if left.size and abs(left[-1]) > CLICK:
            left = left.copy()
            size = min(self._window, len(left))
            left[-size:] *= _rising(size)[::-1]
        return left

    def heard(self, sound: Sound) -> Sound:
        """Returns the sound with the times at which its words are heard; ``shift_s`` not yet taken off."""
        return heard(sound, self._ratio)

    def _begin(self) -> bool:
        """Looks for speech; cuts off what comes before it."""
        window = self._window
        for_speech = self._held[self._looked_at :]
        loud = np.flatnonzero(_is_speech(for_speech, window))
        if not loud.size:
            self._looked_at += len(for_speech) // window * window
            return False
        start = max(0, self._looked_at + int(loud[0]) * window - self._lead)
        self._held = self._held[start:]
        self.shift_s = start / self.rate_hz
        self.has_begun = True
        if abs(self._held[0]) > CLICK:
            self._held = np.concatenate([self._held[:window] * self._fade, self._held[window:]])
        return True

    def _end_of(self, left: Samples) -> int:
        """Returns where the line ends: behind the last speech and a pause."""
        padded = np.concatenate([left, np.zeros(-len(left) % self._window, np.float32)])
        speech_end = self._speech_end(padded)
        return (speech_end or -self._silent) + self._tail

    def _speech_end(self, samples: Samples) -> int:
        """Returns where the silence at the end begins."""
        loud = np.flatnonzero(_is_speech(samples, self._window))
        return (int(loud[-1]) + 1) * self._window if loud.size else 0


def _is_speech(samples: Samples, window: int) -> npt.NDArray[np.bool_]:
    """Returns for each whole window whether there is speech in it."""
    windows = samples[: len(samples) // window * window].reshape(-1, window)
    found: npt.NDArray[np.bool_] = np.einsum("ij,ij->i", windows, windows) > _SPEECH_POWER * window
    return found


def _rising(size: int) -> Samples:
    """Returns a raised cosine from 0 to 1."""
    steps = (np.arange(size) + 0.5) / size
    return (0.5 - 0.5 * np.cos(math.pi * steps)).astype(np.float32)
