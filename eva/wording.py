"""What captions say: which words are settled, which of an answer were heard. Pure."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.text import Text

from eva.dialogue import Turn

PREFIX = "  … "
ROUNDED_MS = 0.5
"""Of times that were told in whole milliseconds or tenths of them."""


def caption(text: str, stable: int, width: int) -> Text:
    """Returns the end of a caption that fits ``width`` cells: settled words normal, the others grey."""
    room = width - cell_len(PREFIX)
    start = 0
    while cell_len(text[start:]) > room:
        start += 1
    border = max(start, min(stable, len(text)))
    return Text.assemble((PREFIX, "dim"), text[start:border], (text[border:], "dim"))


def divided(text: str, heard: str) -> tuple[str, str]:
    """Returns the heard and the unheard words of an answer; ``heard`` is its beginning, spaces apart."""
    words, count = text.split(), len(heard.split())
    return " ".join(words[:count]), " ".join(words[count:])


def heard_of(turn: Turn, at_s: float) -> str:
    """Returns the words of an answer that were played to their end; by letters if their times were not told.

    For an answer that was whole when it was interrupted: EVA counts those words alike and tells none.
    Fillers come before the answer and have no words of it.
    """
    if turn.words:
        return _timed(turn, turn.played_ms(at_s))
    answer_ms = max(1.0, turn.duration_ms - turn.filler_ms)
    letters = len(turn.text) * max(0.0, turn.played_ms(at_s) - turn.filler_ms) / answer_ms
    heard: list[str] = []
    for word in turn.text.split():
        letters -= len(word) + 1
        if letters < -1.01:  # behind the last word there is no space
            break
        heard.append(word)
    return " ".join(heard)


def _timed(turn: Turn, played_ms: float) -> str:
    heard_to = at = 0
    unheard_from = len(turn.text)
    for _, word in sorted(turn.words.items()):
        begin = turn.text.find(word.text, at)
        if begin < 0:
            continue  # what was said is not what is written here
        if word.end_ms > played_ms + ROUNDED_MS:
            unheard_from = begin
            break
        heard_to = at = begin + len(word.text)
    tokens = re.finditer(r"\S+", turn.text)
    return " ".join(it.group() for it in tokens if it.start() < heard_to and it.end() <= unheard_from)
