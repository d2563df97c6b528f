"""What espeak-ng tells of its sound while it makes it: when each word begins, and each sound of speech. Pure.

Positions in the sound are exact to the sample. Positions in the text are not quite: they count characters
from 1, may be a blank too early, and words that are said as one ("out of") have one event, a number several;
so an event belongs to the blank-separated word in or behind which it lies.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.tts.alignment import aligned, is_sound
from services.tts.engine import Phone, SpokenWord

PAUSE = " "
_TOKEN = re.compile(r"[^\W_](?:\S*[^\W_])?")


@dataclass(frozen=True)
class WordEvent:
    """A word begins."""

    position: int
    """Character of the text, from 1 on."""
    sample: int


@dataclass(frozen=True)
class PhoneEvent:
    """A sound of speech begins; no symbol: a pause."""

    symbol: str
    sample: int


def phones(events: Sequence[PhoneEvent], samples: int, rate_hz: int) -> tuple[Phone, ...]:
    """Returns the sounds of a line of ``samples`` in all."""
    starts = [min(event.sample, samples) for event in events]
    return tuple(
        Phone(symbol=event.symbol or PAUSE, start_s=start / rate_hz, end_s=max(start, end) / rate_hz)
        for event, start, end in zip(events, starts, [*starts, samples][1:], strict=True)
    )


def words(
    text: str, events: Sequence[WordEvent], sounds: Sequence[Phone], samples: int, rate_hz: int
) -> tuple[SpokenWord, ...]:
    """Returns when each word of a text is said that has a letter or digit; nothing without events."""
    tokens = list(_TOKEN.finditer(text))
    starts: dict[int, int] = {}
    at = 0
    for event in events:
        at = next((index for index in range(at, len(tokens)) if tokens[index].end() >= event.position), at)
        starts.setdefault(at, event.sample)
    if not tokens or not starts:
        return ()
    found: list[SpokenWord] = []
    ordered = sorted(starts)
    for first, behind in itertools.pairwise([*ordered, len(tokens)]):
        begin_s = starts[first] / rate_hz
        end_s = starts[behind] / rate_hz if behind in starts else samples / rate_hz
        within = [sound for sound in sounds if begin_s <= sound.start_s < end_s]
        said = tokens[0 if first == ordered[0] else first : behind]
        found += _shared(said, within, begin_s, end_s)
    return tuple(found)


def _shared(
    said: Sequence[re.Match[str]], sounds: Sequence[Phone], begin_s: float, end_s: float
) -> list[SpokenWord]:
    """Shares the time between two events among the words that are said in it; a pause is nobody's."""
    heard = [replace(sound, end_s=min(sound.end_s, end_s)) for sound in sounds if is_sound(sound)]
    if len(said) > 1 and heard:
        spans = aligned([token.group() for token in said], heard)
    else:
        last_s = heard[-1].end_s if heard else end_s
        step_s = (last_s - begin_s) / len(said)
        edges = [begin_s + number * step_s for number in range(len(said))]
        spans = list(itertools.pairwise([*edges, last_s]))
    return [
        SpokenWord(begin=token.start(), end=token.end(), start_s=start_s, end_s=stop_s)
        for token, (start_s, stop_s) in zip(said, spans, strict=True)
    ]
