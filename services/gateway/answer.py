"""One turn in flight: what the mind and the voice have done so far, and what is overdue. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from services.gateway.chat_protocol import EngineReport, Timeline
from services.gateway.playout import Playout
from services.gateway.turn_io import Ask, Say, TurnPolicy
from shared.messages import AudioChunk, Failed, MindDone, SegmentDone, Synthesize, Working

AUDIBLE_LEVEL = 10 ** (-45 / 20)
"""Root mean square above which a chunk counts as sound: -45 dBFS."""

MAX_EARLY = 2000
FromVoice = Working | AudioChunk | SegmentDone | Failed


class Due(Enum):
    """Whose patience runs out next."""

    TURN = auto()
    MIND_UNTAKEN = auto()
    MIND_STALLED = auto()
    VOICE_UNTAKEN = auto()
    VOICE_STALLED = auto()


@dataclass(slots=True)
class Segment:
    """A speakable piece of the answer."""

    text: str
    attempt: int
    published_at: float
    language: str
    voice: str
    speed: float
    take: int = 1
    beat_at: float | None = None
    """Last sign of life of the worker that makes it; None: not taken up yet."""
    done: SegmentDone | None = None


@dataclass(slots=True)
class Marks:
    """Moments of a turn, seconds; None: has not happened."""

    asked_at: float
    text_at: float | None = None
    segment_at: float | None = None
    chunk_at: float | None = None
    audible_at: float | None = None


@dataclass(slots=True)
class Answer:
    """State of one turn, from the question to the end of its playback."""

    turn: int
    turn_id: str
    ask: Ask | Say
    deadline: float
    marks: Marks
    attempt: int = 1
    think_at: float = 0.0
    mind_beat_at: float | None = None
    text: str = ""
    segments_expected: int | None = None
    """None: the mind is not done."""
    mind: MindDone | None = None
    voice_at: float = 0.0
    """When the voice last sent something of this turn."""
    segments: list[Segment] = field(default_factory=list)
    playout: Playout = field(default_factory=Playout)
    early: deque[FromVoice] = field(default_factory=lambda: deque(maxlen=MAX_EARLY))
    """Of segments that the gateway has not read yet: the order of different subjects is nobody's promise."""
    has_sent: bool = False
    """Whether any sound was sent."""
    repeats: int = 0
    broken: tuple[str, str] | None = None
    """Code and message of a failure that nothing has been done about yet."""
    failure: tuple[str, str] | None = None
    """The failure that the turn will end with, while the apology for it is being spoken."""
    is_over: bool = False
    """The terminal event was sent; what remains is playback."""

    @property
    def wants_audio(self) -> bool:
        """Whether sound was asked for."""
        return isinstance(self.ask, Say) or self.ask.wants_audio

    @property
    def is_spoken(self) -> bool:
        """Whether the question was spoken."""
        return isinstance(self.ask, Ask) and self.ask.is_spoken

    @property
    def is_canary(self) -> bool:
        """Whether this is a self-test."""
        return isinstance(self.ask, Ask) and self.ask.is_canary

    @property
    def has_audio(self) -> bool:
        """Whether audible sound was sent."""
        return self.marks.audible_at is not None

    @property
    def said(self) -> str:
        """The text that was handed to the voice."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def is_complete(self) -> bool:
        """Whether all text is there, and all its sound where sound was asked for."""
        expected = self.segments_expected
        if expected is None or not self.wants_audio:
            return expected is not None
        return len(self.segments) >= expected and self.playout.head >= expected

    def open_segment(self, work: Synthesize, now: float) -> None:
        """The voice was asked to say this."""
        segment = Segment(work.text, work.attempt, now, work.language, work.voice, work.speed, work.take)
        self.segments.append(segment)
        self.playout.open(work.text)
        if self.marks.segment_at is None:
            self.marks.segment_at = now

    def due(self, policy: TurnPolicy) -> tuple[float, Due, int]:
        """Returns when the next patience ends, whose, and of which segment (-1: none)."""
        dues = [(self.deadline, Due.TURN, -1)]
        if self.segments_expected is None:
            if self.mind_beat_at is None:
                dues.append((self.think_at + policy.take_up_s, Due.MIND_UNTAKEN, -1))
            else:
                dues.append((self.mind_beat_at + policy.beat_lost_s, Due.MIND_STALLED, -1))
        for number in range(self.playout.head, len(self.segments)):
            segment = self.segments[number]
            if segment.done is not None:
                continue
            if segment.beat_at is not None:
                dues.append((segment.beat_at + policy.beat_lost_s, Due.VOICE_STALLED, number))
            elif number == self.playout.head:
                since = max(segment.published_at, self.voice_at)
                dues.append((since + policy.take_up_s, Due.VOICE_UNTAKEN, number))
        return min(dues, key=lambda due: due[0])

    def heard(self, now: float) -> str:
        """The words that the person has heard, or read where no sound was asked for."""
        return self.playout.heard(now) if self.wants_audio else self.text.strip()

    def timeline(self, now: float) -> Timeline:
        """Returns the turn in milliseconds; the parts add up to ``response_ms``."""
        marks = self.marks
        waited = endpoint = 0.0
        if isinstance(self.ask, Ask) and self.ask.spoke_until is not None:
            waited = max(0.0, 1000 * (marks.asked_at - self.ask.spoke_until))
            endpoint = min(waited, self.ask.endpoint_ms)
        llm = _between(marks.asked_at, marks.segment_at)
        tts = _between(marks.segment_at, marks.chunk_at)
        send = _between(marks.chunk_at, marks.audible_at)
        return Timeline(
            endpoint_ms=round(endpoint, 3),
            stt_ms=round(waited - endpoint, 3),
            llm_ms=llm,
            tts_ms=tts,
            send_ms=send,
            response_ms=round(waited + _between(marks.asked_at, marks.audible_at), 3)
            if self.has_audio
            else 0.0,
            first_token_ms=_between(marks.asked_at, marks.text_at),
            total_ms=_between(marks.asked_at, now),
            audio_ms=round(self.playout.sent_ms, 1),
            attempts=self.attempt,
            repeats=self.repeats,
        )

    def engines(self) -> dict[str, EngineReport]:
        """Returns who served which stage; of several voices the degraded one."""
        engines: dict[str, EngineReport] = {}
        if isinstance(self.ask, Ask) and self.ask.ears is not None:
            engines["stt"] = self.ask.ears
        if self.mind is not None:
            engines["llm"] = EngineReport(
                engine=self.mind.engine, model=self.mind.model, is_degraded=self.mind.is_degraded
            )
        for segment in self.segments:
            done = segment.done
            if done is not None and ("tts" not in engines or done.is_degraded):
                engines["tts"] = EngineReport(
                    engine=done.engine, model=done.model, device=done.device, is_degraded=done.is_degraded
                )
        return engines


def _between(start: float | None, end: float | None) -> float:
    return 0.0 if start is None or end is None else round(1000 * (end - start), 3)
