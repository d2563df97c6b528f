"""How far an answer's text has become segments, so that what has not can be taken back. Pure.

Segments are cleaned of what is not spoken (emphasis, emoji, blocks of code), so their ends are looked for in
the text: letter by letter, in order.
"""

from __future__ import annotations

import re

from services.llm.borders import Border
from services.llm.units import CODE_WORD, Reader

_CODE = re.compile(r"```.*?(?:```|$)", re.DOTALL)
_PAUSES = (",", ";", ":", "—", "–", "，", "；", "：", "、")


class Trail:
    """The text of one answer since its last break."""

    def __init__(self) -> None:
        self._text = ""
        self._end = 0

    @property
    def kept(self) -> str:
        """What stands: it is in segments."""
        return self._text[: self._end]

    @property
    def behind(self) -> str:
        """What is not in a segment yet."""
        return self._text[self._end :]

    def add(self, text: str) -> None:
        """Takes more of the text."""
        self._text += text

    def cut(self, segment: str) -> None:
        """Moves on behind ``segment``; to the end if it is not found."""
        at = self._end
        if segment == CODE_WORD and (code := _CODE.search(self._text, at)):
            self._end = code.end()
            return
        for char in segment:
            if char.isspace():
                continue
            found = self._text.find(char, at)
            if found < 0 and char.isalnum():
                at = len(self._text)
                break
            if found >= 0 and (char.isalnum() or not any(map(str.isalnum, self._text[at:found]))):
                at = found + 1
        self._end = at

    def drop_behind(self) -> int:
        """Takes back what is behind; returns how many characters that were."""
        count = len(self._text) - self._end
        self._text = self.kept
        return count


def finished(text: str) -> str:
    """Returns the front of ``text`` that ends with a clause or a sentence, as long as it can be."""
    reader, trail = Reader(), Trail()
    trail.add(text)
    end = 0
    for unit in reader.feed(text):
        trail.cut(unit.text)
        if unit.border >= Border.CLAUSE:
            end = len(trail.kept)
    is_whole = reader.looks_whole or text.rstrip().endswith(_PAUSES)
    return text if is_whole else text[:end]
