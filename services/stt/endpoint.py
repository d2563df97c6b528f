"""When speech begins and ends, decided on audio time alone.

Everything is counted in samples at 16 kHz, never in wall time: replayed frames come faster than real time
and a stalled network must not end a turn. Speech begins with a frame that is surely voiced, or when most of
the last few are; a lower threshold keeps it going, and a pause ends with the higher one again (hysteresis, as
Silero's own iterator does it). A short pause is told early, so that transcribing can begin while the silence
is still being confirmed; what the draft tells (``hint``) then says how much of that silence is needed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from services.stt.engine import FRAME, RATE_HZ
from services.stt.foreground import Foreground
from services.stt.pace import Pace, pace
from services.stt.turn_end import Completeness, Cue, Wait, wait
from shared.messages import EndedBy, TurnDetection

__all__ = [
    "Completeness", "Cue", "Ended", "EndpointPolicy", "Endpointer", "Heard", "Paused", "Resumed", "Started"
]  # fmt: skip

CUT_IN_MS = 1000
"""Speech that begins so soon after the end of a turn is taken for the rest of it."""
HANGOVER = FRAME
"""The detector goes on for so long behind the last sound: of 169 phrases broken off in mid-word, in 0.5 the
frame behind the break was above ``onset``, and none later."""


@dataclass(frozen=True, kw_only=True)
class EndpointPolicy:
    """The thresholds; times in milliseconds of audio."""

    onset: float = 0.5
    """Speech probability of a frame that may begin speech, and of one that ends a pause."""
    release: float = 0.35
    """Speech probability of a frame that keeps speech going."""
    sure: float = 0.1
    """A frame that is so much above ``onset`` begins speech by itself …"""
    onset_frames: int = 2
    """… else so many voiced frames do. Together 36 ms at the median from the first sound of 600 short phrases
    to the end of the frame that tells it, 102 at p95, 132 at p99; by two of three frames alone 68, 134, 164.
    Of 600 bursts, clicks, tones and hums 96 (by the latter 92) were taken for speech: nearly all hums …"""
    onset_window: int = 3
    """… among the last so many."""
    resume_frames: int = 2
    """So many in a row end a pause; one alone is a click, or another voice."""
    detection: TurnDetection = "silence"
    end_silence_ms: int = 500
    """What ``silence`` waits for; what the adapting of ``auto`` begins with."""
    min_silence_ms: int = 300
    max_silence_ms: int = 1200
    """Bounds of what ``auto`` waits for."""
    pace_ms: float = 0.0
    """What is known of this person's pauses; 0: nothing."""
    pause_ms: int = 128
    """Silence that is told as ``Paused``: four frames. A stop consonant is shorter."""
    pre_roll_ms: int = 300
    """Audio before the first voiced frame that belongs to the utterance: soft consonants."""
    tail_ms: int = 200
    """Audio behind the last voiced frame that belongs to it: its end is often soft."""
    max_utterance_ms: int = 20 * 60_000
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

    pause: int
    """Counts from 1 within the session; a ``Cue`` names it."""
    audio_from: int
    """Behind what is settled."""
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
    """Behind what is settled."""
    audio_to: int
    waited: int
    """Samples between ``end`` and this decision; 0 if the end was asked for."""
    ended_by: EndedBy = "silence"
    speech: int = 0
    """Voiced samples."""


Heard = Started | Paused | Resumed | Ended


def _samples(milliseconds: float) -> int:
    return int(milliseconds * RATE_HZ / 1000)


def _ms(samples: int) -> float:
    return samples * 1000 / RATE_HZ


@dataclass(kw_only=True)
class Endpointer:
    """Turns one speech probability per frame into events; strictly ``Started`` … ``Ended`` in turn."""

    policy: EndpointPolicy = field(default_factory=EndpointPolicy)
    position: int = 0
    """Samples judged so far."""
    _window: deque[bool] = field(init=False)
    _pace: Pace = field(init=False)
    _foreground: Foreground = field(init=False, default_factory=Foreground)
    _start: int | None = None
    _audio_from: int = 0
    _end: int = 0
    """Of the last speech; the next utterance's audio begins no earlier."""
    _deaf_until: int = 0
    """Frames that begin before it tell of what the client has closed."""
    _decided: int | None = None
    """Where a turn was taken to be over, as long as speech may still prove that wrong."""
    _is_paused: bool = False
    _again: int = 0
    """Voiced frames in a row within the pause."""
    _pauses: int = 0
    _voiced: int = 0
    _cue: Cue | None = None

    def __post_init__(self) -> None:
        policy = self.policy
        self._window = deque(maxlen=policy.onset_window)
        self._pace = pace(
            start_ms=policy.end_silence_ms,
            learnt_ms=policy.pace_ms,
            shortest_ms=policy.min_silence_ms,
            longest_ms=policy.max_silence_ms,
        )

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is in flight."""
        return self._start is not None

    @property
    def speech(self) -> int:
        """Voiced samples of the utterance in flight, or of the last one."""
        return self._voiced

    @property
    def silence(self) -> int:
        """Samples since the last voiced frame."""
        return self.position - self._end

    @property
    def pace_ms(self) -> float:
        """What has been learnt of this person's pauses; 0: nothing."""
        return self._pace.expected_ms if self._pace.is_learnt else 0.0

    @property
    def needed(self) -> int:
        """The first sample that the utterance in flight needs, or one that is about to begin."""
        if self._start is not None:
            return self._audio_from
        return self._earliest(self.position - len(self._window) * FRAME)

    def begin_midway(self) -> None:
        """An utterance is in flight from the first sample on: an earlier worker has heard its beginning."""
        self._start = self._audio_from = self._end = self.position
        self._is_paused, self._again, self._cue, self._voiced = False, 0, None, 0

    def settle(self, position: int) -> None:
        """The utterance in flight needs its audio from ``position`` on only; the rest is transcribed."""
        if self._start is not None:
            self._audio_from = max(self._audio_from, min(position, self._audio_to()))

    def hint(self, cue: Cue) -> Ended | None:
        """Takes what the draft of a pause tells; ends the utterance if the silence so far is enough now.

        A cue of a pause that is over, or of an utterance that has ended, changes nothing.
        """
        if self._start is None or not self._is_paused or cue.pause != self._pauses:
            return None
        self._cue = cue
        return self._ended_by_silence()

    def feed(self, probability: float, level_db: float | None = None) -> Heard | None:
        """Judges the next frame; returns what it changed. ``level_db`` is the frame's, of full scale."""
        self.position += FRAME
        is_voice = probability >= self.policy.onset
        if level_db is not None and not self._foreground.is_near(level_db, is_voice=is_voice):
            probability = 0.0  # somebody else, behind the person
        if self._start is None:
            return self._await_onset(probability)
        is_too_long = self.position - self._start >= _samples(self.policy.max_utterance_ms)
        if self._is_voice(probability):
            return self._voice(is_too_long=is_too_long)
        if is_too_long:
            return self._ended(waited=self.silence, by="limit")
        if ended := self._ended_by_silence():
            return ended
        if self.silence < _samples(self.policy.pause_ms) or self._is_paused:
            return None
        self._is_paused = True
        self._pauses += 1
        return Paused(pause=self._pauses, audio_from=self._audio_from, audio_to=self._audio_to())

    def finish(self, received: int = 0) -> Ended | None:
        """Ends the utterance in flight now; None if there is none.

        ``received``: samples that are there by now. Those that were not judged yet fill no frame; with what
        follows them they would be taken for the beginning of another utterance.
        """
        self._window.clear()
        self._deaf_until = max(received, self.position) + HANGOVER
        return None if self._start is None else self._ended(waited=0, by="manual")

    def _await_onset(self, probability: float) -> Started | None:
        if self.position - FRAME < self._deaf_until:
            return None
        self._window.append(probability >= self.policy.onset)
        is_sure = probability >= self.policy.onset + self.policy.sure
        if sum(self._window) < self.policy.onset_frames and not is_sure:
            return None
        first = list(self._window).index(True)
        self._start = self.position - (len(self._window) - first) * FRAME
        self._audio_from = self._earliest(self._start)
        if self._decided is not None and self._start - self._decided <= _samples(CUT_IN_MS):
            self._pace = self._pace.cut_in(_ms(self._start - self._end))
        self._end, self._is_paused, self._again = self.position, False, 0
        self._cue = self._decided = None
        self._voiced = sum(self._window) * FRAME
        self._window.clear()
        return Started(start=self._start, audio_from=self._audio_from)

    def _is_voice(self, probability: float) -> bool:
        if not self._is_paused:
            return probability >= self.policy.release
        self._again = self._again + 1 if probability >= self.policy.onset else 0
        return self._again >= self.policy.resume_frames

    def _voice(self, *, is_too_long: bool) -> Ended | Resumed | None:
        frames = self.policy.resume_frames if self._is_paused else 1
        pause = self.silence - frames * FRAME
        self._end = self.position
        self._voiced += frames * FRAME
        if is_too_long:
            return self._ended(waited=0, by="limit")
        if not self._is_paused:
            return None
        # Where the words held the turn, the length of the pause tells nothing about the others.
        if self._cue is None or self._cue.text != "open":
            self._pace = self._pace.paused(_ms(pause))
        self._is_paused, self._cue, self._again = False, None, 0
        return Resumed()

    def _ended_by_silence(self) -> Ended | None:
        wanted = self._wait()
        if wanted is None or self.silence < _samples(wanted.silence_ms):
            return None
        decided = self.position if self.policy.detection == "auto" else None
        ended = self._ended(waited=self.silence, by=wanted.by)
        self._pace, self._decided = self._pace.ended(), decided
        return ended

    def _wait(self) -> Wait | None:
        """How much silence ends the utterance, from what is known of this pause; None: none does."""
        policy = self.policy
        if policy.detection == "manual":
            return None
        if policy.detection == "silence":
            return Wait(silence_ms=policy.end_silence_ms, by="silence")
        return wait(
            self._cue,
            pace_ms=self._pace.expected_ms,
            shortest_ms=policy.min_silence_ms,
            longest_ms=policy.max_silence_ms,
        )

    def _ended(self, *, waited: int, by: EndedBy) -> Ended:
        assert self._start is not None
        start, self._start = self._start, None
        return Ended(
            start=start,
            end=self._end,
            audio_from=self._audio_from,
            audio_to=self._audio_to(),
            waited=waited,
            ended_by=by,
            speech=self._voiced,
        )

    def _earliest(self, start: int) -> int:
        return max(self._end, start - _samples(self.policy.pre_roll_ms))

    def _audio_to(self) -> int:
        return min(self.position, self._end + _samples(self.policy.tail_ms))
