"""Short phrases that come again and again, kept as they were made: greetings, fillers, apologies.

What is kept is chunks, so that a phrase is heard without a thread, a turn of the device or an encoder. It is
kept when the gateway says that it will come again (its own phrases), or when it has been asked for three
times; never when the gateway wants it made anew (its self-test). The key is what makes the sound: the text,
the voice with the hash of its model, the language, mood, speed and format; of it only a digest stays in
memory. What another voice said in place of the one that was due is not kept: it would be heard long after
that one is well again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from services.tts.chain import Chain
from services.tts.engine import Engine, Voice
from services.tts.segment import Made
from services.tts.voices import language_for
from shared.messages import Synthesize

LONGEST_CHARACTERS, LONGEST_S = 60, 3.0
"""Of a phrase that proves to come again."""
TOLD_CHARACTERS, TOLD_S = 160, 10.0
"""Of one that the gateway says will."""
ASKED_TIMES: Final = 3
_MOST_COUNTED: Final = 2048
_MOST_PROMISES: Final = 256
_OVERHEAD_BYTES: Final = 256
"""Of a chunk, about."""


@dataclass(frozen=True)
class _Promise:
    """Who says it when all is well."""

    language: str
    """ISO 639-1."""
    voice: str
    sha256: str
    is_degraded: bool

    def is_kept_by(self, engine: Engine, voice: Voice) -> bool:
        """Whether what they said is what was promised."""
        return (voice.name, voice.sha256, engine.is_degraded) == (self.voice, self.sha256, self.is_degraded)


@dataclass(frozen=True)
class _Entry:
    made: tuple[Made, ...]
    size_bytes: int


class PhraseCache:
    """Bounded in bytes, the least recently heard goes first; several threads may use it at once."""

    def __init__(self, limit_bytes: int = 16_000_000) -> None:
        """``limit_bytes`` 0: nothing is kept."""
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, _Entry] = OrderedDict()
        self._asked: OrderedDict[bytes, int] = OrderedDict()
        """How often each was asked for; the newest last."""
        self._promises: OrderedDict[tuple[str, str], _Promise] = OrderedDict()
        """By language and voice as they are asked for: engines are asked in a thread, for espeak-ng has a
        lock, and what they answered holds for as long as the process lives."""
        self._size_bytes = self._hits = self._misses = 0

    def lookup(self, item: Synthesize) -> list[Made] | None:
        """Returns the segment's chunks if they are kept; counts that it was asked for. Does not block."""
        if not self._is_fit(item):
            return None
        with self._lock:
            promise = self._promises.get(_wish(item))
            key = _key(item, promise) if promise is not None else b""
            entry = self._kept.get(key)
            if entry is None:
                self._misses += 1
                self._count(_key(item, None))
                return None
            self._hits += 1
            self._kept.move_to_end(key)
            return list(entry.made)

    def through(self, item: Synthesize, chain: Chain, make: Callable[[], Iterator[Made]]) -> Iterator[Made]:
        """Yields the chunks of ``make``; they are kept if all came, in time and in the voice that was due.

        To be pulled in a worker's thread.
        """
        if not (self._is_fit(item) and self._is_wanted(item)):
            yield from make()
            return
        promise = self._promise(item, chain)
        made: list[Made] = []
        for one in make():
            made.append(one)
            yield one
        seconds = sum(one.chunk.samples / one.chunk.rate_hz for one in made)
        is_due = promise is not None and all(promise.is_kept_by(one.engine, one.voice) for one in made)
        is_due = is_due and all(chain.is_well(one.engine, one.voice) for one in made[-1:])  # not broken off
        longest_s = TOLD_S if item.reuse == "will" else LONGEST_S
        if made and promise is not None and is_due and seconds <= longest_s:
            self._keep(_key(item, promise), tuple(made))

    def numbers(self) -> dict[str, float]:
        """Returns what the facts tell."""
        with self._lock:
            return {
                "phrase_hits": self._hits,
                "phrase_misses": self._misses,
                "phrases": len(self._kept),
                "phrase_bytes": self._size_bytes,
            }

    def _is_fit(self, item: Synthesize) -> bool:
        longest = TOLD_CHARACTERS if item.reuse == "will" else LONGEST_CHARACTERS
        return bool(self._limit_bytes) and 0 < len(item.text) <= longest and item.reuse != "never"

    def _is_wanted(self, item: Synthesize) -> bool:
        with self._lock:
            return item.reuse == "will" or self._asked.get(_key(item, None), 0) >= ASKED_TIMES

    def _count(self, key: bytes) -> None:
        self._asked[key] = self._asked.pop(key, 0) + 1
        while len(self._asked) > _MOST_COUNTED:
            self._asked.popitem(last=False)

    def _promise(self, item: Synthesize, chain: Chain) -> _Promise | None:
        wish = _wish(item)
        with self._lock:
            known = self._promises.get(wish)
        if known is not None:
            return known
        language = chain.language(*wish)
        due = chain.promised(language, item.voice)
        if due is None:
            return None
        engine, voice = due
        promise = _Promise(language, voice.name, voice.sha256, engine.is_degraded)
        with self._lock:
            self._promises[wish] = promise
            while len(self._promises) > _MOST_PROMISES:
                self._promises.popitem(last=False)
        return promise

    def _keep(self, key: bytes, made: tuple[Made, ...]) -> None:
        entry = _Entry(made, sum(_size_bytes(one) for one in made))
        if entry.size_bytes > self._limit_bytes:
            return
        with self._lock:
            before = self._kept.pop(key, None)
            self._size_bytes += entry.size_bytes - (before.size_bytes if before is not None else 0)
            self._kept[key] = entry
            while self._size_bytes > self._limit_bytes:
                _, gone = self._kept.popitem(last=False)
                self._size_bytes -= gone.size_bytes


def _wish(item: Synthesize) -> tuple[str, str]:
    return language_for(item.text, item.language, item.voice), item.voice


def _key(item: Synthesize, promise: _Promise | None) -> bytes:
    """The end of the text does not count: words keep their places in it."""
    voice = (promise.language, promise.voice, promise.sha256) if promise is not None else _wish(item)
    sound = (item.text.rstrip(), voice, item.mood, item.speed, item.audio)
    return hashlib.blake2b(msgspec.msgpack.encode(sound), digest_size=16).digest()


def _size_bytes(made: Made) -> int:
    chunk = made.chunk
    return _OVERHEAD_BYTES + len(chunk.data) + sum(len(packet) for packet in chunk.packets)
