"""One turn in flight: what the mind and the voice have done so far, and what is overdue. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from services.gateway.answer_parts import Due, Marks, Segment
from services.gateway.chat_protocol import EngineReport, ServerEvent, Timeline, Usage
from services.gateway.playout import Playout
from services.gateway.tool_rounds import Rounds
from services.gateway.turn_io import Ask, Say, TurnPolicy
from shared.messages import (
    AudioChunk,
    Failed,
    MindDone,
    RouteReport,
    SegmentDone,
    Synthesize,
    Timing,
    Working,
)

AUDIBLE_LEVEL = 10 ** (-45 / 20)
"""Root mean square above which a chunk counts as sound: -45 dBFS."""

MAX_EARLY = 2000
ASKED_S = 1.5
"""Who speaks so shortly before the end of a question answers it."""
FromVoice = Working | AudioChunk | Timing | SegmentDone | Failed


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
    mind_worker: str = ""
    """Who has taken this attempt up."""
    text: str = ""
    before: str = ""
    """What was heard of it at another gateway; it goes on behind that."""
    segments_expected: int | None = None
    """None: the mind is not done."""
    mind: MindDone | None = None
    voice_at: float = 0.0
    """When the voice last sent something of this turn."""
    segments: list[Segment] = field(default_factory=list)
    playout: Playout = field(default_factory=Playout)
    rounds: Rounds = field(default_factory=Rounds)
    """Of functions that the model calls."""
    calls: int = 0
    """Functions that were handed over to the client for good."""
    early: deque[FromVoice] = field(default_factory=lambda: deque(maxlen=MAX_EARLY))
    """Of segments that the gateway has not read yet: the order of different subjects is nobody's promise."""
    has_sent: bool = False
    """Whether any sound was sent."""
    repeats: int = 0
    waits_since: float = 0.0
    """The person's turn was over, or the functions that the model called had returned."""
    first_s: float = 0.0
    """How long they wait for a first segment; 0: as long as the turn may take."""
    fillers: int = 0
    """How often their silence was bridged."""
    filled_until: float | None = None
    """When the last filler ends."""
    filler_words: str = ""
    """All that fillers said."""
    broken: tuple[str, str] | None = None
    """Code and message of a failure that nothing has been done about yet."""
    failure: tuple[str, str] | None = None
    """The failure that the turn will end with, while the apology for it is being spoken."""
    is_over: bool = False
    """The terminal event was sent; what remains is playback."""
    last_word: ServerEvent | None = None
    """That terminal event."""
    is_paused: bool = False
    """The client was told to hold the playback."""
    is_speculative: bool = False
    """It was begun before the person's turn was known to be over."""

    @property
    def wants_audio(self) -> bool:
        """Whether sound was asked for."""
        return isinstance(self.ask, Say) or self.ask.wants_audio

    @property
    def is_spoken(self) -> bool:
        """Whether the question was spoken."""
        return isinstance(self.ask, Ask) and self.ask.is_spoken

    @property
    def hands_over(self) -> bool:
        """Whether a call of the client's functions ends the turn."""
        return isinstance(self.ask, Ask) and self.ask.wish.hands_over

    @property
    def is_wordless(self) -> bool:
        """Whether a call is all that is waited for."""
        return isinstance(self.ask, Ask) and self.ask.wish.is_wordless

    @property
    def is_handed_over(self) -> bool:
        """Whether nothing but calls of the client's functions came of it."""
        return self.calls > 0 and not self.segments

    @property
    def is_canary(self) -> bool:
        """Whether this is a self-test."""
        return isinstance(self.ask, Ask) and self.ask.is_canary

    @property
    def has_audio(self) -> bool:
        """Whether audible sound was sent."""
        return self.marks.audible_at is not None

    @property
    def is_awaited(self) -> bool:
        """Whether the person, in silence, waits for the mind to begin to speak."""
        is_question = isinstance(self.ask, Ask) and self.ask.wants_audio and not self.ask.is_canary
        is_at_work = self.segments_expected is None and self.failure is None and not self.rounds.is_waiting
        has_spoken = len(self.segments) > self.rounds.segment_at or self.playout.head < len(self.segments)
        is_free = not (self.is_over or self.is_wordless or self.rounds.is_ahead or self.playout.is_held)
        return is_question and is_at_work and is_free and not has_spoken

    @property
    def said(self) -> str:
        """The text that was handed to the voice."""
        return _joined(self.before, *(segment.text for segment in self.segments))

    @property
    def said_in_round(self) -> str:
        """The same since the model last got the results of its functions."""
        before = self.before if self.rounds.count == 0 else ""
        return _joined(before, *(segment.text for segment in self.segments[self.rounds.segment_at :]))

    @property
    def is_complete(self) -> bool:
        """Whether all text is there, and all its sound where sound was asked for."""
        expected = self.segments_expected
        if expected is None or not self.wants_audio:
            return expected is not None
        return len(self.segments) >= expected and self.playout.head >= expected

    @property
    def is_made(self) -> bool:
        """Whether only the person is waited for: held as it may be, it cannot come too late any more."""
        expected = None if self.rounds.is_ahead else self.segments_expected
        is_whole = expected is not None and len(self.segments) >= expected
        return is_whole and all(segment.done is not None for segment in self.segments)

    def open_segment(self, work: Synthesize, now: float) -> None:
        """The voice was asked to say this."""
        segment = Segment(
            work.text, work.attempt, now, work.language, work.voice, work.speed, work.take, work.mood
        )
        self.segments.append(segment)
        self.playout.open(work.text)
        if self.marks.segment_at is None:
            self.marks.segment_at = now

    def due(self, policy: TurnPolicy) -> tuple[float, Due, int]:
        """Returns when the next patience ends, whose, and of which segment (-1: none)."""
        dues = [(math.inf if self.is_made else self.deadline, Due.TURN, -1)]
        if self.rounds.is_waiting:
            dues += self._tool_dues(policy)
        elif self.segments_expected is None:
            if self.mind_beat_at is None:
                dues.append((self.think_at + policy.take_up_s, Due.MIND_UNTAKEN, -1))
            else:
                dues.append((self._mind_lost_at(self.mind_beat_at, policy), Due.MIND_STALLED, -1))
            if self.first_s and self.is_awaited:
                dues.append((self.waits_since + self.first_s, Due.MIND_SLOW, -1))
        elif self.wants_audio and len(self.segments) < self.segments_expected:  # lost on its way to here
            dues.append(((self.mind_beat_at or self.think_at) + policy.beat_lost_s, Due.MIND_STALLED, -1))
        making = [number for number, segment in enumerate(self.segments) if segment.done is None]
        for number in making:
            segment = self.segments[number]
            if segment.beat_at is not None:
                dues.append((self._lost_at(number, segment.beat_at, policy), Due.VOICE_STALLED, number))
            elif number == making[0]:
                since = max(segment.published_at, self.voice_at)
                dues.append((since + policy.take_up_s, Due.VOICE_UNTAKEN, number))
        return min(dues, key=lambda due: due[0])

    def _mind_lost_at(self, beat_at: float, policy: TurnPolicy) -> float:
        """Returns when the mind's worker counts as lost: sooner, once, where the person waits in silence."""
        patient_at = beat_at + policy.beat_lost_s
        is_first = self.attempt == self.rounds.count + 1
        is_silent = self.playout.head >= len(self.segments) and not self.playout.is_held
        if not (is_first and is_silent and self.wants_audio):
            return patient_at
        return min(patient_at, max(beat_at + policy.mind_lost_s, self.playout.ends_at or 0.0))

    def _lost_at(self, number: int, beat_at: float, policy: TurnPolicy) -> float:
        """Returns when a segment's worker counts as lost: sooner where the person waits for its sound."""
        patient_at = beat_at + policy.beat_lost_s
        if number != self.playout.head or self.playout.is_held:
            return patient_at
        return min(patient_at, max(beat_at + policy.voice_lost_s, self.playout.ends_at or 0.0))

    def _tool_dues(self, policy: TurnPolicy) -> list[tuple[float, Due, int]]:
        rounds, ends_at = self.rounds, self.playout.ends_at
        if rounds.is_ahead or rounds.is_answered:
            return []
        dues = [(rounds.lost_at(policy.tool_s, self.deadline), Due.TOOL_LOST, -1)]
        is_silent = not self.playout.is_held and self.playout.head >= len(self.segments) >= rounds.segments
        if self.wants_audio and is_silent and not rounds.has_bridged:
            dues.append((max(rounds.since + policy.tool_slow_s, ends_at or 0.0), Due.TOOL_SLOW, -1))
        return dues

    def heard(self, now: float) -> str:
        """The words that the person has heard, or read where no sound was asked for."""
        return _joined(self.before, self.playout.heard(now)) if self.wants_audio else self.text.strip()

    def is_asking(self, now: float) -> bool:
        """Whether the playback is at the end of a question."""
        ends_at = self.playout.ends_at
        is_near = self.is_over and ends_at is not None and ends_at - now <= ASKED_S
        return is_near and self.said.rstrip().endswith("?")

    def adopt(self, ask: Ask, now: float) -> None:
        """The turn that was only likely has come, with the words that were answered: its time begins."""
        marks = self.marks
        self.ask = ask
        self.rounds.release(now)
        marks.asked_at = self.waits_since = now
        for name in ("text_at", "segment_at", "chunk_at"):
            if getattr(marks, name) is not None:
                setattr(marks, name, now)

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
            audio_ms=round(self.playout.answer_ms, 1),
            attempts=self.attempt - self.rounds.count,
            repeats=self.repeats,
            is_speculative=self.is_speculative,
            first_sound_ms=0.0
            if marks.sound_at is None
            else round(waited + _between(marks.asked_at, marks.sound_at), 3),
            fillers=self.fillers,
        )

    def route(self) -> RouteReport | None:
        """Returns which way the answer took to its language model, once the mind has told it."""
        return self.mind.report if self.mind is not None and self.mind.report.route else None

    def usage(self) -> Usage | None:
        """Returns what the turn took, as far as it was told; None: nothing was."""
        report = self.mind.report if self.mind is not None else None
        if report is None or not (report.input_tokens or report.output_tokens):
            return None
        return Usage(
            input_tokens=report.input_tokens,
            cached_tokens=report.cached_tokens,
            output_tokens=report.output_tokens,
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


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _between(start: float | None, end: float | None) -> float:
    return 0.0 if start is None or end is None else round(1000 * (end - start), 3)
