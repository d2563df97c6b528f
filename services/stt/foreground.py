"""Who is near: the person at the microphone is louder than the room behind them.

A voice activity detector hears every voice, those of a café too, and its probability falls slowly in noise;
then a turn would end late or never. So a frame counts as the person's only where it stands out of the
room's level, which is followed by its minima (Martin 2001, "Noise power spectral density estimation based
on optimal smoothing and minimum statistics"), and not too far below the level of the person's own voice.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from services.stt.engine import Frames

WINDOW = 62
"""Frames in which the room is heard at least once: two seconds."""
KNOWN = 12
"""Frames after which the room's level is believed."""
SMOOTH = 5
"""Frames over which the level is averaged for the room's minimum."""
ABOVE_ROOM_DB = 6.0
"""Of the quietest the room is; where the person is much louder, the threshold lies …"""
BETWEEN = 0.45
"""… this far between the room and the person."""
BELOW_VOICE_DB = 8.0
"""A voice this little below the person's loudest is the person's, however loud the room."""
ATTACK, RELEASE = 0.5, 0.01
"""How fast the person's level is followed, up and down."""
SILENCE_DB = -70.0
"""Quieter rooms are all alike."""


class Foreground:
    """One session's levels, in decibels of full scale; bounded memory."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=SMOOTH)
        self._smooth: deque[float] = deque(maxlen=WINDOW)
        self._voice_db: float | None = None

    def is_near(self, level_db: float, *, is_voice: bool) -> bool:
        """Takes the next frame; whether it is loud enough to be the person's."""
        level_db = max(level_db, SILENCE_DB)
        self._recent.append(level_db)
        self._smooth.append(sum(self._recent) / len(self._recent))
        room_db = min(self._smooth)
        threshold_db = room_db + ABOVE_ROOM_DB
        is_new = len(self._smooth) < KNOWN
        if is_voice and (is_new or level_db >= threshold_db):
            self._follow(level_db)
        if self._voice_db is not None:
            between_db = room_db + BETWEEN * (self._voice_db - room_db)
            threshold_db = min(max(threshold_db, between_db), self._voice_db - BELOW_VOICE_DB)
        return is_new or level_db >= threshold_db

    def _follow(self, level_db: float) -> None:
        if self._voice_db is None:
            self._voice_db = level_db
        rate = ATTACK if level_db > self._voice_db else RELEASE
        self._voice_db += rate * (level_db - self._voice_db)


def levels_db(frames: Frames) -> list[float]:
    """Returns the level of each frame, decibels of full scale."""
    power = np.square(frames, dtype=np.float32).mean(axis=1) + 1e-12
    return [float(level) for level in 10.0 * np.log10(power)]
