"""EVA's side of a session: one answer at a time, begun, held, and ended exactly once. Pure.

Every turn ends with exactly one terminal event: ``turn_done`` (never without audible sound where sound was
asked for), ``interrupted``, or ``error`` with the turn's id. When no answer can be made the failure is
spoken before it is reported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from services.gateway import endings, fillers, progress
from services.gateway.answer import Answer
from services.gateway.answer_parts import Marks
from services.gateway.backchannels import Words, words
from services.gateway.chat_protocol import (
    ErrorEvent,
    Flush,
    Pause,
    Resume,
    ServerEvent,
    TurnStarted,
)
from services.gateway.clips import Clips, choose
from services.gateway.speculation import Ahead
from services.gateway.turn_io import (
    Action,
    Ask,
    CancelWork,
    CloseAudio,
    DropAudio,
    Emit,
    Forget,
    Input,
    InterruptReason,
    Outcome,
    Remember,
    Returned,
    Say,
    TurnPolicy,
)

ECHO_BEFORE, ECHO_AHEAD = 30, 4
"""Words of EVA's, before and behind where her playback is, that may come back as an echo."""


class Answering:
    """The answer in flight. What is to be done is put into ``out``, in order."""

    def __init__(self, sid: str, policy: TurnPolicy, *, turns: int, clips: Clips) -> None:
        self.answer: Answer | None = None
        self.turns = turns
        self.is_away = False
        """The client is gone, and may come back: nothing is played, whatever else is decided."""
        self.out: list[Action] = []
        self._sid = sid
        self._policy = policy
        self._clips = clips
        self._last_filler = ""

    def turn_id(self, turn: int) -> str:
        """The name of a turn for the client."""
        return f"{self._sid}-{turn}"

    def due_at(self) -> float | None:
        """When something is overdue, or the playback will have ended."""
        answer = self.answer
        if answer is None:
            return None
        if answer.is_over:
            return answer.playout.ends_at
        at, filler_at = answer.due(self._policy)[0], fillers.due_at(answer, self._policy)
        due_at = at if filler_at is None else min(at, filler_at)
        return None if due_at == math.inf else due_at

    # ------------------------------------------------------------ beginning

    def begin(self, ask: Ask | Say, now: float, *, finals: Sequence[Ask] = ()) -> None:
        """Begins a turn. ``finals``: the utterances that it answers, each told as a ``final``."""
        assert self.answer is None
        self.turns += 1
        deadline = now + self._policy.turn_s
        answer = Answer(
            self.turns, self.turn_id(self.turns), ask, deadline, Marks(now), think_at=now, voice_at=now
        )
        answer.first_s = 0.0 if answer.is_wordless else self._policy.apology_s
        self._start(answer, finals, now)
        self.out += progress.begin(answer, now)

    def adopt(self, ahead: Ahead, ask: Ask, now: float, *, finals: Sequence[Ask]) -> None:
        """Begins a turn whose answer was begun before: tells what is there of it; its sound is still held."""
        assert self.answer is None
        answer = ahead.answer
        answer.adopt(ask, now)
        self._start(answer, finals, now)
        self.out += ahead.held

    def _start(self, answer: Answer, finals: Sequence[Ask], now: float) -> None:
        self.answer = answer
        if self.is_away:
            answer.playout.hold(now)
        for final in finals:
            self.emit(endings.final(final, turn_id=answer.turn_id))
        utterance = finals[-1].number if finals else None
        self.emit(TurnStarted(turn_id=answer.turn_id, is_spoken=answer.is_spoken, utterance=utterance))

    # ------------------------------------------------------------ while it is made and played

    def advance(self, event: Input, now: float) -> None:
        """Takes what a worker sent; messages of another turn are ignored."""
        answer = self.answer
        if answer is not None and not answer.is_over and getattr(event, "turn", None) == answer.turn:
            self.out += progress.advance(answer, event, self._policy, now)
            self.settle(answer, now)

    def returned(self, event: Returned, now: float) -> None:
        """Takes what a function of the client's has returned."""
        answer = self.answer
        if answer is None or answer.is_over or not answer.rounds.take(event.call_id, event.output):
            message = "no function with this id is waited for"
            self.emit(ErrorEvent(code="invalid_request", message=message, param="call_id"))
        else:
            self.out += progress.go_on(answer, now)
            self.settle(answer, now)

    def tick(self, now: float) -> None:
        """Deals with what is overdue."""
        answer = self.answer
        if answer is None:
            return
        if answer.is_over:
            self.rest(answer, now)
        else:
            self.out += progress.overdue(answer, self._policy, now)
            self.settle(answer, now)
            self._bridge(answer, now)

    def _bridge(self, answer: Answer, now: float) -> None:
        """Plays a filler if it is time for one."""
        due_at = fillers.due_at(answer, self._policy)
        if due_at is not None and due_at <= now:
            ready = self._clips.fillers(answer.ask.language, answer.ask.voice)
            clip = choose(ready, self._last_filler)
            self._last_filler = clip.text if clip is not None else self._last_filler
            self.out += fillers.fill(answer, clip, now)

    def played(self, turn: int, ms: int, now: float) -> None:
        """Takes the client's own account of its playback."""
        if self.answer is not None and self.answer.turn == turn:
            self.answer.playout.report(ms, now)
            self.rest(self.answer, now)

    def hold(self, now: float) -> bool:
        """Holds the answer's sound; returns whether the client was told to pause."""
        answer = self.answer
        assert answer is not None
        answer.playout.hold(now)
        if answer.is_paused or not answer.has_sent or self.is_away:
            return False
        answer.is_paused = True
        self.emit(Pause(turn_id=answer.turn_id))
        return True

    def resume(self, verdict: Literal["backchannel", "echo", "noise"], now: float) -> None:
        """Lets the answer go on from exactly where it was held, if there is somebody to hear it."""
        answer = self.answer
        assert answer is not None
        if self.is_away:
            return
        if answer.is_paused:
            answer.is_paused = False
            self.emit(Resume(turn_id=answer.turn_id, verdict=verdict))
        answer.playout.release(now)
        self.out += progress.play(answer, now)
        if answer.is_over:
            self.rest(answer, now)
        else:
            self.settle(answer, now)

    # ------------------------------------------------------------ ending

    def interrupt(
        self, reason: InterruptReason, now: float, *, played_ms: int | None = None, forgets: bool = False
    ) -> tuple[int, Ask] | None:
        """Stops the answer in flight; the memory keeps just what was heard.

        Args:
            reason: who or what stops it.
            now: seconds.
            played_ms: the client's own account of its playback.
            forgets: whether nothing of it is remembered here: the turn goes on elsewhere.

        Returns:
            The turn and its spoken question if the person goes on before a word of the answer was heard:
            the memory keeps nothing of it, for it is to be asked together with what follows.
        """
        answer, self.answer = self.answer, None
        if answer is None or (answer.is_over and reason == "closed" and not self.is_away):
            return None  # a client that leaves with the whole answer is taken to have heard it
        if played_ms is not None:
            answer.playout.report(played_ms, now)
        heard = answer.heard(now)
        if not answer.is_over:
            self.out.append(CancelWork(turn=answer.turn))
        if answer.has_sent:
            self.out.append(DropAudio(turn=answer.turn))
            self.emit(Flush(turn_id=answer.turn_id))
        ask = answer.ask
        is_unanswered = reason == "speech" and isinstance(ask, Ask) and ask.is_spoken and not heard
        if forgets:
            pass
        elif not is_unanswered:
            self._remember(answer, heard)
        elif answer.is_over:
            self.out.append(Forget(turn=answer.turn))
        if not answer.is_over:
            self.emit(endings.interrupted(answer, reason, heard, now))
            self.out.append(endings.report(answer, "interrupted", reason, now))
        return (answer.turn, ask) if is_unanswered and isinstance(ask, Ask) else None

    def settle(self, answer: Answer, now: float) -> None:
        """Draws the conclusion from what has just happened to the answer."""
        if answer.broken is not None:
            apology = progress.apologise(answer, self._clips, now)
            self.out += apology or []
            if answer.failure is not None and (apology is None or answer.is_complete):
                self._failed(answer, *answer.failure, now)
        elif answer.is_complete:
            self._done(answer, now)

    def _done(self, answer: Answer, now: float) -> None:
        if answer.failure is not None:
            self._failed(answer, *answer.failure, now)
        elif answer.wants_audio and not (answer.has_audio or answer.before or answer.is_handed_over):
            self._failed(answer, "no_audio", "the voice made no audible sound", now)
        else:
            text = answer.text.strip() or answer.said
            self._remember(answer, text)
            if answer.has_sent:
                self.out.append(CloseAudio(turn=answer.turn))
            self._over(answer, "completed", "", now, endings.done(answer, text, now))

    def _failed(self, answer: Answer, code: str, message: str, now: float) -> None:
        self.out.append(CancelWork(turn=answer.turn))
        self._remember(answer, answer.heard(now))
        self._over(answer, "failed", code, now, endings.failed(answer, code, message))

    def _over(self, answer: Answer, outcome: Outcome, code: str, now: float, last_word: ServerEvent) -> None:
        answer.is_over, answer.last_word = True, last_word
        self.emit(last_word)
        self.out.append(endings.report(answer, outcome, code, now))
        self.rest(answer, now)

    def rest(self, answer: Answer, now: float) -> None:
        """Is done with an answer that is over and has been played to its end."""
        if answer.is_over and answer.playout.has_ended(now):
            self.answer = None

    def _remember(self, answer: Answer, text: str) -> None:
        if isinstance(answer.ask, Ask):
            self.remember(answer.turn, answer.ask, text)

    def remember(self, turn: int, ask: Ask, text: str = "") -> None:
        """Keeps a question, and what was heard of its answer."""
        if not ask.is_canary:
            self.out.append(Remember(turn=turn, user=ask.words, answer=text))

    def emit(self, event: ServerEvent) -> None:
        """Tells the client."""
        self.out.append(Emit(event=event))


def words_around(answer: Answer, now: float) -> Words:
    """Returns what EVA has just said, is saying, and is about to say, as far as it may have been heard."""
    if not answer.has_sent:
        return ()
    around = answer.playout.around(now, before=ECHO_BEFORE, ahead=ECHO_AHEAD)
    return words(f"{answer.filler_words} {around}")
