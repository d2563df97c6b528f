"""How loud a sound is, where its voice ends, when it could be heard first, and when it stopped. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eva.wav import AUDIBLE_DBFS, FRAME_MS, Sound, is_audible
from services.gateway.chat_protocol import Flush, Interrupted, Pause, Resume, ServerEvent

_SILENT_DBFS = -120.0


def _levels_dbfs(sound: Sound) -> NDArray[np.float64]:
    """Returns the level of each 20 ms; the last one is filled up with silence."""
    size = sound.rate_hz * FRAME_MS // 1000
    samples = sound.samples.astype(np.float64) / 32768
    padded = np.pad(samples, (0, -samples.size % size))
    rms = np.sqrt((padded.reshape(-1, size) ** 2).mean(axis=1))
    return np.asarray(20 * np.log10(np.maximum(rms, 10 ** (_SILENT_DBFS / 20))))


def loudest_dbfs(sound: Sound) -> float | None:
    """Returns the level of the loudest 20 ms; None: there is no sound."""
    return round(float(_levels_dbfs(sound).max()), 1) if sound.pcm else None


def voiced_until_s(sound: Sound) -> float:
    """Returns where the last 20 ms that can be heard end; 0 where nothing can."""
    loud = np.flatnonzero(_levels_dbfs(sound) > AUDIBLE_DBFS) if sound.pcm else np.array([])
    return min(sound.duration_s, (int(loud[-1]) + 1) * FRAME_MS / 1000) if loud.size else 0.0


def voiced_from_s(sound: Sound) -> float:
    """Returns where the first 20 ms that can be heard begin; 0 where nothing can."""
    loud = np.flatnonzero(_levels_dbfs(sound) > AUDIBLE_DBFS) if sound.pcm else np.array([])
    return int(loud[0]) * FRAME_MS / 1000 if loud.size else 0.0


def answer_of(pieces: Sequence[tuple[float, bytes]], rate_hz: int) -> Sound:
    """Returns all pieces as one sound."""
    return Sound(rate_hz=rate_hz, pcm=b"".join(pcm for _, pcm in pieces))


def first_audible(pieces: Sequence[tuple[float, bytes]], rate_hz: int) -> float | None:
    """Returns when the first piece came with which the answer could be heard; None: never.

    A piece shorter than 20 ms is judged together with those before it.
    """
    sofar = b""
    for at_s, pcm in pieces:
        sofar += pcm
        if is_audible(Sound(rate_hz=rate_hz, pcm=sofar)):
            return at_s
        sofar = sofar[-rate_hz * FRAME_MS // 1000 * 2 :]
    return None


def stopped_s(events: Iterable[tuple[float, ServerEvent]]) -> tuple[float | None, float | None]:
    """Returns when an answer fell silent for good, and when the rest of it was dropped; None: never.

    A pause that was taken back by a resume was no stop: the answer went on over the person.
    """
    paused_s = None
    for at_s, event in events:
        match event:
            case Pause():
                paused_s = at_s if paused_s is None else paused_s
            case Resume():
                paused_s = None
            case Flush() | Interrupted():
                return (at_s if paused_s is None else paused_s), at_s
            case _:
                pass
    return paused_s, None
