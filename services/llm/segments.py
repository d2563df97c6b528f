"""Cuts an answer into segments that can be spoken, while it is still being written.

Pure: time is passed in, and only ``poll`` looks at it. Three rules, for the first sound counts most:

* The first segment is short: a clause, a sentence, or five to eight words at a place for a breath.
* Later ones are whole sentences, so that the voice can phrase them.
* Nothing waits more than 300 ms for punctuation once it is long enough to be spoken.

The text is read in units (a word and the gap behind it), and a unit is judged only when the character
behind its gap is known. So the same text gives the same segments, however it was chunked on its way,
unless the clock steps in. Marks that only disturb the borders (emphasis, bullets, emoji, code blocks) are
taken out; how numbers, addresses and the like are said is the voice's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.llm.borders import SPACELESS, SPACELESS_WORD, Border, border, depth, is_sentence

WAIT_S = 0.3
"""For punctuation, once long enough."""
LAST_WORD_WAIT_S = 0.05
"""For more behind what looks like the end of a sentence: the next token usually comes sooner."""
FIRST_CLAUSE_WORDS = 3
SHORTEST_WORDS = 5
"""A cut without punctuation leaves at least so much before it."""
FIRST_WORDS = 8
"""The first segment is cut here at the latest, if there is a place for a breath."""
LATER_LONG_WORDS = 12
"""From here on a later segment is long enough for the clock."""
LATER_WORDS = 40
"""A sentence longer than this is cut within."""
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
_EMPHASIS = re.compile(r"\*\*|~~|`|^\*+(?=.)|(?<=.)\*+(?=[.,;:!?…)\]\"»”’']*$)")
_UNDERSCORES = re.compile(r"^_+(?=.)|(?<=.)_+(?=[.,;:!?…)\]\"»”’']*$)")
_HEADING = re.compile(r"^(?:#+|>+)")
_RULE = re.compile(r"[-=*_|:#~`>+]{2,}$|[|_#]$")


@dataclass(frozen=True, slots=True)
class _Unit:
    text: str
    gap: str
    border: Border
    words: float


class Cutter:
    """One answer's way from text to segments."""

    def __init__(self) -> None:
        self._raw = ""
        self._units: list[_Unit] = []
        self._is_first = True
        self._is_code = False
        self._is_line_start = True
        self._depth = 0
        self._fed_s = 0.0
        self._long_since_s: float | None = None

    def feed(self, text: str, now_s: float) -> list[str]:
        """Takes more of the answer; returns the segments that are now whole."""
        self._raw += text
        self._fed_s = now_s
        segments = self._read(is_final=False)
        self._look_at_length(now_s)
        return segments

    def deadline(self) -> float | None:
        """When ``poll`` is to be called unless more text comes before; None: nothing is waited for."""
        due = [] if self._long_since_s is None else [self._long_since_s + WAIT_S]
        if self._looks_whole():
            due.append(self._fed_s + LAST_WORD_WAIT_S)
        return min(due, default=None)

    def poll(self, now_s: float) -> list[str]:
        """Returns what has waited long enough."""
        segments: list[str] = []
        if self._looks_whole() and now_s >= self._fed_s + LAST_WORD_WAIT_S:
            segments = self._read(is_final=True)
            self._is_line_start = False
        elif self._long_since_s is not None and now_s >= self._long_since_s + WAIT_S:
            segments = self._emit(self._best_place(FIRST_CLAUSE_WORDS) or len(self._units))
            self._long_since_s = None
        self._look_at_length(now_s)
        return segments

    def flush(self) -> list[str]:
        """The answer is over; returns the rest."""
        return self._read(is_final=True) + self._emit(len(self._units))

    # ------------------------------------------------------------ reading

    def _read(self, *, is_final: bool) -> list[str]:
        segments: list[str] = []
        position = 0
        while position < len(self._raw):
            step = (
                self._skip_code(position) if self._is_code else self._take_unit(position, is_final=is_final)
            )
            if step == 0:
                break
            position += step
            while count := self._place():
                segments += self._emit(count)
        self._raw = "" if is_final else self._raw[position:]
        return segments

    def _skip_code(self, position: int) -> int:
        end = self._raw.find("```", position)
        if end < 0:
            return max(0, len(self._raw) - 2 - position)  # two of the closing marks may be there already
        self._is_code, self._is_line_start = False, True
        return end + 3 - position

    def _take_unit(self, position: int, *, is_final: bool) -> int:
        """Reads one unit at ``position``; returns its length in characters, 0 if it is not whole yet."""
        raw = self._raw
        if raw[position].isspace():
            return 1
        rest = raw[position : position + 3]
        if rest == "```":
            self._is_code = True
            self._units.append(_Unit("", "", Border.HARD, 0))
            self._units.append(_Unit(CODE_WORD, "", Border.HARD, 1))
            return 3
        if not is_final and "```".startswith(rest):
            return 0
        found = _UNIT.match(raw, position, position + _MAX_WORD_CHARS)
        assert found is not None, "every character that is no space begins a unit"
        gap = _SPACE.match(raw, found.end())
        space = gap.group() if gap else ""
        end = found.end() + len(space)
        if end == len(raw) and not is_final and "\n" not in space:
            return 0
        self._add(found.group(), space, raw[end : end + 1])
        return end - position

    def _add(self, word: str, gap: str, following: str) -> None:
        cleaned = self._cleaned(word, is_alone=bool(gap) or not following)
        had_emoji = cleaned != word and _EMOJI.search(word) is not None
        at = border(cleaned, gap, following, is_line_start=self._is_line_start and bool(cleaned))
        self._depth = 0 if at is Border.HARD else depth(cleaned, self._depth)
        if at is not Border.HARD and (self._depth or not cleaned):
            at = Border.NONE
        if had_emoji and at <= Border.SOFT and gap and following.isupper() and self._ends_with_emoji():
            at = Border.SENTENCE
        spacing = gap if len(gap) <= 1 and "\n" not in gap else " "
        self._units.append(_Unit(cleaned, spacing, at, _count(cleaned)))
        self._is_line_start = at is Border.HARD or (self._is_line_start and not cleaned)

    def _ends_with_emoji(self) -> bool:
        """Many a sentence ends with an emoji instead of a full stop."""
        return not self._depth and self._words() >= FIRST_CLAUSE_WORDS

    def _cleaned(self, word: str, *, is_alone: bool) -> str:
        text = _EMOJI.sub("", word)
        if _RULE.match(text) or (self._is_line_start and is_alone and text in {"-", "*", "+", "•", "–", ">"}):
            return ""
        if text == "*":
            return text
        if self._is_line_start:
            text = _HEADING.sub("", text)
        text = _EMPHASIS.sub("", text)
        return text if "://" in text or "@" in text else _UNDERSCORES.sub("", text)

    # ------------------------------------------------------------ cutting

    def _words(self) -> float:
        return sum(unit.words for unit in self._units)

    def _place(self) -> int:
        """Returns how many units make a segment now; 0: none."""
        words = 0.0
        for count, unit in enumerate(self._units, start=1):
            words += unit.words
            is_clause = unit.border is Border.CLAUSE and self._is_first and words >= FIRST_CLAUSE_WORDS
            if unit.border >= Border.SENTENCE or is_clause:
                return count
        limit = FIRST_WORDS if self._is_first else LATER_WORDS
        if words < limit:
            return 0
        return self._best_place(SHORTEST_WORDS) or (len(self._units) if words >= 2 * limit else 0)

    def _best_place(self, shortest: float) -> int:
        """Returns the last clause's end, or else the last place for a breath, behind ``shortest`` words."""
        best = {Border.CLAUSE: 0, Border.SOFT: 0}
        words = 0.0
        for count, unit in enumerate(self._units, start=1):
            words += unit.words
            if words >= shortest and unit.border in best:
                best[unit.border] = count
        return best[Border.CLAUSE] or best[Border.SOFT]

    def _emit(self, count: int) -> list[str]:
        taken, self._units = self._units[:count], self._units[count:]
        text = re.sub(r"[ \n]{2,}", " ", "".join(unit.text + unit.gap for unit in taken)).strip()
        if taken and not self._units:
            self._depth = 0
        if not any(char.isalnum() for char in text):
            return []
        self._is_first = False
        self._long_since_s = None
        return [text]

    # ------------------------------------------------------------ the clock

    def _look_at_length(self, now_s: float) -> None:
        long_words = SHORTEST_WORDS if self._is_first else LATER_LONG_WORDS
        if self._words() < long_words:
            self._long_since_s = None
        elif self._long_since_s is None:
            self._long_since_s = now_s

    def _looks_whole(self) -> bool:
        return not self._is_code and not self._depth and is_sentence(self._raw)


def _count(word: str) -> float:
    spaceless = len(re.findall(f"[{SPACELESS}]", word))
    return spaceless * SPACELESS_WORD or float(any(char.isalnum() for char in word))
