"""Speech whose words are tones, and engines that read them: what is lost or doubled on the way shows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from services.stt.engine import RATE_HZ, Clip, Decoding, EngineInfo, Pcm, Transcript, Word
from shared.errors import EngineFailed
from tests.fakes.speech import Pcm as Pcm16
from tests.fakes.speech import silence

PITCHES = tuple(range(300, 3200, 100))
BLOCK = 160
"""Samples that are loud or not together: 10 ms."""
WORD_S, DIP_S = 0.4, 0.1


def name_of(number: int) -> str:
    """The word that is spoken at a place in ``spoken``."""
    return f"t{PITCHES[number * 7 % len(PITCHES)]}"


def spoken(count: int, *, first: int = 0, pauses: dict[int, float] | None = None) -> Pcm16:
    """Returns so many words, half a second each; between them it is soft, or silent for a while: ``pauses``
    by the number of the word before."""
    pieces = []
    for number in range(first, first + count):
        pitch = int(name_of(number)[1:])
        at = np.arange(int(WORD_S * RATE_HZ)) / RATE_HZ
        pieces.append((12000 * np.sin(2 * np.pi * pitch * at)).astype(np.int16))
        dip = np.arange(int(DIP_S * RATE_HZ)) / RATE_HZ
        pieces.append((600 * np.sin(2 * np.pi * pitch * dip)).astype(np.int16))
        pieces.append(silence((pauses or {}).get(number, 0.0)))
    return np.concatenate(pieces)


def text_of(count: int, *, first: int = 0) -> str:
    """What is said in ``spoken``."""
    return " ".join(name_of(number) for number in range(first, first + count))


def read(pcm: Pcm) -> tuple[Word, ...]:
    """Returns the tones that are in it; a border within one makes two words of it."""
    blocks = pcm[: len(pcm) // BLOCK * BLOCK].reshape(-1, BLOCK)
    loud = np.concatenate([[False], np.abs(blocks).max(axis=1, initial=0.0) > 0.1, [False]])
    edges = np.flatnonzero(np.diff(loud.astype(int)))
    found = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        tone = pcm[begin * BLOCK : end * BLOCK]
        if len(tone) < 4 * BLOCK:
            continue
        middle = tone[len(tone) // 5 : -len(tone) // 5]
        crossings = np.count_nonzero(np.diff(np.signbit(middle)))
        pitch = round(crossings * RATE_HZ / 2 / len(middle) / 100) * 100
        found.append(Word(text=f"t{pitch}", start_s=begin * BLOCK / RATE_HZ, end_s=end * BLOCK / RATE_HZ))
    return tuple(found)


class ToneReader:
    """An engine that reads tones; what it costs is up to ``on_call``."""

    def __init__(
        self, *, has_words: bool = False, is_windowed: bool = False, parallel: int = 2, max_batch: int = 1
    ) -> None:
        self.info = EngineInfo(
            name="tones",
            model="ideal",
            device="cpu",
            is_windowed=is_windowed,
            parallel=parallel,
            max_batch=max_batch,
        )
        self.clips: list[Clip] = []
        self.batches: list[int] = []
        self.failures = 0
        """How many of the next calls fail."""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.on_call: Callable[[Clip], None] = lambda _: None
        self._has_words = has_words

    def transcribe(self, clip: Clip) -> Transcript:
        self.clips.append(clip)
        self.on_call(clip)
        assert self.may_answer.wait(60)
        if self.failures:
            self.failures -= 1
            raise EngineFailed("tones", "out of memory")
        words = read(clip.pcm)
        text = " ".join(word.text for word in words)
        is_timed = self._has_words and clip.has_words
        language = clip.language or "en"
        return Transcript(
            text=text, language=language, language_probability=0.9, words=words if is_timed else ()
        )

    def transcribe_batch(self, clips: Sequence[Clip]) -> list[Transcript]:
        self.batches.append(len(clips))
        return [self.transcribe(clip) for clip in clips]


class Listener(ToneReader):
    """It reads them while they are spoken, for at most ``places`` people at once."""

    def __init__(self, *, places: int = 2, parallel: int = 2) -> None:
        super().__init__(parallel=parallel)
        self.places = places
        self.begun: list[TonesHeard] = []
        self.draft_failures = 0
        self.learnt: list[str] = []
        """What each decoding was begun with."""

    def begin(self, language: str | None, learnt: str = "") -> Decoding | None:
        self.learnt.append(learnt)
        if sum(not decoding.is_closed for decoding in self.begun) >= self.places:
            return None
        decoding = TonesHeard(self, language)
        self.begun.append(decoding)
        return decoding


class TonesHeard:
    """One piece of speech."""

    def __init__(self, listener: Listener, language: str | None) -> None:
        self.language = language
        self.fed: list[int] = []
        self.drafts = 0
        self.learnt = ""
        self.is_closed = False
        self._listener = listener
        self._pcm = np.zeros(0, dtype=np.float32)

    def feed(self, pcm: Pcm) -> None:
        assert not self.is_closed
        self.fed.append(len(pcm))
        self._pcm = np.concatenate([self._pcm, pcm])

    def draft(self) -> Transcript:
        assert not self.is_closed
        self.drafts += 1
        if self._listener.draft_failures:
            self._listener.draft_failures -= 1
            raise EngineFailed("tones", "it has died")
        words = read(self._pcm)
        self.learnt = f"{len(words)} words"
        return Transcript(text=" ".join(word.text for word in words), language="en", language_probability=1.0)

    def close(self) -> None:
        self.is_closed = True
