"""How a mood is said: a table, changed by the configuration. Pure.

The directions are those that listeners agree on (Juslin and Laukka 2003, "Communication of emotions in vocal
expression": sadness and tenderness slow, low and soft; joy and surprise fast, high and lively; anger fast and
loud); the amounts are small, so that EVA stays the same person. What a mood changes is bounded, whatever the
table says; a mood that nobody has described is said neutrally.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Final

from services.tts.engine import NEUTRAL, Prosody

BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "length": (0.75, 1.35),
    "noise": (0.5, 1.5),
    "noise_w": (0.5, 1.5),
    "pitch": (-3.0, 3.0),
    "gain_db": (-4.0, 4.0),
}
"""From and to, of each part of a prosody."""

DEFAULT: Final[Mapping[str, Prosody]] = {
    "neutral": NEUTRAL,
    "joy": Prosody(length=0.94, noise=1.15, noise_w=1.15, pitch=1.0, gain_db=1.0),
    "sadness": Prosody(length=1.18, noise=0.8, noise_w=0.85, pitch=-1.2, gain_db=-2.0),
    "anger": Prosody(length=0.92, noise=1.2, noise_w=0.85, pitch=0.5, gain_db=2.0),
    "surprise": Prosody(length=0.97, noise=1.2, noise_w=1.2, pitch=1.8, gain_db=1.0),
    "calm": Prosody(length=1.1, noise=0.8, noise_w=0.8, pitch=-0.5, gain_db=-1.0),
    "tenderness": Prosody(length=1.1, noise=0.85, noise_w=0.9, pitch=-0.3, gain_db=-2.0),
    "fear": Prosody(length=0.93, noise=1.1, noise_w=1.25, pitch=1.2, gain_db=-1.5),
    "disgust": Prosody(length=1.08, noise=0.95, noise_w=0.9, pitch=-1.0, gain_db=0.0),
    "curiosity": Prosody(length=1.0, noise=1.1, noise_w=1.1, pitch=0.7, gain_db=0.0),
}


class BadMood(ValueError):
    """The table cannot be used; ``key`` is the entry at fault, ``joy.pitch``."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.key, self.reason = key, reason


def prosody(mood: str, table: Mapping[str, Prosody] = DEFAULT) -> Prosody:
    """Returns how it is said; neutral where the mood is not known."""
    return table.get(mood.strip().casefold(), NEUTRAL)


def read_moods(text: str) -> Mapping[str, Prosody]:
    """Reads ``{"joy": {"pitch": 1.5, "length": 0.9}, "awe": {"length": 1.2}}``; empty: the table as it is.

    Moods that are not named keep their own; of one that is named, so does what is not said.

    Raises:
        BadMood: it is no such table, or a figure is out of bounds; names the entry.
    """
    if not text.strip():
        return DEFAULT
    try:
        told = json.loads(text)
    except ValueError as error:
        raise BadMood("", f"is no JSON ({error})") from error
    if not isinstance(told, dict):
        raise BadMood("", 'must be a table of moods, {"joy": {"pitch": 1.5}}')
    return {**DEFAULT, **{_name(mood): _prosody(mood, parts) for mood, parts in told.items()}}


def _name(mood: str) -> str:
    name = mood.strip().casefold()
    if not name:
        raise BadMood(repr(mood), "is no name of a mood")
    return name


def _prosody(mood: str, parts: object) -> Prosody:
    if not isinstance(parts, dict):
        raise BadMood(mood, f"must have some of {', '.join(BOUNDS)}")
    for part, amount in parts.items():
        if part not in BOUNDS:
            raise BadMood(f"{mood}.{part}", f"is none of {', '.join(BOUNDS)}")
        low, high = BOUNDS[part]
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not math.isfinite(amount):
            raise BadMood(f"{mood}.{part}", "must be a number")
        if not low <= amount <= high:
            raise BadMood(f"{mood}.{part}", f"{amount:g} is not within {low:g} to {high:g}")
    return replace(DEFAULT.get(_name(mood), NEUTRAL), **{part: float(value) for part, value in parts.items()})


def described(table: Mapping[str, Prosody]) -> dict[str, dict[str, float]]:
    """Returns a table as it would be written in the configuration."""
    return {mood: asdict(prosody) for mood, prosody in table.items()}
