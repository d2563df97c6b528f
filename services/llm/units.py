"""Reads an answer in units, a word and the gap behind it, as far as they are decided.

Pure. A unit is given out when the character behind its gap is known, so the same text gives the same units
however it was chunked on its way. Marks that only disturb the borders (emphasis, bullets, emoji, blocks of
code) are taken out here; how numbers, addresses and the like are said is the voice's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.llm.borders import SPACELESS, SPACELESS_WORD, Border, border, is_sentence, opened

CODE_WORD = "code"
"""Stands for a block of code, which nobody wants to hear."""

_UNIT = re.compile(
    rf"[{SPACELESS}][。！？、，；：…」』）】》”’!?,;:]*"  # one letter of a script without spaces, its marks
    rf"|(?:(?!```)[^\s{SPACELESS}。！？—])+[。！？—”’」』）】》]*"  # a word up to its space or dash
    r"|[。！？—]+"
)
_SPACE = re.compile(r"\s+")
_MAX_WORD_CHARS = 400
_EMOJI = re.compile(
    "(?:[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u231a-\u23ff]"
    "[\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*)+|[\ufe0f\u20e3]"
)
_EMOTICON = re.compile(r"[:;=]['’]?[-^o]?(?:[()\[\]|/\\*]+|[DPp])[.,!?]?$|<3+$")
_EMPHASIS = re.compile(r"\*{2,}|~~|`|^\*+(?=.)|(?<=.)\*+(?=[.,;:!?…)\]\"»”’']*$)")
_UNDERSCORES = re.compile(r"^_+(?=.)|(?<=.)_+(?=[.,;:!?…)\]\"»”’']*$)")
_HEADING = re.compile(r"^(?:#+(?!\d)|>+)")
_BULLETS = frozenset({"-", "*", "+", "•", "–", ">", "[", "]", "[x]", "[X]"})
"""Of lists and of lists of tasks."""
_RULE = re.compile(r"[-=*_|:#~`>+]{2,}$|[|_#]$")


@dataclass(frozen=True, slots=True)
class Unit:
    """A word as it is to be spoken, and what follows it."""

    text: str
    gap: str
    border: Border
    words: float
    """0 for a mark alone; part of a word for one letter of a script without spaces."""
    has_emoji_end: bool = False
    """Many a sentence ends with an emoji instead of a full stop."""


class Reader:
    """One answer's way from text to units."""

    def __init__(self) -> None:
        self._raw = ""
        self._is_code = False
        self._is_line_start = True
        self._open = ""
        """The closing marks that are awaited."""
        self._before = ""

    @property
    def looks_whole(self) -> bool:
        """Whether what is not decided yet looks like the end of a sentence."""
        return not self._is_code and not self._open and is_sentence(self._raw)

    def feed(self, text: str) -> Iterator[Unit]:
        """Takes more text; yields the units that are now decided, to be used up before the next call."""
        self._raw += text
        return self._read(is_final=False)

    def end_sentence(self) -> Iterator[Unit]:
        """Yields what is not decided yet: nothing more is waited for, though more may come."""
        yield from self._read(is_final=True)
        self._is_line_start = False

    def close_brackets(self) -> None:
        """What stands open is not waited for any longer."""
        self._open = ""

    def _read(self, *, is_final: bool) -> Iterator[Unit]:
        position = 0
        while position < len(self._raw):
            units: list[Unit] = []
            if self._is_code:
                step = self._skip_code(position)
            else:
                step, units = self._take(position, is_final=is_final)
            if step == 0:
                break
            position += step
            yield from units
        self._raw = "" if is_final else self._raw[position:]

    def _skip_code(self, position: int) -> int:
        end = self._raw.find("```", position)
        if end < 0:
            return max(0, len(self._raw) - 2 - position)  # two of the closing marks may be there already
        self._is_code, self._is_line_start = False, True
        return end + 3 - position

    def _take(self, position: int, *, is_final: bool) -> tuple[int, list[Unit]]:
        """Reads what begins at ``position``; returns its length, 0 if it is undecided, and its units."""
        raw = self._raw
        if raw[position].isspace():
            return 1, []
        rest = raw[position : position + 3]
        if rest == "```":
            self._is_code = True
            return 3, [Unit("", "", Border.HARD, 0), Unit(CODE_WORD, "", Border.HARD, 1)]
        if not is_final and "```".startswith(rest):
            return 0, []
        found = _UNIT.match(raw, position, position + _MAX_WORD_CHARS)
        assert found is not None, "every character that is no space begins a unit"
        gap = _SPACE.match(raw, found.end())
        space = gap.group() if gap else ""
        end = found.end() + len(space)
        if end == len(raw) and not is_final and "\n" not in space:
            return 0, []
        return end - position, [self._unit(found.group(), space, raw[end : end + 1])]

    def _unit(self, word: str, gap: str, following: str) -> Unit:
        cleaned = self._cleaned(word, is_alone=bool(gap) or not following)
        is_line_start = self._is_line_start and bool(cleaned)
        at = border(cleaned, gap, following, before=self._before, is_line_start=is_line_start)
        self._open = "" if at is Border.HARD else opened(cleaned, self._open)
        self._before = "" if at is Border.HARD else cleaned or self._before
        if at is not Border.HARD and (self._open or not cleaned):
            at = Border.NONE
        has_emoji = cleaned != word and (_EMOJI.search(word) or _EMOTICON.match(word)) is not None
        has_emoji_end = has_emoji and bool(gap) and following.isupper() and not self._open
        self._is_line_start = at is Border.HARD or (self._is_line_start and not cleaned)
        spacing = gap if len(gap) <= 1 and "\n" not in gap else " "
        return Unit(cleaned, spacing, at, _count(cleaned), has_emoji_end)

    def _cleaned(self, word: str, *, is_alone: bool) -> str:
        if is_alone and _EMOTICON.match(word):
            return ""
        text = _EMOJI.sub("", word)
        if _RULE.match(text) or (self._is_line_start and is_alone and text in _BULLETS):
            return ""
        if text == "*":
            return text
        if self._is_line_start:
            text = _HEADING.sub("", text)
        text = _EMPHASIS.sub("", text)
        return text if "://" in text or "@" in text else _UNDERSCORES.sub("", text)


def _count(word: str) -> float:
    spaceless = len(re.findall(f"[{SPACELESS}]", word))
    return spaceless * SPACELESS_WORD or float(any(char.isalnum() for char in word))
