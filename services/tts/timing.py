"""When each written word is heard and which shape the mouth has, from what an engine tells. Pure.

A voice tells its words (espeak-ng: exact), or its sounds with their durations (Piper: exact; which of them
are which word is ``alignment``), with the first piece of a line; and again when it knows more of them, at the
latest with the sound itself. Of a voice that tells nothing a line is
shared among its words by their letters. Its length is then not known before its end, and the times are wanted
before the sound: they are told with the first sound for a line as long as such lines are, marked as
estimated, and told again at its end if it was of another length. Whoever hears of a word twice believes the
last.

Times go from the spoken text, which is cut at blanks, by proportion of characters within a word to the
*written* words that ``Passage.words`` maps it to; without such a map the spoken words are looked for in what
was written, in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.tts import visemes
from services.tts.alignment import aligned, weight
from services.tts.engine import Phone, Sound, SpokenWord
from services.tts.passage import Passage, Spoken
from shared.messages import VisemeTime, WordTime

LETTERS_A_SECOND = 14.0
"""Of speech at its usual speed, the blank behind each word counted as one."""
WHOLE = 0.6
"""A first piece longer than this share of the length that was expected is taken for all of its line."""
CORRECTED_S = 0.03
"""An estimate that was wrong by less stands."""
_PAUSES = {",": 3, ";": 4, ":": 4, ".": 5, "!": 5, "?": 5, "…": 6}
"""Letters' worth of silence behind a word."""
_Span = tuple[int, int, float, float]
"""A stretch of the spoken text and when it is said, seconds of the line."""
_TOKEN = re.compile(r"[^\W_](?:\S*[^\W_])?")


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What becomes one ``Timing``."""

    rate_hz: int
    words: tuple[WordTime, ...] = ()
    visemes: tuple[VisemeTime, ...] = ()
    is_estimated: bool = False


class Timekeeper:
    """Marks of one segment. ``written``: its text; ``rate_hz``: of its encoded sound."""

    def __init__(self, written: str, rate_hz: int) -> None:
        self._written, self._rate_hz = written, rate_hz
        self._found_to = 0

    def mapped(self, passage: Passage) -> Passage:
        """Returns the segment's next passage with the written words that its spoken ones are."""
        words = passage.words or self._found(passage.text)
        if words:
            self._found_to = max(self._found_to, words[-1].end)
        return replace(passage, words=words)

    def line(self, passage: Passage, *, from_sample: int, pace: float = 1.0) -> LineTimes:
        """A voice begins to speak a passage, or what is left of it.

        Args:
            passage: what it was given to say; ``words`` map it.
            from_sample: of the segment, where the line's sound begins.
            pace: how fast, 1: as the voice usually does.
        """
        return LineTimes(passage, from_sample, self._rate_hz, pace)

    def _found(self, spoken: str) -> tuple[Spoken, ...]:
        """Looks for spoken words in what was written, behind those of the passages before."""
        found, at = [], self._found_to
        for token in _TOKEN.finditer(spoken):
            word = token.group()
            begin = self._written.lower().find(word.lower(), at)
            if begin >= 0:
                at = begin + len(word)
                found.append(Spoken(begin=begin, end=at, spoken_begin=token.start(), spoken_end=token.end()))
        return tuple(found)


class LineTimes:
    """One line from one voice, while its sound comes; made by ``Timekeeper.line``."""

    def __init__(self, passage: Passage, from_sample: int, rate_hz: int, pace: float) -> None:
        self._passage, self._rate_hz, self._from_sample = passage, rate_hz, from_sample
        self._line = _Line(passage.text)
        self._expected_s = self._line.letters / (LETTERS_A_SECOND * pace)
        self._phones: tuple[Phone, ...] = ()
        self._words: tuple[SpokenWord, ...] = ()
        self._made_s = 0.0
        self._estimated_s: float | None = None
        self._is_told = self._has_news = False
        self._told_words: tuple[WordTime, ...] = ()
        self._told_visemes: tuple[VisemeTime, ...] = ()

    def hear(self, sound: Sound, rate_hz: int) -> None:
        """Takes a piece of the voice's sound, ``rate_hz`` its samples'."""
        self._has_news = self._has_news or bool(sound.phones or sound.words)
        self._phones, self._words = sound.phones or self._phones, sound.words or self._words
        self._made_s += len(sound.samples) / rate_hz

    def tell(self, shift_s: float) -> list[Marks]:
        """Returns what is new when sound of the line goes out; ``shift_s`` were cut off in front of it."""
        if self._is_told and not self._has_news:
            return []
        self._is_told, self._has_news = True, False
        if self._words:
            spans = [(word.begin, word.end, word.start_s, word.end_s) for word in self._words]
        else:
            spans = self._line.spans(aligned(self._line.words, self._phones))
        if not spans:
            is_whole = self._made_s > WHOLE * self._expected_s
            return self._estimate(self._made_s - shift_s if is_whole else self._expected_s)
        shapes = visemes.visemes(self._phones)
        told = [self._marks(spans, shapes, shift_s)]
        if not shapes:
            guess = self._marks([], self._guessed(spans), shift_s)
            told.append(replace(guess, is_estimated=True))
        return self._new(told)

    def end(self, to_sample: int, shift_s: float) -> list[Marks]:
        """Returns what is better known at the line's end: where its sound ends in the segment."""
        if not self._is_told:
            return self.tell(shift_s) if to_sample > self._from_sample else []
        length_s = (to_sample - self._from_sample) / self._rate_hz
        if self._estimated_s is None or abs(length_s - self._estimated_s) < CORRECTED_S:
            return []
        return self._estimate(length_s)

    def _estimate(self, length_s: float) -> list[Marks]:
        self._estimated_s = length_s
        spans = self._line.shared(length_s)
        marks = self._marks(spans, self._guessed(spans), 0.0)
        return self._new([replace(marks, is_estimated=True)])

    def _new(self, told: Sequence[Marks]) -> list[Marks]:
        """Drops what was told before in the same way; a shape goes before those that have changed."""
        new = []
        for marks in told:
            same_words = _same(self._told_words, marks.words)
            same_visemes = max(0, _same(self._told_visemes, marks.visemes) - 1)
            self._told_words = marks.words or self._told_words
            self._told_visemes = marks.visemes or self._told_visemes
            words, shapes = marks.words[same_words:], marks.visemes[same_visemes:]
            if words or shapes[1 if same_visemes else 0 :]:
                new.append(replace(marks, words=words, visemes=shapes))
        return new

    def _guessed(self, spans: Sequence[_Span]) -> list[visemes.Shape]:
        text = self._passage.text
        return [
            shape
            for begin, end, start_s, end_s in spans
            for shape in visemes.guessed(text[begin:end], start_s, end_s)
        ]

    def _marks(self, spans: Sequence[_Span], shapes: Sequence[visemes.Shape], shift_s: float) -> Marks:
        words = []
        for word in self._passage.words:
            time = _within(spans, word.spoken_begin, word.spoken_end)
            if time is not None:
                start, end = (self._sample(at_s - shift_s) for at_s in time)
                words.append(WordTime(begin=word.begin, end=word.end, from_sample=start, to_sample=end))
        told = [
            VisemeTime(viseme=viseme, from_sample=self._sample(start_s - shift_s))
            for viseme, start_s in shapes
        ]
        return Marks(rate_hz=self._rate_hz, words=tuple(words), visemes=tuple(told))

    def _sample(self, at_s: float) -> int:
        return self._from_sample + max(0, round(at_s * self._rate_hz))


class _Line:
    """The words that a voice says."""

    def __init__(self, text: str) -> None:
        tokens = list(_TOKEN.finditer(text))
        self.words = [token.group() for token in tokens]
        self._places = [token.span() for token in tokens]
        pauses = [_PAUSES.get(text[token.end() : token.end() + 1], 0) for token in tokens]
        self._weights = [weight(word) + 1 + pause for word, pause in zip(self.words, pauses, strict=True)]
        if self.words:  # the pause behind the last one is cut off
            self._weights[-1] = weight(self.words[-1]) + 1
        self.letters = sum(self._weights)

    def spans(self, times: Sequence[tuple[float, float]]) -> list[_Span]:
        """Returns places and times of the words."""
        return [(*place, *time) for place, time in zip(self._places, times, strict=False)]

    def shared(self, length_s: float) -> list[_Span]:
        """Shares a time among the words by their letters; the pause behind a word is nobody's."""
        step_s = length_s / max(1, self.letters)
        times, at = [], 0
        for word, size in zip(self.words, self._weights, strict=True):
            times.append((at * step_s, (at + weight(word) + 1) * step_s))
            at += size
        return self.spans(times)


def _same(before: Sequence[object], now: Sequence[object]) -> int:
    """Returns how many are the same from the beginning on."""
    pairs = zip(before, now, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(before), len(now)))


def _within(spans: Sequence[_Span], begin: int, end: int) -> tuple[float, float] | None:
    """Returns when ``text[begin:end]`` is said; None: nothing of it is."""
    parts = [span for span in spans if span[0] < end and begin < span[1]]
    return (_time(parts[0], begin), _time(parts[-1], end)) if parts else None


def _time(span: _Span, at: int) -> float:
    """Returns the time of a place, by proportion of characters within a stretch."""
    begin, end, start_s, end_s = span
    share = (min(max(at, begin), end) - begin) / (end - begin)
    return start_s + share * (end_s - start_s)
