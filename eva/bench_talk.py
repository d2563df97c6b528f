"""One simulated person's conversation: what became of each question, put together from EVA's events. Pure.

Time is passed in, in seconds of one clock. A question is over when the person asks the next one: only then is
it known whether the answer was heard to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from eva.bench_playback import Playback
from eva.bench_script import Kind

ANSWER_S = 15.0
"""A question without an end by then has none."""
UNHEARD_S = 4.0
"""So long behind a question of which EVA says that nothing was said, nothing will come."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a person takes notice of in an event of the socket."""

    type: str
    turn_id: str | None = None
    segment: int = 0
    """Of sound: below 0 it is a filler's."""
    duration_ms: float = 0.0
    code: str = ""


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one question."""

    kind: Kind
    asked_s: float
    """When it ended: the last voiced frame or the message had been sent; monotonic clock of the machine."""
    outcome: str
    """``ok``, or why not: ``mute``, ``stopped`` (nobody wished it), ``unheard``, ``no_answer``, ``lost``, or
    the code of EVA's error."""
    response_ms: float | None = None
    """From there to the first audible sound of the answer; 0 if EVA was there before. None: it never came."""
    stopped_ms: float | None = None
    """The person's beginning of this question → the answer before was held or dropped; None: there was none,
    or it came to its end by itself."""
    underruns: int = 0
    """Breaks in the answer's sound."""
    silence_ms: float = 0.0
    """How long they were."""


@dataclass
class _Question:
    begun_s: float
    ended_s: float | None = None
    open: set[str] = field(default_factory=set)
    """Its turns that have no end yet."""
    turns: set[str] = field(default_factory=set)
    """All of them: it has several where EVA answered into it."""
    turn: str | None = None
    """Its newest one."""
    ending: str = ""
    """How that ended."""
    first_s: float | None = None
    is_speaking: bool = False
    """Whether EVA hears the person speak."""
    finals: int = 0
    error: str = ""
    stopped_ms: float | None = None
    is_into: bool = False
    """Said while the answer before could be heard."""


class Talk:
    """One conversation; ``take`` is to be called for each event in order."""

    def __init__(self, kind: Kind) -> None:
        self.playback = Playback()
        self.met: list[Met] = []
        self._kind = kind
        self._question: _Question | None = None
        self._past: set[str] = set()
        """Turns of earlier questions."""

    def begin(self, now: float) -> None:
        """The person begins to ask; what was asked before is over with that."""
        is_into = self.playback.left_s(now) > 0
        self.close(now)
        self._question = _Question(begun_s=now, is_into=is_into)

    def end(self, now: float) -> None:
        """The person has asked."""
        if self._question is not None:
            self._question.ended_s = now

    def take(self, note: Note, now: float, *, is_audible: bool = False) -> None:
        """Takes one event; ``is_audible``: of sound, whether the answer can be heard by now."""
        question = self._question
        if note.turn_id is not None and note.turn_id not in self._past and question is not None:
            _belongs(question, note, now, is_audible=is_audible)
        elif question is not None:
            _beside(question, note, now)
        self._play(note, now)

    def _play(self, note: Note, now: float) -> None:
        match note:
            case Note(type="audio", turn_id=str(turn_id), segment=segment):
                self.playback.hear(turn_id, note.duration_ms / 1000, now, is_filler=segment < 0)
            case Note(type="pause", turn_id=self.playback.turn_id):
                self.playback.hold(now)
            case Note(type="resume", turn_id=self.playback.turn_id):
                self.playback.go_on(now)
            case Note(type="flush" | "interrupted", turn_id=self.playback.turn_id):
                self.playback.drop(now)
            case _:
                pass

    def is_settled(self, now: float) -> bool:
        """Whether the question has its answer, or never will."""
        question = self._question
        if question is None:
            return True
        if question.ended_s is None:
            return False
        return self._is_answered(question) or _is_given_up(question, now)

    def is_over(self, now: float) -> bool:
        """Whether the answer was heard to its end, too."""
        return self.is_settled(now) and self.playback.left_s(now) <= 0

    def is_heard(self, turn_id: str | None) -> bool:
        """Whether a turn's sound need be listened to no more: it could be heard, or nobody waits for it."""
        question = self._question
        if question is None or turn_id in self._past:
            return True
        return turn_id == question.turn and question.first_s is not None

    def heard_s(self, now: float) -> float:
        """Returns how much of the answer to the question was heard."""
        question = self._question
        is_its = question is not None and question.turn == self.playback.turn_id
        return self.playback.heard_s(now) if is_its else 0.0

    def lose(self, reason: str, now: float) -> None:
        """The conversation broke off: what has no answer yet never will have one."""
        question = self._question
        if question is None or self._is_answered(question):
            self.close(now)
            question = self._question = _Question(begun_s=now)
        question.error, question.first_s, question.ending = reason, None, ""
        self.close(now)

    def close(self, now: float) -> None:
        """What was asked is over: the person asks the next question, or leaves."""
        question, self._question = self._question, None
        if question is None:
            return
        response_ms = None
        if question.first_s is not None and question.ended_s is not None:
            response_ms = round(1000 * max(0.0, question.first_s - question.ended_s), 2)
        is_its = question.turn == self.playback.turn_id
        self.met.append(
            Met(
                kind=self._kind,
                asked_s=question.begun_s if question.ended_s is None else question.ended_s,
                outcome=_outcome(question, now),
                response_ms=response_ms,
                stopped_ms=question.stopped_ms,
                underruns=self.playback.underruns if is_its else 0,
                silence_ms=round(1000 * self.playback.silence_s, 2) if is_its else 0.0,
            )
        )
        self._past |= question.turns

    def _is_answered(self, question: _Question) -> bool:
        is_heard = self._kind == "typed" or question.finals > 0
        return is_heard and question.turn is not None and not question.open and not question.is_speaking


def _belongs(question: _Question, note: Note, now: float, *, is_audible: bool) -> None:
    """Takes an event of a turn of the question's."""
    assert note.turn_id is not None
    if question.turn != note.turn_id and note.type in {"turn_started", "final", "audio"}:
        question.turn, question.first_s, question.ending = note.turn_id, None, ""
        question.open.add(note.turn_id)
        question.turns.add(note.turn_id)
    match note.type:
        case "final":
            question.is_speaking = False
            question.finals += 1
        case "audio":
            if note.segment >= 0 and is_audible and question.first_s is None:
                question.first_s = now
        case "turn_done" | "interrupted" | "error":
            question.open.discard(note.turn_id)
            if note.turn_id == question.turn:
                question.ending = note.code if note.type == "error" else note.type
        case _:
            pass


def _beside(question: _Question, note: Note, now: float) -> None:
    """Takes an event of no turn, or of one of an earlier question."""
    match note.type:
        case "speech_started":
            question.is_speaking = True
        case "final":
            question.is_speaking = False
            question.finals += 1
        case "error" if note.turn_id is None:
            question.error = note.code
        case "pause" | "flush" | "interrupted" if question.is_into and question.stopped_ms is None:
            question.stopped_ms = round(1000 * (now - question.begun_s), 2)
        case "resume":
            question.stopped_ms = None
        case _:
            pass


def _is_given_up(question: _Question, now: float) -> bool:
    waited_s = now - (now if question.ended_s is None else question.ended_s)
    is_nothing = bool(question.finals or question.error) and question.turn is None
    return waited_s > ANSWER_S or (is_nothing and not question.is_speaking and waited_s > UNHEARD_S)


def _outcome(question: _Question, now: float) -> str:
    """Returns ``ok`` for an answer that was heard, whether or not the person spoke into it."""
    if question.ending == "interrupted":
        return "stopped"
    if question.ending == "turn_done":
        return "mute" if question.first_s is None else "ok"
    if question.ending or question.error:
        return question.ending or question.error
    if question.first_s is not None and not _is_given_up(question, now):
        return "ok"
    return "unheard" if question.finals and question.turn is None else "no_answer"
