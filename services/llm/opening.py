"""What may stand at the front of an answer and must not be said: a model's thoughts, and words said before.

Pure. Text that might still turn out to be such a beginning is held back; everything else passes at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from services.llm.borders import SPACELESS, SPACELESS_WORD

_OPEN, _CLOSE = "<think>", "</think>"
_WORD: Final = re.compile(rf"[{SPACELESS}]|(?:(?![{SPACELESS}])[^\W_])+")
_ENDS: Final = ".!?…。！？"
_SEPARATORS: Final = ' \t\n\r.,;:!?…。！？、，；：—–-"”’»)'
"""What may stand behind repeated words and belongs to them."""
_OVERLAP_WORDS: Final = 3
"""So many words at the end of what was said, said again, are a repetition wherever a sentence began."""
_FURTHEST_WORDS: Final = 400


class Thoughts:
    """Takes thoughts out of the front of one answer."""

    def __init__(self) -> None:
        self._held = ""
        self._is_over = self._is_thinking = self._has_thought = False

    def feed(self, text: str) -> str:
        """Returns what can be passed on."""
        if self._is_over:
            return text
        self._held += text
        front = self._held.lstrip()
        if not self._is_thinking:
            if len(front) < len(_OPEN) and _OPEN.startswith(front):
                return ""
            if not front.startswith(_OPEN):
                return self._release(front if self._has_thought else self._held)
            self._is_thinking = True
        _, found, behind = self._held.partition(_CLOSE)
        if not found:
            return ""
        self._held, self._is_thinking, self._has_thought = "", False, True
        return self.feed(behind)

    def flush(self) -> str:
        """Returns what was held back and turned out to be no thought."""
        return "" if self._is_over or self._is_thinking else self._release(self._held)

    def _release(self, text: str) -> str:
        self._is_over, self._held = True, ""
        return text


class Opening:
    """Takes out of the front of an answer what was said before, in whatever case and punctuation.

    ``spoken`` is what has already been said of it: some models begin again instead of going on, with the
    answer, with the sentence, or a few words before the end.
    """

    def __init__(self, spoken: str = "") -> None:
        self._candidates = _candidates(spoken)
        self._held = ""

    def feed(self, text: str) -> str:
        """Returns what can be passed on."""
        if not self._candidates:
            return text
        self._held += text
        found = list(_WORD.finditer(self._held))
        words = [word.group().casefold() for word in found]
        is_open = bool(found) and found[-1].end() == len(self._held)
        if any(_may_match(words, candidate, is_open=is_open) for candidate in self._candidates):
            return ""
        return self.flush()

    def flush(self) -> str:
        """Returns what was held back and turned out to be said for the first time."""
        held, candidates = self._held, self._candidates
        self._held, self._candidates = "", []
        matched = max((_matched(held, candidate) for candidate in candidates), default=0)
        return held[matched:].lstrip(_SEPARATORS) if matched else held


def _candidates(spoken: str) -> list[list[str]]:
    """Returns what a repetition may consist of: all of it, its end from a sentence on, its last few words."""
    found = list(_WORD.finditer(spoken))[-_FURTHEST_WORDS:]
    words = [word.group().casefold() for word in found]
    starts: list[int] = []
    weight = 0.0
    for index in range(len(words) - 1, -1, -1):
        weight += SPACELESS_WORD if re.match(f"[{SPACELESS}]", words[index]) else 1.0
        gap = spoken[found[index - 1].end() : found[index].start()] if index else _ENDS
        if weight >= _OVERLAP_WORDS or any(mark in gap for mark in _ENDS):
            starts.append(index)
    return [words[start:] for start in starts]


def _may_match(words: Sequence[str], candidate: Sequence[str], *, is_open: bool) -> bool:
    """Whether with more text ``words`` could be ``candidate``; ``is_open``: the last one may go on."""
    if len(words) > len(candidate):
        return False
    whole = words[:-1] if is_open else words
    if candidate[: len(whole)] != whole:
        return False
    return not is_open or candidate[len(whole)].startswith(words[-1])


def _matched(text: str, candidate: Sequence[str]) -> int:
    """Returns how many characters of ``text`` say ``candidate`` again, 0 if they do not."""
    end = count = 0
    for word in _WORD.finditer(text):
        if count == len(candidate):
            break
        if word.group().casefold() != candidate[count]:
            return 0
        end, count = word.end(), count + 1
    return end if count == len(candidate) else 0
