"""The order of an answer's sound, and how much of it the person has heard. Pure.

Segments are made by several workers at once and some are made twice; they are *played* in the order of
their numbers, each sample once. A chunk says where in its segment it starts, so a second take of a
segment that broke off goes on at the first sample that was not received yet.

What was heard of a segment is exact to the word where its voice tells when its words are said (``cues``),
else by proportion of its letters.

While it is held (the person may be interrupting) nothing is sent and the playback stands still.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from services.gateway.cues import Cues, Score
from services.gateway.sent import Sent, can_be_cut, cut_front
from shared.messages import AudioChunk, Timing

FORGETS_EVERY_S = 1.0


@dataclass(slots=True)
class Track:
    """The sound of one segment."""

    text: str
    received: int = 0
    """Samples, contiguous from the start."""
    waiting: deque[AudioChunk] = field(default_factory=deque)
    received_s: float = 0.0
    sent_ms: float = 0.0
    at_ms: float = 0.0
    """Where in the turn's sound its first sample lies, as the last chunk was sent."""
    score: Score = field(default_factory=Score)
    is_complete: bool = False

    def text_until(self, at_ms: float, fraction: float) -> str:
        """Returns the words that end by a moment of the turn's sound; by proportion if that is not known."""
        heard = self.score.heard(self.text, (at_ms - self.at_ms) / 1000)
        return _words_within(self.text, fraction) if heard is None else " ".join(self.text[:heard].split())


@dataclass(frozen=True, slots=True)
class _Report:
    ms: float
    at: float


class Playout:
    """Sound of one turn. ``now`` is in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.sent_ms = 0.0
        """Duration of all sound sent so far."""
        self._bridges_ms: dict[int, float] = {}
        """Sound that is nobody's words, in front of the segment of this number."""
        self._head = 0
        self._first_sent_at: float | None = None
        self._reported: _Report | None = None
        self._is_held = False
        self._sent = Sent()
        self._forgets_at = -math.inf

    @property
    def is_held(self) -> bool:
        """Whether the playback stands still."""
        return self._is_held

    def hold(self, now: float) -> None:
        """Stops the playback where it is."""
        if self._first_sent_at is not None:
            self._reported = _Report(self.played_ms(now), now)
        self._is_held = True

    def release(self, now: float) -> None:
        """Lets the playback go on from where it was held; what has become ready meanwhile can be taken."""
        if self._reported is not None:
            self._reported = _Report(self._reported.ms, now)
        self._is_held = False

    def open(self, text: str) -> None:
        """The next segment will say this."""
        self.tracks.append(Track(text))

    def add(self, chunk: AudioChunk) -> bool:
        """Takes a chunk in; False if samples before it are missing (lost on the way)."""
        track = self.tracks[chunk.segment]
        if chunk.start > track.received:
            return False
        end = chunk.start + chunk.samples
        if end > track.received:
            if chunk.start < track.received and can_be_cut(chunk):
                chunk = cut_front(chunk, track.received - chunk.start)
            track.received, track.received_s = end, end / chunk.rate_hz
            track.waiting.append(chunk)
        return True

    def send_on(self, segment: int, taken: Sequence[tuple[AudioChunk, float]]) -> None:
        """The head's next chunks were sent, as each came: what ``add`` and ``take_playable`` would do.

        To be called while it is played and not held.
        """
        assert self._first_sent_at is not None
        track = self.tracks[segment]
        start = self._reported or _Report(0.0, self._first_sent_at)
        sent_ms, of_track_ms = self.sent_ms, track.sent_ms
        for chunk, now in taken:
            if start.at + max(0.0, sent_ms - start.ms) / 1000 < now:  # it had run dry
                start = self._reported = _Report(sent_ms, now)
            self._sent.chunks.append((sent_ms, chunk))
            ms = 1000 * chunk.samples / chunk.rate_hz
            sent_ms += ms
            of_track_ms += ms
        self.sent_ms, track.sent_ms = sent_ms, of_track_ms
        track.received = chunk.start + chunk.samples
        track.received_s = track.received / chunk.rate_hz
        self._forget(now)

    def time(self, timing: Timing) -> None:
        """Takes in when the words of a segment are said."""
        track = self.tracks[timing.segment]
        track.score.add(timing, track.received_s)

    def complete(self, segment: int, samples: int) -> bool:
        """All of the segment's chunks were sent; False if some of its samples are missing."""
        track = self.tracks[segment]
        track.is_complete = track.received >= samples
        return track.is_complete

    def bridge(self, chunks: Sequence[AudioChunk], now: float) -> None:
        """This sound, of no segment, was sent behind all segments so far; what was sent is through."""
        self._note_sending(now)
        place = len(self.tracks)
        for chunk in chunks:
            self._sent.chunks.append((self.sent_ms, chunk))
            ms = 1000 * chunk.samples / chunk.rate_hz
            self._bridges_ms[place] = self._bridges_ms.get(place, 0.0) + ms
            self.sent_ms += ms

    def skip(self, ms: float, now: float) -> None:
        """So much of the turn's sound was played elsewhere; what is sent here follows it."""
        self.sent_ms += ms - self._bridges_ms.get(0, 0.0)
        self._bridges_ms[0], self._reported = ms, _Report(ms, now)

    def rewind(self, ms: float, now: float) -> tuple[float, list[AudioChunk]]:
        """Returns what was sent already and is played from ``ms`` on, and where that begins.

        The playback counts as being there; it is to be held.
        """
        begins_ms, chunks = self._sent.behind(min(max(0.0, ms), self.sent_ms))
        for track in (track for track in self.tracks if track.sent_ms):
            track.score.again((begins_ms - track.at_ms) / 1000)
        self.report(begins_ms, now)
        return begins_ms, chunks

    def cut(self) -> None:
        """Drops what was not sent; what is opened next follows what was."""
        for track in self.tracks[self._head :]:
            track.text = track.text_until(track.at_ms + track.sent_ms, 1 / 1.2) if track.sent_ms else ""
            track.waiting.clear()
            track.is_complete = True
        self._head = len(self.tracks)

    def take_playable(self, now: float) -> list[AudioChunk]:
        """Returns what is next to be sent, in order; it counts as sent. Nothing while it is held."""
        playable: list[AudioChunk] = []
        while not self._is_held and self._head < len(self.tracks):
            track = self.tracks[self._head]
            while track.waiting:
                chunk = track.waiting.popleft()
                if not playable:
                    self._note_sending(now)
                track.at_ms = self._begins_ms(self._head) + track.sent_ms - 1000 * chunk.start / chunk.rate_hz
                self._count(track, chunk)
                playable.append(chunk)
            if not track.is_complete:
                break
            self._head += 1
        return playable

    def _count(self, track: Track, chunk: AudioChunk) -> None:
        """A chunk is sent."""
        self._sent.chunks.append((self.sent_ms, chunk))
        ms = 1000 * chunk.samples / chunk.rate_hz
        track.sent_ms += ms
        self.sent_ms += ms

    def cues(self, chunks: list[AudioChunk]) -> dict[int, Cues]:
        """Returns what is to be told before these chunks, which were taken just now, by segment."""
        until_s = {chunk.segment: (chunk.start + chunk.samples) / chunk.rate_hz for chunk in chunks}
        due = {
            segment: self.tracks[segment].score.due(end_s, self.tracks[segment].at_ms)
            for segment, end_s in until_s.items()
            if segment >= 0
        }
        return {segment: cues for segment, cues in due.items() if cues is not None}

    def text(self, segment: int) -> str:
        """What a segment says."""
        return self.tracks[segment].text

    def _begins_ms(self, segment: int) -> float:
        """Where in the turn's sound a segment begins, all before it having been sent."""
        bridges_ms = sum(ms for place, ms in self._bridges_ms.items() if place <= segment)
        return bridges_ms + sum(track.sent_ms for track in self.tracks[:segment])

    def _note_sending(self, now: float) -> None:
        """Sound is about to be sent: the playback begins, or goes on where it had run dry."""
        ends_at = self.ends_at
        if self._first_sent_at is None:
            self._first_sent_at = now
            self.release(now)
        elif ends_at is not None and ends_at < now:
            self._reported = _Report(self.sent_ms, now)
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Lets go of what was played long before, now and then."""
        if now >= self._forgets_at:
            self._forgets_at = now + FORGETS_EVERY_S
            self._sent.forget(self.played_ms(now))

    @property
    def head(self) -> int:
        """The segment that is played now or next."""
        return self._head

    @property
    def answer_ms(self) -> float:
        """Duration of the segments' sound sent so far."""
        return sum(track.sent_ms for track in self.tracks)

    @property
    def ends_at(self) -> float | None:
        """When what was sent will have been played; None if nothing was, or while it is held."""
        if self._first_sent_at is None or self._is_held:
            return None
        if self._reported is None:
            return self._first_sent_at + self.sent_ms / 1000
        left_ms = self.sent_ms - self._reported.ms
        return self._reported.at + left_ms / 1000 if left_ms > 0 else self._reported.at

    def has_ended(self, now: float) -> bool:
        """Whether all that was sent has been played, if anything was."""
        return not self._is_held and (self.ends_at or now) <= now

    def report(self, ms: float, now: float) -> None:
        """Notes the client's own account of how far it has played."""
        self._reported = _Report(min(ms, self.sent_ms), now)

    def played_ms(self, now: float) -> float:
        """How much was played: the client's last account and the time since then."""
        if self._first_sent_at is None:
            return self._reported.ms if self._reported is not None else 0.0
        start = self._reported or _Report(0.0, self._first_sent_at)
        if self._is_held:
            return start.ms
        return min(self.sent_ms, start.ms + 1000 * max(0.0, now - start.at))

    def heard(self, now: float) -> str:
        """Returns the words that were played to their end."""
        return " ".join(text for text in self._heard(now) if text)

    def unheard(self, now: float) -> list[str]:
        """Returns of each segment the words that were not played to their end."""
        heard = self._heard(now)
        return [
            " ".join(track.text.split()[len(said.split()) :])
            for track, said in zip(self.tracks, heard, strict=True)
        ]

    def _heard(self, now: float) -> list[str]:
        """Returns of each segment the words that were played to their end."""
        left = played_ms = self.played_ms(now)
        said = [""] * len(self.tracks)
        for index, track in enumerate(self.tracks):
            left -= self._bridges_ms.get(index, 0.0)
            if left <= 0:
                break
            if index < self._head and left >= track.sent_ms:
                said[index] = track.text
            else:
                # A segment still being made is longer than what was sent of it: a fifth more is assumed.
                length_ms = track.sent_ms if index < self._head else 1.2 * track.sent_ms
                said[index] = track.text_until(played_ms, left / length_ms if length_ms else 0.0)
            left -= track.sent_ms
        return said

    def around(self, now: float, *, before: int, ahead: int) -> str:
        """Returns the last so many words that were played, and the next ones behind them."""
        words = " ".join(track.text for track in self.tracks).split()
        at = len(self.heard(now).split())
        return " ".join(words[max(0, at - before) : at + ahead])


def _words_within(text: str, fraction: float) -> str:
    words = text.split()
    total = sum(len(word) + 1 for word in words)
    ends = accumulate(len(word) + 1 for word in words)
    return " ".join(word for word, end in zip(words, ends, strict=True) if end <= fraction * total)
