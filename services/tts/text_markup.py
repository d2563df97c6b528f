"""Markdown, HTML and SSML taken off a text, without losing what it asks of the voice. Pure.

Emoji are silent: their names ("smiling face with smiling eyes") are longer than the sentence that they
decorate, and models strew them. Of SSML a pause, spelling out, digits and an alias are obeyed; other tags are
dropped and what they surround is said.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache, partial

from services.tts.text_addresses import (
    DOMAIN,
    EMAIL,
    HANDLE,
    HASHTAG,
    URL,
    address,
    email,
    handle,
    hashtag,
)  # fmt: skip
from services.tts.text_letters import files
from services.tts.text_trace import MADE, Claims, Edit, Trace
from services.tts.text_words import Rule, Words

LONGEST_PAUSE_MS = 5000
"""Of one passage, however many are asked for."""
SAID = 0xF0000
"""From here on a character stands for what is said of an address; see ``Unmarked.said``."""
PAUSE = 0x100000
"""From here on a character stands for a pause of so many milliseconds."""
_MOST_SAID = 2000

_STRENGTHS_MS = {"none": 0, "x-weak": 100, "weak": 250, "medium": 500, "strong": 1000, "x-strong": 2000}
_DASHES = {"—": ", ", "―": ", ", "→": ", ", "\u2010": "-", "\u2011": "-", "′": "'", "…": "...", "⁄": "/"}
_KEPT_SYMBOLS = frozenset("°²³№℃℉→×÷≈−½¼¾⅓⅔⅛⅜⅝⅞⅕⅖⅗⅘⅙⅚")
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z]\w{1,30});")
_UNUSUAL = re.compile(
    r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|[\u1100-\u11ff]+|.[\u0300-\u036f\u0653-\u0655\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f]+"
    r"|[^\x20-\x7e\nà-öø-ÿÀ-ÖØ-Þ]"
)
_FENCE = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
_COMMENT = re.compile(r"<!--.{0,1000}?-->", re.DOTALL)
_BREAK = re.compile(r"<break\b([^<>]{0,100})>", re.IGNORECASE)
_BREAK_TIME = re.compile(r"time\s*=\s*[\"']?\s*(\d{0,6}(?:\.\d{1,6})?)\s*(ms|s)\b", re.IGNORECASE)
_BREAK_STRENGTH = re.compile(r"strength\s*=\s*[\"']?\s*([a-z-]+)", re.IGNORECASE)
_SAY_AS = re.compile(
    r"<say-as\b[^<>]{0,100}?interpret-as\s*=\s*[\"']?(characters|spell-out|verbatim|digits|telephone)\b[^<>]{0,100}>"
    r"([^<>]{1,200})</say-as\s*>", re.IGNORECASE
)  # fmt: skip
_ALIAS = re.compile(
    r"<sub\b[^<>]{0,60}?alias\s*=\s*[\"']([^<>\"']{1,200})[\"'][^<>]{0,60}>[^<>]{0,200}</sub\s*>",
    re.IGNORECASE,
)
_BORDER = re.compile(r"</?(?:p|s|br|li|ul|ol|div|h[1-6]|tr|speak)\s*/?>", re.IGNORECASE)
_INLINE = re.compile(
    r"</?(?:b|i|u|em|strong|emphasis|mark|small|span|code|w)\b[^<>\n]{0,200}>", re.IGNORECASE
)
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,300}>", re.DOTALL)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\n]{0,500}(?:\([^()\n]{0,100}\)[^()\n]{0,100})?\)")
_REFERENCE = re.compile(
    r"(?<=[\w.,;:!?)\]])\[(?:\^?\d{1,3}|\^\w{1,20})\]|^\[[^\]\n]{1,60}\]:[^\n]*$", re.MULTILINE
)
_RULE_LINE = re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$|^(?=[^\n]*--)[ \t|:-]+$", re.MULTILINE)
_LINE_MARK = re.compile(
    r"^[ \t]*(?:>[ \t]?)*(?:#{1,6}[ \t]+|[-*+•‣◦][ \t]+(?:\[[ xX]\][ \t]+)?)?", re.MULTILINE
)
_LIST_NUMBER = re.compile(r"^([ \t]*\d{1,3})[.)][ \t]+", re.MULTILINE)
_EMPHASIS = re.compile(r"(?<=\d)[ ]?\*{1,2}[ ]?(?=\d)|[*`]+|~~+|(?<![^\W_])_+|_+(?![^\W_])")
_UNDERSCORE_INSIDE = re.compile(r"(?<=[^\W_])_+(?=[^\W_])")
_BAR = re.compile(r"\s*\|\s*")
_SPACES = re.compile(r"\s+")
_ENDS = ".,;:!?"


class Unmarked:
    """A text without its markup; ``said`` is what the characters from ``SAID`` on stand for."""

    def __init__(self, written: str, words: Words | None) -> None:
        self.said: list[str] = []
        self._words = words
        self._files = files(words) if words else []
        self.trace = _joined(_without_line_marks(self._claimed(_normalised(Trace.of(written)))))

    def _claimed(self, trace: Trace) -> Trace:
        claims = Claims(trace)
        if any(sign in trace.text for sign in ("<", "`", "~~~", "[")):
            claims.take(_FENCE, "\n")
            claims.take(_COMMENT, " ")
            claims.take(_BREAK, _pause)
            claims.take(_SAY_AS, self._say_as)
            claims.take(_ALIAS, lambda match: self._hold(match[1]))
            claims.unwrap(_LINK)
            claims.take(_REFERENCE, " ")
        if any(sign in trace.text for sign in "@./#"):
            self._addresses(claims)
        if "<" in trace.text:
            claims.take(_BORDER, "\n")
            claims.take(_INLINE, "")
            claims.take(_TAG, " ")
        return claims.done()

    def _addresses(self, claims: Claims) -> None:
        words = self._words
        claims.take(URL, lambda match: self._hold(address(match[1], words)))
        claims.take(EMAIL, lambda match: self._hold(email(match[0], words)))
        for rule in self._files:
            claims.take(rule.pattern, partial(self._hold_said, rule))
        claims.take(DOMAIN, lambda match: self._hold(address(match[0], words)))
        claims.take(HASHTAG, lambda match: self._hold(hashtag(match[1], words)))
        claims.take(HANDLE, lambda match: self._hold(handle(match[1], words)))

    def _hold_said(self, rule: Rule, match: re.Match[str]) -> str:
        said = rule.say if isinstance(rule.say, str) else rule.say(match)
        return self._hold(said or "")

    def _hold(self, said: str) -> str:
        """Returns the character that stands for it, and behind it the punctuation that ends it."""
        body = said.rstrip(_ENDS)
        if len(self.said) >= _MOST_SAID:
            return " "
        self.said.append(body)
        return chr(SAID + len(self.said) - 1) + said[len(body) :]

    def _say_as(self, match: re.Match[str]) -> str:
        kind, content = match[1].lower(), match[2]
        if self._words is None:
            return self._hold(" ".join(content)) if kind[0] not in "dt" else content
        if kind[0] not in "dt":
            return self._hold(self._words.slowly(content))
        groups = re.findall(r"\d+", content)
        return self._hold(", ".join(self._words.numerals.digits(group) for group in groups))


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit in it."""
    return any(char.isalnum() for char in text)


def _normalised(trace: Trace) -> Trace:
    """Compatibility forms (full width, mathematical bold) as plain letters; pictures and controls gone."""
    if "&" in trace.text:
        trace = trace.replaced(_ENTITY, lambda match: html.unescape(match[0]))
    return trace.replaced(_UNUSUAL, lambda match: _usual(match[0]))


@lru_cache(maxsize=4096)
def _usual(cluster: str) -> str:
    if cluster in _DASHES:
        return _DASHES[cluster]
    if cluster[0] in _SUPERSCRIPTS and cluster not in {"²", "³"}:
        return "^" + "".join(_SUPERSCRIPTS[char] for char in cluster)
    if cluster in _KEPT_SYMBOLS - {"№", "℃", "℉"}:
        return cluster
    kept = "".join(char if char in _KEPT_SYMBOLS or not _is_picture(char) else " " for char in cluster)
    return unicodedata.normalize("NFKC", kept).replace("…", "...")


def _is_picture(char: str) -> bool:
    category = unicodedata.category(char)
    if category in {"So", "Cs", "Co", "Cn", "Me"}:
        return True
    is_modifier = category == "Sk" and char not in "^`"
    is_control = category in {"Cc", "Cf"} and char not in "\n\t"
    return is_modifier or is_control or "\ufe00" <= char <= "\ufe0f"


def _pause(match: re.Match[str]) -> str:
    time = _BREAK_TIME.search(match[1])
    strength = _BREAK_STRENGTH.search(match[1])
    if time:
        wanted = float(time[1] or "0") * (1 if time[2].lower() == "ms" else 1000)
    else:
        wanted = _STRENGTHS_MS.get(strength[1].lower(), 500) if strength else 500
    return chr(PAUSE + int(min(wanted, LONGEST_PAUSE_MS)))


def _without_line_marks(trace: Trace) -> Trace:
    signs = set(trace.text)
    if not signs.isdisjoint("-*_="):
        trace = trace.replaced(_RULE_LINE, "")
    trace = trace.replaced(_LINE_MARK, "").replaced(_LIST_NUMBER, lambda match: f"{match[1]}, ")
    if not signs.isdisjoint("*`~_"):
        trace = trace.replaced(_EMPHASIS, _emphasis).replaced(_UNDERSCORE_INSIDE, " ")
    return trace


def _emphasis(match: re.Match[str]) -> str:
    """Nothing, but for stars between two numbers."""
    return f" {match[0].strip()} " if _is_product(match) else ""


def _is_product(match: re.Match[str]) -> bool:
    """Whether stars stand between two numbers."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return "*" in match[0] and before.isdecimal() and after.isdecimal()


def _joined(trace: Trace) -> Trace:
    """Joins lines; one without a full stop gets one, so that a list is not read in one breath."""
    text = trace.text
    has_lines = "\n" in text.strip()
    edits: list[Edit] = []
    at = 0
    is_first = True
    for line in re.finditer(r"[^\n]+", text):
        raw = line[0]
        core = raw.strip(" \t|,*_`")
        if not any(char.isalnum() or char >= MADE for char in core):
            continue
        begin = line.start() + raw.index(core)
        end = begin + len(core)
        edits.append((at, begin, "" if is_first else " "))
        edits += [(*bar.span(), ", ") for bar in _BAR.finditer(text, begin, end)]
        if has_lines and core[-1] not in _ENDS:
            edits.append((end, end, "."))
        at, is_first = end, False
    if is_first:
        return Trace("", [], [])
    edits.append((at, len(text), ""))
    return trace.edited(edits).replaced(_SPACES, " ")
