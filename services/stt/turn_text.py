"""Whether words could be the whole of what somebody wants to say.

Nobody stops behind "and", "the" or "twenty"; a finished question lacks nothing. Works on what a recogniser
writes with points and capitals as well as on bare small letters. A point alone is weak: recognisers put one
behind anything that stops, so it counts only where the words before it do not ask for more.
"""

from __future__ import annotations

import re
import unicodedata

from services.stt.turn_end import Completeness
from services.stt.turn_words import TURN_WORDS, TurnWords

_HOLDING = (",", ";", ":", "-", "–", "—", "…", "..", "/", "(")
_ENDING = (".", "!", "?", "。", "？", "！")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_LAST = 240
"""Characters that are looked at: what was said minutes ago tells nothing about the end."""
_NOT_A_WORD = re.compile(r"[^\w'\s.,-]|(?<!\d)[.,]|[.,](?!\d)|(?<!\w)-|-(?!\w)")


def completeness(text: str, language: str) -> Completeness:
    """Returns whether ``text`` asks for more, lacks nothing, or does not tell.

    ``language`` is ISO 639-1; for one that is not known here only the punctuation counts.
    """
    text = unicodedata.normalize("NFC", text[-_LAST:]).strip().rstrip('"»”) ').replace("’", "'")
    if text.endswith(_HOLDING):
        return "open"
    said = plain(_SENTENCE.split(text)[-1])
    if not said:
        return "unknown"
    words = TURN_WORDS.get(language)
    has_ended = text.endswith(_ENDING)
    if words is None or said in words.either:
        return "complete" if has_ended else "unknown"
    if is_finished(said, words):
        return "complete"
    if asks_for_more(said, words):
        may_end = text.endswith("?") and said.rpartition(" ")[2] in words.stranded
        return "complete" if may_end else "open"
    return "complete" if has_ended else "unknown"


def plain(text: str) -> str:
    """Returns small letters, single blanks, no punctuation but within words and numbers."""
    return " ".join(_NOT_A_WORD.sub(" ", text.lower()).split())


def is_finished(said: str, words: TurnWords) -> bool:
    """Whether what was said lacks nothing; ``said`` is plain."""
    if said in words.answers or any(pattern.match(said) for pattern in words.finished):
        return True
    return _ends_with(said, words.closing) and not _ends_with(said, words.opening_phrases)


def asks_for_more(said: str, words: TurnWords) -> bool:
    """Whether what was said cannot stop here; ``said`` is plain."""
    last = said.rpartition(" ")[2]
    if last in words.opening or last.endswith("'") or words.number.search(said):
        return True
    return _ends_with(said, words.opening_phrases)


def _ends_with(said: str, phrases: tuple[str, ...]) -> bool:
    return any(f" {said}".endswith(f" {phrase}") for phrase in phrases)
