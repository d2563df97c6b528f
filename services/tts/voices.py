"""Which voice is meant by a name. Pure.

A name is that of a voice (``en_US-lessac-medium``), of a model's speaker (``fr_FR-upmc-medium#pierre``), of a
model alone (its first speaker), or the middle of one (``siwis``, ``upmc#pierre``). ``eva`` is the default
voice of the language that is spoken, ``eva-fr`` that of French whatever is spoken. ``en-us+f3`` is
espeak-ng's: a voice and a variant of it. A name that nobody here has is no reason to be mute: the language's
voice serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from shared.language import spoken

DEFAULT = "eva"
"""The default voice of each language."""
SPEAKER = "#"
"""Stands between the name of a model and that of its speaker."""
_ESPEAK = re.compile(r"(?P<language>[a-z]{2}|cmn|yue)(?:-[a-z0-9]{2,12}){0,3}(?:\+[A-Za-z0-9_-]{1,24})?")
_PIPER = re.compile(r"(?P<language>[a-z]{2,3})_[A-Za-z0-9]{2,4}-(?P<speech>\w+)-\w+")


class Named(Protocol):
    """What a voice is found by."""

    @property
    def name(self) -> str:
        """As it is asked for."""

    @property
    def language(self) -> str:
        """ISO 639-1, or -3 where there is no shorter code."""


V = TypeVar("V", bound=Named)


@dataclass(frozen=True)
class _Name:
    name: str
    language: str = ""


def is_default(wanted: str) -> bool:
    """Whether no voice is named but the language's own: nothing, or ``eva``."""
    return wanted.strip().lower() in {"", DEFAULT}


def language_of(wanted: str) -> str:
    """Returns the language (ISO 639) that a name itself tells; empty: none."""
    name = wanted.strip().partition(SPEAKER)[0]
    name = name.lower().removeprefix(f"{DEFAULT}-")
    found = _PIPER.fullmatch(name) or _ESPEAK.fullmatch(name)
    return found["language"] if found else ""


def espeak_name(wanted: str) -> str:
    """Returns what espeak-ng calls it where the name is of its kind (``fr``, ``en-us+f3``), else nothing.

    What it lets through cannot be taken as the path of a file.
    """
    name = wanted.strip()
    return name if _ESPEAK.fullmatch(name) else ""


def language_for(text: str, session: str, wanted: str) -> str:
    """Returns the language to speak a text in; empty: that of the voice.

    The text's own counts where it is clear and no voice was chosen: a French sentence in an English
    conversation is then said by a French voice. Whoever chose a voice hears that one.
    """
    return spoken(text, session) if is_default(wanted) else session


def find(voices: Sequence[V], language: str, wanted: str) -> V | None:
    """Returns the voice called ``wanted``, else one of the language, else None; no language: any.

    ``voices``: the preferred one first. A voice of espeak-ng that is named is nobody else's to speak: with
    a language, None is returned to let it come to its turn.
    """
    found = _named(voices, wanted)
    if found is not None:
        return found
    if language and espeak_name(wanted):
        return None
    own = wanted.strip().lower().startswith(f"{DEFAULT}-")
    meant = (own and language_of(wanted)) or language
    speaking = (voice for voice in voices if not meant or voice.language == meant)
    return next(speaking, voices[0] if voices and not language else None)


def find_name(names: Iterable[str], wanted: str) -> str:
    """Returns the name of the voice that is called ``wanted``; empty: none is."""
    found = _named([_Name(name) for name in names], wanted)
    return found.name if found is not None else ""


def nearest(wanted: str, names: Iterable[str], *, most: int = 3) -> list[str]:
    """Returns the names that are most like a name that nobody has, the best first."""
    import difflib  # noqa: PLC0415 - only where a name is wrong

    known = list(names)
    by_part: dict[str, str] = {}
    for name in known:
        for part in filter(None, (name.lower(), _speech(name))):
            by_part.setdefault(part, name)
    close = difflib.get_close_matches(wanted.lower(), by_part, n=most, cutoff=0.5)
    return list(dict.fromkeys(by_part[part] for part in close))


def _named(voices: Sequence[V], wanted: str) -> V | None:
    name = wanted.strip().lower()
    if is_default(name):
        return None
    model = name.partition(SPEAKER)[0]
    ways = (
        lambda voice: voice.name.lower() == name,
        lambda voice: voice.name.lower().partition(SPEAKER)[0] == model,
        lambda voice: _speech(voice.name) + _speaker(voice.name) == name,
        lambda voice: _speech(voice.name) == model,
    )
    return next((voice for is_it in ways for voice in voices if is_it(voice)), None)


def _speech(name: str) -> str:
    """Returns ``siwis`` of ``fr_FR-siwis-medium``; empty where the name is not built so."""
    found = _PIPER.fullmatch(name.partition(SPEAKER)[0])
    return found["speech"].lower() if found else ""


def _speaker(name: str) -> str:
    _, mark, speaker = name.lower().partition(SPEAKER)
    return mark + speaker
