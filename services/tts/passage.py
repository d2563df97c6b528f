"""A segment's text on its way to the voice: what is spoken, and which written words that is. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Written characters and the spoken ones that they became."""

    begin: int
    """``text[begin:end]`` of the segment as it was written: one word, number, date, address …"""
    end: int
    spoken_begin: int
    """``Passage.text[spoken_begin:spoken_end]``; what is not said (markup, emoji) is in no ``Spoken``."""
    spoken_end: int


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One sentence as it is said."""

    text: str
    """Plain, numbers and abbreviations written out; empty: only a pause."""
    words: tuple[Spoken, ...] = ()
    """In the order of both texts, not overlapping; every spoken word is in one of them."""
    pause_s: float = 0.0
    """Silence that was asked for behind it."""
