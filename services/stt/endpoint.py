"""When speech begins and ends, decided on audio time alone.

Everything is counted in samples at 16 kHz, never in wall time: replayed frames come faster than real time
and a stalled network must not end a turn. Speech begins when most of the last few frames are voiced;
a lower threshold keeps it going (hysteresis, as Silero's own iterator does it). A short pause is told
early, so that transcribing can begin while the silence is still being confirmed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from services.stt.engine import FRAME, RATE_HZ


@dataclass(frozen=True, kw_only=True)
class EndpointPolicy:
    """The thresholds; times in milliseconds of audio."""

    onset: float = 0.5
    """Speech probability of a frame that may begin speech."""
    release: float = 0.35
    """Speech probability of a frame that keeps speech going."""
    onset_frames: int = 3
    """So many voiced frames begin speech …"""
    onset_window: int = 4
    """… among the last so many."""
    end_silence_ms: int = 500
    pause_ms: int = 200
    pre_roll_ms: int = 300
    """Audio before the first voiced frame that belongs to the utterance: soft consonants."""
    max_utterance_ms: int = 60_000
    """Longer speech is cut here."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """Speech began. All positions are samples since the first one of the session."""

    start: int
    audio_from: int
    """Where the utterance's audio begins, the pre-roll included."""


@dataclass(frozen=True, kw_only=True)
class Paused:
    """A pause that may become the end; the audio so far is ``audio_from`` to ``audio_to``."""

    audio_from: int
    audio_to: int


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """Speech goes on after ``Paused``."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The utterance is over."""

    start: int
    end: int
    """Behind the last voiced frame."""
    audio_from: int
    audio_to: int
    waited: int
    """Samples between ``end`` and this decision; 0 if the end was asked for."""


Heard = Started | Paused | Resumed | Ended


def _samples(milliseconds: float) -> int:
    return int(milliseconds * RATE_HZ / 1000)


@dataclass(kw_only=True)
class Endpointer:
    """Turns one speech probability per frame into events; strictly ``Started`` … ``Ended`` in turn."""

    policy: EndpointPolicy = field(default_factory=EndpointPolicy)
    position: int = 0
    """Samples judged so far."""
    _window: deque[bool] = field(init=False)
    _start: int | None = None
    _audio_from: int = 0
    _end: int = 0
    """Of the last speech; the next utterance's audio begins no earlier."""
    _is_paused: bool = False

    def __post_init__(self) -> None:
        self._window = deque(maxlen=self.policy.onset_window)

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is in flight."""
        return self._start is not None

    @property
    def needed(self) -> int:
        """The first sample that the utterance in flight needs, or one that is about to begin."""
        if self._start is not None:
            return self._audio_from
        return self._earliest(self.position - len(self._window) * FRAME)

    def feed(self, probability: float) -> Heard | None:
        """Judges the next frame; returns what it changed."""
        self.position += FRAME
        if self._start is None:
            return self._await_onset(probability)
        is_too_long = self.position - self._start >= _samples(self.policy.max_utterance_ms)
        if probability >= self.policy.release:
            self._end = self.position
            if is_too_long:
                return self._ended(waited=0)
            was_paused, self._is_paused = self._is_paused, False
            return Resumed() if was_paused else None
        silence = self.position - self._end
        if is_too_long or silence >= _samples(self.policy.end_silence_ms):
            return self._ended(waited=silence)
        if silence >= _samples(self.policy.pause_ms) and not self._is_paused:
            self._is_paused = True
            return Paused(audio_from=self._audio_from, audio_to=self._audio_to())
        return None

    def finish(self) -> Ended | None:
        """Ends the utterance in flight now; None if there is none."""
        self._window.clear()
        return None if self._start is None else self._ended(waited=0)

    def _await_onset(self, probability: float) -> Started | None:
        self._window.append(probability >= self.policy.onset)
        if sum(self._window) < self.policy.onset_frames:
            return None
        first = list(self._window).index(True)
        self._start = self.position - (len(self._window) - first) * FRAME
        self._audio_from = self._earliest(self._start)
        self._end, self._is_paused = self.position, False
        self._window.clear()
        return Started(start=self._start, audio_from=self._audio_from)

    def _ended(self, *, waited: int) -> Ended:
        assert self._start is not None
        start, self._start = self._start, None
        audio_to = self._audio_to()
        return Ended(
            start=start, end=self._end, audio_from=self._audio_from, audio_to=audio_to, waited=waited
        )

    def _earliest(self, start: int) -> int:
        return max(self._end, start - _samples(self.policy.pre_roll_ms))

    def _audio_to(self) -> int:
        """The pause behind the last word belongs to the audio: its end is often soft."""
        return min(self.position, self._end + _samples(self.policy.pause_ms))
