"""The turn machine of one session: everything that decides *when*. Pure; time is passed in.

``handle`` takes an input and returns what is to be done; ``wake_at`` says when a ``Tick`` is wanted.
The gateway is the only place that knows whether the person heard an answer (the end-to-end argument), so
here is where work is watched and published again. Messages are fenced: what belongs to another turn, an
older attempt or an older take is ignored.

This module is what was said: asked aloud or typed, likely to have been asked (``speculation``), not asked
after all. EVA's side is ``answering``; who gives way to whom while both speak is ``floor``. Two promises:

- EVA never begins to speak over somebody: an answer that nothing was heard of waits while they speak;
- no question is lost: one that was answered too early is asked together with the words that followed, or
  again, if none did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum, auto

from services.gateway import endings, progress, speculation
from services.gateway.answering import Answering
from services.gateway.chat_protocol import BargeIn, ErrorEvent, SpeechStoppedEvent
from services.gateway.clips import Clips, NoClips
from services.gateway.floor import Floor
from services.gateway.hearing import Utterance
from services.gateway.speculation import Ahead
from services.gateway.straight import Straight, straight
from services.gateway.turn_actions import Take
from services.gateway.turn_io import (
    Action,
    Ask,
    CancelWork,
    Discarded,
    Halt,
    HeardNothing,
    Input,
    Likely,
    Onset,
    PlayedTo,
    Returned,
    Say,
    Speculated,
    Spoken,
    Tick,
    TurnPolicy,
    Understood,
    UtteranceKey,
    WentOn,
)


class State(Enum):
    """What the session is doing, as its person sees it."""

    IDLE = auto()
    LISTENING = auto()
    THINKING = auto()
    SPEAKING = auto()
    PAUSED = auto()


class TurnMachine:
    """Turns of one session, one at a time. ``turns``: the number of the last one before this machine."""

    def __init__(self, sid: str, policy: TurnPolicy, *, turns: int = 0, clips: Clips | None = None) -> None:
        self._policy = policy
        self._answering = Answering(sid, policy, turns=turns, clips=clips or NoClips())
        self._floor = Floor(self._answering, policy)
        self._answers = True
        self._ahead: Ahead | None = None
        self._later: list[Ask] = []
        """What was said while EVA was not to be interrupted; answered when she is done."""

    @property
    def turns(self) -> int:
        """The number of the newest turn."""
        return self._answering.turns

    def turn_id(self, turn: int) -> str:
        """The name of a turn for the client."""
        return self._answering.turn_id(turn)

    @property
    def state(self) -> State:
        """What the session is doing."""
        answer = self._answering.answer
        if answer is None:
            return State.LISTENING if self._floor.hearing.open else State.IDLE
        if answer.is_paused:
            return State.PAUSED
        return State.SPEAKING if answer.has_sent else State.THINKING

    @property
    def is_answering(self) -> bool:
        """Whether a turn has begun that has no end yet; what is still heard of an answer counts no more."""
        return self._answering.answer is not None and not self._answering.answer.is_over

    def use(self, barge_in: BargeIn, *, answers: bool = True) -> None:
        """Sets what happens when the person speaks while EVA does, from the next utterance on.

        ``answers``: whether what they say is answered without being asked for; else it is only told.
        """
        self._floor.barge_in, self._answers = barge_in, answers

    def is_speaking(self, now: float, *, tail_s: float = 0.0) -> bool:
        """Whether EVA's sound is being played, or was until ``tail_s`` ago."""
        answer = self._answering.answer
        return (answer is not None and answer.has_sent) or now - self._floor.silent_since < tail_s

    def wake_at(self) -> float | None:
        """When ``Tick`` is wanted next; None: not at all."""
        ahead = self._ahead.answer.due(self._policy)[0] if self._ahead is not None else None
        speaker = self._floor.hearing.newest
        patience = speaker.heard_at + self._policy.hold_s if self._later and speaker is not None else None
        times = (self._answering.due_at(), self._floor.hearing.due_at, ahead, patience)
        return min((at for at in times if at is not None), default=None)

    def handle(self, event: Input, now: float) -> list[Action]:
        """Takes one input at ``now``; returns what is to be done, in order."""
        self._answering.out = []
        before = self._answering.answer
        self._take(event, now)
        if self._later and self._answering.answer is None and self._floor.speaker(now) is None:
            self._ask(replace(self._later.pop(), spoke_until=None, endpoint_ms=0.0), now)
        self._floor.settle(before, now)
        return self._answering.out

    def straight(self, take: Take | None) -> Straight | None:
        """Returns a way past this machine for more of what its last input has had played, until the next."""
        return straight(self._answering.answer, take)

    def _take(self, event: Input, now: float) -> None:
        match event:
            case Ask(is_spoken=True):
                self._final(event, now)
            case Ask() | Say():
                self._command(event, now)
            case Onset():
                self._floor.begin(event, now)
                self._tell_lost()
            case Spoken() | Understood() | Likely() | WentOn():
                self._hear(event, now)
            case HeardNothing():
                self._nothing(event, now)
            case Discarded(utterance=key):
                self._discard(key, now)
            case Halt():
                self._halt(event, now)
            case PlayedTo(turn=turn, ms=ms):
                self._answering.played(turn, ms, now)
            case Returned():
                self._answering.returned(event, now)
            case Tick():
                self._tick(now)
            case _ if self._ahead is not None and getattr(event, "turn", 0) == self._ahead.answer.turn:
                self._answering.out += self._ahead.advance(event, self._policy, now)
                self._drop_if_broken()
            case _:
                self._answering.advance(event, now)

    def _tick(self, now: float) -> None:
        self._answering.tick(now)
        self._floor.tick(now)
        if self._ahead is not None:
            self._answering.out += self._ahead.overdue(self._policy, now)
            self._drop_if_broken()

    # ------------------------------------------------------------ what was said

    def _hear(self, event: Spoken | Understood | Likely | WentOn, now: float) -> None:
        key = event.ask.utterance if isinstance(event, Likely) else event.utterance
        utterance = self._floor.hearing.find(key, now)
        if utterance is None:
            return
        if isinstance(event, WentOn):
            self._drop_ahead()
            return
        self._floor.hear(utterance, event, now)
        if not isinstance(event, Likely) or not self._answers:
            return
        is_turn = utterance.judge is None or utterance.judge.is_turn(event.ask.words)
        if is_turn and utterance.speculations < self._policy.speculations:
            utterance.speculations += self._foresee(event.ask, now)

    def _final(self, ask: Ask, now: float) -> None:
        utterance, is_turn = self._floor.end(ask.utterance, ask.words, now)
        self._tell_lost()
        ask = self._placed(ask, utterance)
        self._answering.emit(SpeechStoppedEvent(at_ms=ask.end_ms, id=ask.number))
        if not self._answers or (not is_turn and not ask.is_deliberate):
            self._drop_ahead()
            self._ask_again(now)  # first: who hears of no turn may leave
            self._answering.emit(endings.final(ask, turn_id=None))
        elif utterance is not None and utterance.is_late and self._answering.answer is not None:
            self._later.append(ask)
        else:
            self._ask(ask, now)

    def _placed(self, ask: Ask, utterance: Utterance | None) -> Ask:
        """Returns it with its number and its beginning, which ears that took over may not have heard."""
        if utterance is None:
            return replace(ask, number=self._floor.hearing.count())
        start_ms = utterance.start_ms
        return replace(ask, number=utterance.number, start_ms=start_ms, end_ms=max(start_ms, ask.end_ms))

    def _tell_lost(self) -> None:
        """Each onset has one final, also where the ears' word of it has not come."""
        lost, self._floor.hearing.lost = self._floor.hearing.lost, []
        for utterance in lost:
            self._end(
                Ask(text="", number=utterance.number, start_ms=utterance.start_ms, end_ms=utterance.start_ms)
            )

    def _end(self, nothing: Ask) -> None:
        """Tells the end of an utterance that is not answered."""
        self._answering.emit(SpeechStoppedEvent(at_ms=nothing.end_ms, id=nothing.number))
        self._answering.emit(endings.final(nothing, turn_id=None))

    def _ask(self, ask: Ask, now: float) -> None:
        """Begins the turn of a spoken question, with what was left unanswered before it."""
        self._floor.interrupt(now)
        finals, asked = [*self._later, ask], self._joined(ask)
        ahead, self._floor.unanswered, self._later = self._ahead, None, []
        if ahead is not None and ahead.foresaw(asked):
            self._ahead = None
            self._answering.out.append(Speculated(is_used=True))
            self._answering.adopt(ahead, asked, now, finals=finals)
        else:
            self._drop_ahead()
            self._answering.begin(asked, now, finals=finals)
        self._floor.give_way(now)
        self._floor.release(now)

    def _joined(self, ask: Ask) -> Ask:
        """Returns the question with the words that stand before it unanswered: one message of the person."""
        unanswered = self._floor.unanswered
        before = [*([unanswered[1]] if unanswered is not None else []), *self._later]
        return replace(ask, text=" ".join(part.words for part in [*before, ask]))

    def _nothing(self, event: HeardNothing, now: float) -> None:
        utterance, _ = self._floor.end(event.utterance, "", now)
        self._tell_lost()
        nothing = self._placed(Ask(text="", end_ms=event.end_ms), utterance)
        if event.code:
            failed = ErrorEvent(code=event.code, message=event.message, utterance=nothing.number)
            self._answering.emit(failed)
        if event.say is not None:
            self._answering.emit(SpeechStoppedEvent(at_ms=nothing.end_ms, id=nothing.number))
            self._command(event.say, now, finals=[nothing])
            return
        self._drop_ahead()
        if not event.is_failure:  # else the person will say it again
            self._ask_again(now)  # first: who hears of no turn may leave
        self._end(nothing)

    def _discard(self, key: UtteranceKey, now: float) -> None:
        if self._floor.hearing.discard(key):
            self._drop_ahead()
            self._floor.release(now)
            self._ask_again(now)

    def _ask_again(self, now: float) -> None:
        """What an answer was dropped for was nothing: the question stands."""
        unanswered = self._floor.unanswered
        is_free = self._answering.answer is None and self._floor.speaker(now) is None
        if unanswered is not None and is_free:
            self._floor.unanswered = None
            self._answering.begin(replace(unanswered[1], spoke_until=None, endpoint_ms=0.0), now)

    def _command(self, event: Ask | Say, now: float, *, finals: Sequence[Ask] = ()) -> None:
        """Begins a turn that was typed, or that is EVA's own: about ``finals``, which was no words."""
        self._drop_ahead()
        self._answering.interrupt("message", now)
        if isinstance(event, Ask):
            self._floor.give_up_unanswered()
        self._answering.begin(event, now, finals=finals)
        self._floor.give_way(now)

    def _halt(self, event: Halt, now: float) -> None:
        self._drop_ahead()
        self._answering.interrupt(event.reason, now, played_ms=event.played_ms)
        self._floor.give_up_unanswered()
        if event.reason == "closed":
            self._later = []

    # ------------------------------------------------------------ what is likely to have been said

    def _foresee(self, likely: Ask, now: float) -> bool:
        """Begins to answer what the person is likely to have asked; returns whether it could be begun."""
        if self._ahead is not None or self._answering.answer is not None or self._later:
            return False
        self._answering.turns += 1
        asked, turn_id = self._joined(likely), self.turn_id(self.turns)
        self._ahead = speculation.ahead(self.turns, turn_id, asked, self._policy, now)
        self._answering.out += progress.begin(self._ahead.answer, now)
        return True

    def _drop_if_broken(self) -> None:
        if self._ahead is not None and self._ahead.answer.broken is not None:
            self._drop_ahead()

    def _drop_ahead(self) -> None:
        """Nobody asked: nothing of the answer is ever known."""
        if self._ahead is not None:
            self._answering.out += [CancelWork(turn=self._ahead.answer.turn), Speculated(is_used=False)]
            self._ahead = None
