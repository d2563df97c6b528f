"""The turn machine of one session: everything that decides *when*. Pure; time is passed in.

``handle`` takes an input and returns what is to be done; ``wake_at`` says when a ``Tick`` is wanted.
The gateway is the only place that knows whether the person heard an answer (the end-to-end argument), so
here is where work is watched and published again. Messages are fenced: what belongs to another turn, an
older attempt or an older take is ignored.

Every turn ends with exactly one terminal event: ``turn_done`` (never without audible sound where sound was
asked for), ``interrupted``, or ``error`` with the turn's id. When no answer can be made the failure is
spoken before it is reported.
"""

from __future__ import annotations

from enum import Enum, auto

from services.gateway import progress
from services.gateway.answer import Answer, Marks
from services.gateway.chat_protocol import (
    ErrorEvent,
    FinalEvent,
    Flush,
    Interrupted,
    ServerEvent,
    SpeechStartedEvent,
    TurnDone,
    TurnStarted,
)
from services.gateway.turn_io import (
    Action,
    Ask,
    CancelWork,
    CloseAudio,
    DropAudio,
    Emit,
    Halt,
    HeardNothing,
    Input,
    InterruptReason,
    PlayedTo,
    Remember,
    Say,
    Tick,
    TurnPolicy,
    TurnReport,
)
from shared.messages import SpeechStarted


class State(Enum):
    """What the session is doing, as its person sees it."""

    IDLE = auto()
    LISTENING = auto()
    THINKING = auto()
    SPEAKING = auto()


class TurnMachine:
    """Turns of one session, one at a time. ``turns``: the number of the last one before this machine."""

    def __init__(self, sid: str, policy: TurnPolicy, *, turns: int = 0) -> None:
        self.state = State.IDLE
        self.turns = turns
        self._sid = sid
        self._policy = policy
        self._answer: Answer | None = None
        self._out: list[Action] = []

    def turn_id(self, turn: int) -> str:
        """The name of a turn for the client."""
        return f"{self._sid}-{turn}"

    def wake_at(self) -> float | None:
        """When ``Tick`` is wanted next; None: not at all."""
        answer = self._answer
        if answer is None:
            return None
        return answer.playout.ends_at if answer.is_over else answer.due(self._policy)[0]

    def handle(self, event: Input, now: float) -> list[Action]:
        """Takes one input at ``now``; returns what is to be done, in order."""
        self._out = []
        match event:
            case Ask() | Say():
                self._begin(event, now)
            case SpeechStarted(at_ms=at_ms):
                self._emit(SpeechStartedEvent(at_ms=at_ms))
                self._interrupt("speech", now)
                self.state = State.LISTENING
            case HeardNothing():
                self._emit(FinalEvent(text="", language="", turn_id=None))
                if self.state is State.LISTENING:
                    self.state = State.IDLE
            case Halt(reason=reason, played_ms=played_ms):
                if played_ms is not None and self._answer is not None:
                    self._answer.playout.report(played_ms, now)
                self._interrupt(reason, now)
            case PlayedTo(turn=turn, ms=ms):
                if self._answer is not None and self._answer.turn == turn:
                    self._answer.playout.report(ms, now)
                    self._rest(self._answer, now)
            case Tick():
                self._tick(now)
            case _:
                answer = self._answer
                if answer is not None and not answer.is_over and event.turn == answer.turn:
                    self._out += progress.advance(answer, event, self._policy, now)
                    self._settle(answer, now)
        return self._out

    # ------------------------------------------------------------ beginning and ending

    def _begin(self, ask: Ask | Say, now: float) -> None:
        self._interrupt("speech" if isinstance(ask, Ask) and ask.is_spoken else "message", now)
        self.turns += 1
        turn_id = self.turn_id(self.turns)
        deadline = now + self._policy.turn_s
        answer = Answer(self.turns, turn_id, ask, deadline, Marks(now), think_at=now, voice_at=now)
        self._answer = answer
        self.state = State.THINKING
        if isinstance(ask, Ask) and ask.is_spoken:
            self._emit(FinalEvent(text=ask.text, language=ask.language, turn_id=turn_id))
        self._emit(TurnStarted(turn_id=turn_id, is_spoken=answer.is_spoken))
        self._out += progress.begin(answer, now)

    def _tick(self, now: float) -> None:
        answer = self._answer
        if answer is None:
            return
        if answer.is_over:
            self._rest(answer, now)
        else:
            self._out += progress.overdue(answer, self._policy, now)
            self._settle(answer, now)

    def _settle(self, answer: Answer, now: float) -> None:
        """Draws the conclusion from what has just happened to the answer."""
        if answer.broken is not None:
            apology = progress.apologise(answer, now)
            self._out += apology
            if not apology and answer.failure is not None:
                self._failed(answer, *answer.failure, now)
        elif answer.is_complete:
            self._done(answer, now)
        elif answer.has_sent:
            self.state = State.SPEAKING

    def _interrupt(self, reason: InterruptReason, now: float) -> None:
        """Stops the answer in flight; the memory keeps just what was heard."""
        answer, self._answer = self._answer, None
        self.state = State.IDLE
        if answer is None or (answer.is_over and reason == "closed"):
            return  # a client that leaves with the whole answer is taken to have heard it
        heard = answer.heard(now)
        if not answer.is_over:
            self._out.append(CancelWork(turn=answer.turn))
        if answer.has_sent:
            self._out.append(DropAudio(turn=answer.turn))
            self._emit(Flush(turn_id=answer.turn_id))
        self._remember(answer, heard)
        if not answer.is_over:
            timeline = answer.timeline(now)
            self._emit(Interrupted(turn_id=answer.turn_id, reason=reason, heard=heard, timeline=timeline))
            self._report(answer, "interrupted", reason, now)

    def _done(self, answer: Answer, now: float) -> None:
        if answer.failure is not None:
            self._failed(answer, *answer.failure, now)
        elif answer.wants_audio and not answer.has_audio:
            self._failed(answer, "no_audio", "the voice made no audible sound", now)
        else:
            text = answer.text.strip() or answer.said
            self._remember(answer, text)
            if answer.has_sent:
                self._out.append(CloseAudio(turn=answer.turn))
                self.state = State.SPEAKING
            self._emit(
                TurnDone(
                    turn_id=answer.turn_id,
                    text=text,
                    has_audio=answer.has_audio,
                    timeline=answer.timeline(now),
                    engines=answer.engines(),
                )
            )
            self._over(answer, "completed", "", now)

    def _failed(self, answer: Answer, code: str, message: str, now: float) -> None:
        self._out.append(CancelWork(turn=answer.turn))
        self._remember(answer, answer.heard(now))
        text = answer.text.strip()
        self._emit(ErrorEvent(code=code, message=message, turn_id=answer.turn_id, text=text))
        self._over(answer, "failed", code, now)

    def _over(self, answer: Answer, outcome: str, code: str, now: float) -> None:
        answer.is_over = True
        self._report(answer, outcome, code, now)
        self._rest(answer, now)

    def _rest(self, answer: Answer, now: float) -> None:
        """Goes idle once an answer that is over has been played to its end."""
        if answer.is_over and (answer.playout.ends_at or now) <= now:
            self._answer = None
            self.state = State.IDLE

    def _remember(self, answer: Answer, text: str) -> None:
        if isinstance(answer.ask, Ask) and not answer.ask.is_canary:
            self._out.append(Remember(turn=answer.turn, user=answer.ask.text, answer=text))

    def _report(self, answer: Answer, outcome: str, code: str, now: float) -> None:
        self._out.append(
            TurnReport(
                outcome=outcome,  # type: ignore[arg-type]
                code=code,
                is_spoken=answer.is_spoken,
                is_canary=answer.is_canary,
                wanted_audio=answer.wants_audio,
                has_audio=answer.has_audio,
                timeline=answer.timeline(now),
                engines=answer.engines(),
            )
        )

    def _emit(self, event: ServerEvent) -> None:
        self._out.append(Emit(event=event))
