"""The order of an answer's sound, and how much of it the person has heard. Pure.

Segments are made by several workers at once and some are made twice; they are *played* in the order of
their numbers, each sample once. A chunk says where in its segment it starts, so a second take of a
segment that broke off goes on at the first sample that was not received yet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate

import msgspec

from shared.messages import AudioChunk

BYTES_PER_SAMPLE = 2


@dataclass(slots=True)
class _Track:
    """The sound of one segment."""

    text: str
    received: int = 0
    """Samples, contiguous from the start."""
    waiting: deque[AudioChunk] = field(default_factory=deque)
    sent_ms: float = 0.0
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class _Report:
    ms: float
    at: float


class Playout:
    """Sound of one turn. ``now`` is in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._head = 0
        self._first_sent_at: float | None = None
        self._reported: _Report | None = None

    def open(self, text: str) -> None:
        """The next segment will say this."""
        self._tracks.append(_Track(text))

    def add(self, chunk: AudioChunk) -> bool:
        """Takes a chunk in; False if samples before it are missing (lost on the way)."""
        track = self._tracks[chunk.segment]
        if chunk.start > track.received:
            return False
        end = chunk.start + chunk.samples
        if end > track.received:
            if chunk.start < track.received and chunk.codec == "pcm":
                chunk = _behind(chunk, track.received)
            track.received = end
            track.waiting.append(chunk)
        return True

    def complete(self, segment: int, samples: int) -> bool:
        """All of the segment's chunks were sent; False if some of its samples are missing."""
        track = self._tracks[segment]
        track.is_complete = track.received >= samples
        return track.is_complete

    def take_playable(self, now: float) -> list[AudioChunk]:
        """Returns what is next to be sent, in order; it counts as sent."""
        playable: list[AudioChunk] = []
        while self._head < len(self._tracks):
            track = self._tracks[self._head]
            while track.waiting:
                chunk = track.waiting.popleft()
                track.sent_ms += 1000 * chunk.samples / chunk.rate_hz
                playable.append(chunk)
            if not track.is_complete:
                break
            self._head += 1
        if playable and self._first_sent_at is None:
            self._first_sent_at = now
        return playable

    @property
    def head(self) -> int:
        """The segment that is played now or next."""
        return self._head

    @property
    def sent_ms(self) -> float:
        """Duration of the sound sent so far."""
        return sum(track.sent_ms for track in self._tracks)

    @property
    def ends_at(self) -> float | None:
        """When what was sent will have been played; None if nothing was."""
        if self._first_sent_at is None:
            return None
        if self._reported is not None:
            return self._reported.at + max(0.0, self.sent_ms - self._reported.ms) / 1000
        return self._first_sent_at + self.sent_ms / 1000

    def report(self, ms: float, now: float) -> None:
        """Notes the client's own account of how far it has played."""
        self._reported = _Report(min(ms, self.sent_ms), now)

    def played_ms(self, now: float) -> float:
        """How much was played: the client's last account and the time since then."""
        if self._first_sent_at is None:
            return 0.0
        start = self._reported or _Report(0.0, self._first_sent_at)
        return min(self.sent_ms, start.ms + 1000 * max(0.0, now - start.at))

    def heard(self, now: float) -> str:
        """Returns the words that were played to their end; within a segment by proportion of its letters."""
        left = self.played_ms(now)
        said: list[str] = []
        for index, track in enumerate(self._tracks):
            if left <= 0:
                break
            if index < self._head and left >= track.sent_ms:
                said.append(track.text)
            else:
                # A segment still being made is longer than what was sent of it: a fifth more is assumed.
                length_ms = track.sent_ms if index < self._head else 1.2 * track.sent_ms
                said.append(_words_within(track.text, left / length_ms if length_ms else 0.0))
            left -= track.sent_ms
        return " ".join(text for text in said if text)


def _behind(chunk: AudioChunk, received: int) -> AudioChunk:
    """Cuts off the samples that were received already."""
    cut = received - chunk.start
    return msgspec.structs.replace(
        chunk, start=received, samples=chunk.samples - cut, data=chunk.data[cut * BYTES_PER_SAMPLE :]
    )


def _words_within(text: str, fraction: float) -> str:
    words = text.split()
    total = sum(len(word) + 1 for word in words)
    ends = accumulate(len(word) + 1 for word in words)
    return " ".join(word for word, end in zip(words, ends, strict=True) if end <= fraction * total)
