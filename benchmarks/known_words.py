"""Which words are in a clip, found out from its samples: the ears of somebody who misunderstands nothing.

It stands for a good recogniser where none is at hand, beside a model that costs what a good one costs. A word
that a clip holds to less than two thirds is not understood.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.speech import RATE_HZ, Spoken, Utterance

PROBE = 400
"""Samples that are looked for: 25 ms, which no other noise repeats."""
MOST = 2 / 3


@dataclass(frozen=True, slots=True)
class Known:
    """All the audio of a measurement, one utterance behind the other, and its words."""

    pcm: bytes
    utterances: tuple[tuple[int, int, tuple[Spoken, ...]], ...]
    """Where each begins and ends, and its words; samples of ``pcm``."""

    def words(self, pcm: npt.NDArray[np.float32]) -> list[Spoken]:
        """Returns the words in a clip; times in samples of the clip. Nothing for audio that is not known."""
        raw = np.rint(pcm * 32768).astype(np.int16)
        for share in (0.5, 0.3, 0.7, 0.15, 0.85):
            at = int(share * max(0, len(raw) - PROBE))
            found = self._find(raw[at : at + PROBE].tobytes())
            if found is not None:
                return self._between(found - at, found - at + len(raw), found)
        return []

    def _find(self, probe: bytes) -> int | None:
        at = self.pcm.find(probe) if len(probe) == 2 * PROBE else -1
        while at >= 0 and at % 2:
            at = self.pcm.find(probe, at + 1)
        return at // 2 if at >= 0 else None

    def _between(self, start: int, end: int, within: int) -> list[Spoken]:
        words = next(words for first, last, words in self.utterances if first <= within < last)
        return [
            Spoken(word.text, max(0, word.start - start), word.end - start)
            for word in words
            if min(end, word.end) - max(start, word.start) >= MOST * (word.end - word.start)
        ]

    def write(self, path: Path) -> None:
        """Writes it for another process."""
        path.with_suffix(".pcm").write_bytes(self.pcm)
        rows = [
            [first, last, [(word.text, word.start, word.end) for word in words]]
            for first, last, words in self.utterances
        ]
        path.write_text(json.dumps(rows))

    @classmethod
    def read(cls, path: Path) -> Known:
        """Reads what ``write`` wrote."""
        rows = json.loads(path.read_text())
        utterances = tuple(
            (first, last, tuple(Spoken(*word) for word in words)) for first, last, words in rows
        )
        return cls(path.with_suffix(".pcm").read_bytes(), utterances)


def known(utterances: Iterable[Utterance]) -> Known:
    """Returns what is known of these utterances."""
    rows = []
    raw = bytearray()
    for each in utterances:
        start = len(raw) // 2
        raw += each.pcm.tobytes()
        words = tuple(Spoken(word.text, start + word.start, start + word.end) for word in each.words)
        rows.append((start, len(raw) // 2, words))
    return Known(bytes(raw), tuple(rows))


def seconds(word: Spoken) -> tuple[float, float]:
    """Returns when a word was spoken."""
    return word.start / RATE_HZ, word.end / RATE_HZ
