"""A text on its way to the voice that knows of each character where it was written. Pure.

Rewriting is cutting out and putting in: what is put in was written where that was which it replaces. So every
word that is said can be found again in the text that a person sees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.tts.passage import Spoken

Edit = tuple[int, int, str]
"""``text[begin:end]`` becomes this."""

MADE = "\ue000"
"""Stands for a character of which what is said is settled; the stand-ins of ``text_markup`` lie behind."""

_WORD = re.compile(r"\S+")
_MARKS = ".,;:!?'’\"«»“”()-–%€$£¥°+=@&/"


@dataclass(frozen=True)
class Trace:
    """Text; ``begins[i]`` and ``ends[i]`` say which written characters its i-th character stands for."""

    text: str
    begins: list[int]
    ends: list[int]

    @classmethod
    def of(cls, written: str) -> Trace:
        """Returns the text as it was written."""
        return cls(written, list(range(len(written))), list(range(1, len(written) + 1)))

    def edited(self, edits: Iterable[Edit]) -> Trace:
        """Returns the text with the edits done; they must not overlap."""
        parts: list[str] = []
        begins: list[int] = []
        ends: list[int] = []
        at = 0
        for begin, end, new in sorted(edits):
            parts += (self.text[at:begin], new)
            begins += self.begins[at:begin]
            ends += self.ends[at:begin]
            if new:
                first, last = self._span(begin, end)
                begins += [first] * len(new)
                ends += [last] * len(new)
            at = end
        parts.append(self.text[at:])
        return Trace("".join(parts), begins + self.begins[at:], ends + self.ends[at:])

    def replaced(self, pattern: re.Pattern[str], new: str | Callable[[re.Match[str]], str]) -> Trace:
        """Returns the text with every match replaced; the groups of ``new`` are not expanded."""
        found = [
            (m.start(), m.end(), new if isinstance(new, str) else new(m)) for m in pattern.finditer(self.text)
        ]
        return self.edited(found) if found else self

    def part(self, begin: int, end: int) -> Trace:
        """Returns the text from ``begin`` to ``end`` without space at its edges."""
        while begin < end and self.text[begin].isspace():
            begin += 1
        while begin < end and self.text[end - 1].isspace():
            end -= 1
        return Trace(self.text[begin:end], self.begins[begin:end], self.ends[begin:end])

    def words(self) -> tuple[Spoken, ...]:
        """Returns what is said word by word; words made of the same written characters are one."""
        found: list[Spoken] = []
        for match in _WORD.finditer(self.text):
            core = match[0]
            begin = match.start() + len(core) - len(core.lstrip(_MARKS))
            end = match.start() + len(core.rstrip(_MARKS))
            if begin >= end:
                continue
            first, last = self.begins[begin], self.ends[end - 1]
            if found and first < found[-1].end:
                before = found.pop()
                first, last, begin = before.begin, max(last, before.end), before.spoken_begin
            found.append(Spoken(begin=first, end=last, spoken_begin=begin, spoken_end=end))
        return tuple(found)

    def _span(self, begin: int, end: int) -> tuple[int, int]:
        while begin + 1 < end and self.text[begin].isspace():
            begin += 1
        while begin + 1 < end and self.text[end - 1].isspace():
            end -= 1
        if begin < end:
            return self.begins[begin], self.ends[end - 1]
        at = self.ends[begin - 1] if begin else 0
        return at, at


class Claims:
    """Takes parts of a text one kind after the other; what was taken is hidden from those that come later."""

    def __init__(self, trace: Trace) -> None:
        self._trace, self._edits = trace, list[Edit]()
        self.text = trace.text

    def take(self, pattern: re.Pattern[str], say: str | Callable[[re.Match[str]], str]) -> None:
        """Takes all matches."""
        self._hide(
            [
                (m.start(), m.end(), say if isinstance(say, str) else say(m))
                for m in pattern.finditer(self.text)
            ]
        )

    def take_words(self, pattern: re.Pattern[str], say: str | Callable[[re.Match[str]], str | None]) -> None:
        """As ``take``; sets what is said apart from the words beside it, and leaves it where that is None."""
        found: list[Edit] = []
        for match in pattern.finditer(self.text):
            said = say if isinstance(say, str) else say(match)
            if said is None:
                continue
            begin, end = match.span()
            before = " " if self._is_word(begin - 1) and said[:1].isalnum() else ""
            behind = " " if self._is_word(end) and said[-1:].isalnum() else ""
            found.append((begin, end, f"{before}{said}{behind}"))
        self._hide(found)

    def unwrap(self, pattern: re.Pattern[str]) -> None:
        """Takes all but the first group of each match."""
        found: list[Edit] = []
        for match in pattern.finditer(self.text):
            begin, end = match.span(1)
            found += [(match.start(), begin, ""), (end, match.end(), "")]
        self._hide(found)

    def done(self) -> Trace:
        """Returns the text with all that was taken replaced."""
        return self._trace.edited(self._edits) if self._edits else self._trace

    def _is_word(self, at: int) -> bool:
        char = self.text[at : at + 1] if at >= 0 else ""
        return char.isalnum() or char >= MADE

    def _hide(self, found: list[Edit]) -> None:
        if not found:
            return
        self._edits += found
        parts: list[str] = []
        at = 0
        for begin, end, _ in found:
            parts += (self.text[at:begin], MADE * (end - begin))
            at = end
        self.text = "".join([*parts, self.text[at:]])
