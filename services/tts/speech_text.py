"""What a voice can say of a written answer: numbers in words, no markup, no code, no emoji. Pure.

The language model writes for the eye even when told not to. Its text goes through three stages: markup off
(``text_markup``), in English and French every number, sign, address and acronym in words (``_RULES``: each
takes its part of the text, and what one took no other sees), then passages are cut. In other languages digits
are left to espeak-ng, which reads numbers in a hundred of them: a wrong expansion is worse than none. Where
a character was written goes with it all the way (``text_trace``): a passage's words are known in both texts.

An empty result means that there is nothing to say, which is no failure. A sentence of thirteen words
takes 0.3–0.6 ms of processor time, one with a date, a time and a price 0.8–1.2 ms (medians of N = 2000, two
cores that eight other programs used as well).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from services.tts.passage import Passage
from services.tts.text_dates import dates
from services.tts.text_english import ENGLISH
from services.tts.text_french import FRENCH
from services.tts.text_letters import letters, signs, spellings
from services.tts.text_markup import LONGEST_PAUSE_MS, PAUSE, SAID, Unmarked, has_words
from services.tts.text_ordinals import ordinals
from services.tts.text_quantities import fractions, numbers, quantities
from services.tts.text_times import times
from services.tts.text_trace import Claims, Trace
from services.tts.text_words import Rule, Words, rule

LONGEST_SENTENCE = 240
"""Characters; a longer one is cut at a comma or a space, so that its first audio does not wait long."""

_WORDS = {"en": ENGLISH, "fr": FRENCH}
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'’»”)]*\s+")
_PAUSE_MARK = re.compile(f"[{chr(PAUSE)}-{chr(0x10FFFD)}]")
_SAID_MARK = re.compile(f"[{chr(SAID)}-{chr(0xFFFFD)}]")
_FRACTION = re.compile("[½¼¾]")
_SLASHED = {"½": "1/2", "¼": "1/4", "¾": "3/4"}
_PERHAPS_UNSPOKEN = re.compile(r"[^\w .,;:!?'’\"«»“”()\-–%€$£¥°+=@&/]|_")
_TIDY = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"\(\s*\)|\"\s*\"|«\s*»|“\s*”"), ""),
    (re.compile(r"\s+(?=[.,;:!?)])"), ""),
    (re.compile(r",(?=[.,;:!?])|(?<=[.!?;:])[.,;:!?]+"), ""),
    (re.compile(r"\s\s+"), " "),
)


_BORDER = r"\b"


def _rules(words: Words) -> list[Rule]:
    return [
        _abbreviations(words),
        *dates(words),
        *times(words),
        *ordinals(words),
        *quantities(words),
        *fractions(words),
        *spellings(words),
        *signs(words),
        *letters(words),
        *numbers(words),
    ]


def _abbreviations(words: Words) -> Rule:
    """All as one pattern, tried at the borders of words: forty patterns take longer than all other rules."""
    patterns = "|".join(f"({pattern.removeprefix(_BORDER)})" for pattern, _ in words.abbreviations)
    said = [said for _, said in words.abbreviations]
    return rule(rf"{_BORDER}(?:{patterns})", lambda match: said[(match.lastindex or 1) - 1])


_RULES = {language: _rules(words) for language, words in _WORDS.items()}


def speech_text(text: str, language: str = "") -> str:
    """Returns one line of plain text to be spoken, or "" if there is nothing to say.

    ``language`` is ISO 639-1; in English and French no digit is left.
    """
    return " ".join(passage.text for passage in passages(text, language) if passage.text)


def passages(text: str, language: str = "") -> list[Passage]:
    """Returns what is said of a written text, sentence by sentence; nothing where there is nothing to say.

    A passage without text is a pause that nothing is said before. A number so long that it is cut has its
    written characters in both passages.
    """
    unmarked = Unmarked(text, _WORDS.get(language))
    line = _in_words(unmarked, language)
    found: list[Passage] = []
    for part, pause_ms in _parts(line):
        found += [Passage(text=said.text, words=said.words()) for said in _sentences(_tidy(part))]
        if pause_ms:
            before = found.pop() if found else Passage(text="")
            pause_s = min(before.pause_s + pause_ms / 1000, LONGEST_PAUSE_MS / 1000)
            found.append(Passage(text=before.text, words=before.words, pause_s=pause_s))
    return found


def sentences(line: str) -> list[str]:
    """Cuts spoken text into sentences of at most ``LONGEST_SENTENCE`` characters; no word is cut."""
    return [sentence.text for sentence in _sentences(Trace.of(line))]


def _in_words(unmarked: Unmarked, language: str) -> Trace:
    claims = Claims(unmarked.trace)
    signs_there = set(claims.text)
    if any(map(str.isdecimal, signs_there)):
        signs_there.add("0")
    for known in _RULES.get(language, ()):
        if not known.needs or not known.needs.isdisjoint(signs_there):
            claims.take_words(known.pattern, known.say)
    trace = claims.done().replaced(_FRACTION, lambda match: _SLASHED[match[0]])
    if unmarked.said:
        trace = trace.replaced(_SAID_MARK, lambda match: f" {unmarked.said[ord(match[0]) - SAID]} ")
    return trace


def _parts(line: Trace) -> Iterator[tuple[Trace, int]]:
    """The text between pauses, each with the milliseconds of that which is behind it."""
    at = 0
    for mark in _PAUSE_MARK.finditer(line.text):
        yield line.part(at, mark.start()), ord(mark[0]) - PAUSE
        at = mark.end()
    yield line.part(at, len(line.text)), 0


def _spoken(match: re.Match[str]) -> str:
    return (
        match[0]
        if unicodedata.category(match[0]) in {"Mn", "Mc"} and not "\ufe00" <= match[0] <= "\ufe0f"
        else " "
    )


def _tidy(line: Trace) -> Trace:
    line = line.replaced(_PERHAPS_UNSPOKEN, _spoken)
    for pattern, new in _TIDY:
        line = line.replaced(pattern, new)
    text = line.text.rstrip(" ,;:-–/")
    return line.part(len(text) - len(text.lstrip(" ,;:-–/")), len(text))


def _sentences(line: Trace) -> Iterator[Trace]:
    begin = 0
    for end in (*(match.end() for match in _SENTENCE_END.finditer(line.text)), len(line.text)):
        for part in _cut(line.part(begin, end)):
            if has_words(part.text):
                yield part
        begin = end


def _cut(sentence: Trace) -> Iterator[Trace]:
    """Cuts what is too long at the last comma in reach, else at the last space in reach, else at the next."""
    while len(sentence.text) > LONGEST_SENTENCE:
        reach = sentence.text[:LONGEST_SENTENCE]
        comma = max(reach.rfind(mark) for mark in (", ", "; ", ": "))
        at = comma + 1 or max(reach.rfind(" "), 0) or sentence.text.find(" ")
        if at < 0:
            break
        yield sentence.part(0, at)
        sentence = sentence.part(at, len(sentence.text))
    yield sentence
