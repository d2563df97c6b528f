"""The events that tell when what is heard of an answer. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from services.gateway.chat_protocol.base import ServerEvent

Viseme = Literal[
    "sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"
]  # fmt: skip


class SpokenWord(msgspec.Struct, frozen=True, kw_only=True):
    """A word and when it is heard; milliseconds of the turn's sound, as ``played`` counts it."""

    text: str
    begin: int
    """``text`` is ``segment.text[begin:end]``: as it is written, one number or date may be several words."""
    end: int
    start_ms: float
    end_ms: float


class WordsEvent(ServerEvent, frozen=True, kw_only=True, tag="words"):
    """The words that begin in the sound that follows.

    Of a word that is told twice the later telling counts.
    """

    turn_id: str
    segment: int
    words: list[SpokenWord]
    is_estimated: bool = False
    """The voice does not tell its durations: by proportion."""


class MouthShape(msgspec.Struct, frozen=True, kw_only=True):
    """From here on the mouth has this shape; milliseconds of the turn's sound."""

    viseme: Viseme
    start_ms: float


class VisemesEvent(ServerEvent, frozen=True, kw_only=True, tag="visemes"):
    """The shapes of the mouth that begin in the sound that follows.

    They replace those told before that begin at the same time or later.
    """

    turn_id: str
    segment: int
    visemes: list[MouthShape]
    is_estimated: bool = False
    """Guessed from letters."""
