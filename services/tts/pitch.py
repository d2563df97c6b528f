"""Higher or lower than the voice's own: who does it, and by how much. Pure.

espeak-ng takes a pitch. Piper does not, so its sound is played faster or slower, like a tape, and the voice
is asked for as much longer or shorter a line. The encoder resamples nearly every voice anyway: this costs
nothing and delays nothing, and there is nothing to be heard of windows or phases. The formants move with
the pitch, which within three semitones sounds like a somewhat smaller or larger speaker.
"""

from __future__ import annotations

from dataclasses import replace

from services.tts.engine import NEUTRAL, Line, Prosody, Sound

MOST_SEMITONES = 3.0
MOST_GAIN_DB = 6.0
_HAVE_PITCH = frozenset({"espeak-ng"})
"""Engines whose voices take ``Prosody.pitch`` themselves."""


def factor(semitones: float) -> float:
    """Returns the ratio of frequencies of so many semitones, at most ``MOST_SEMITONES`` either way."""
    return float(2 ** (min(max(semitones, -MOST_SEMITONES), MOST_SEMITONES) / 12))


def divided(line: Line, engine: str) -> tuple[Line, Prosody]:
    """Returns the line as an engine's voice is to say it, and what is left to be done to its sound."""
    wanted = line.prosody
    gain_db = min(max(wanted.gain_db, -MOST_GAIN_DB), MOST_GAIN_DB)
    if wanted.pitch == 0.0 or engine in _HAVE_PITCH:
        return line, replace(NEUTRAL, gain_db=gain_db)
    asked = replace(wanted, length=wanted.length * factor(wanted.pitch), pitch=0.0)
    return replace(line, prosody=asked), replace(NEUTRAL, pitch=wanted.pitch, gain_db=gain_db)


def heard(sound: Sound, ratio: float) -> Sound:
    """Returns a sound with its times as they are when it is played ``ratio`` times as fast."""
    if ratio == 1.0:
        return sound

    phones = tuple(replace(one, start_s=one.start_s / ratio, end_s=one.end_s / ratio) for one in sound.phones)
    words = tuple(replace(one, start_s=one.start_s / ratio, end_s=one.end_s / ratio) for one in sound.words)
    return replace(sound, phones=phones, words=words)
