"""Who has the floor while the person speaks into EVA's turn. Pure.

She gives way at the first sound: what is played is paused, and an answer that nothing was heard of waits.
Then an ``interruption.Judge`` decides whether she stops or goes on.
"""

from __future__ import annotations

import math

from services.gateway.answer import Answer
from services.gateway.answering import Answering, words_around
from services.gateway.backchannels import Words
from services.gateway.chat_protocol import BargeIn, SpeechStartedEvent
from services.gateway.hearing import Hearing, Utterance
from services.gateway.interruption import AT_LEAST_S, Judge, Verdict
from services.gateway.turn_io import (
    Ask,
    CutIn,
    Judged,
    Likely,
    Onset,
    Paused,
    Spoken,
    TurnPolicy,
    Understood,
    UtteranceKey,
)

CUT_IN_S = 2.0
"""Who goes on so soon after their last word was not done with their turn."""
ON_THE_WAY_S = 0.03
"""What a decision takes to the client, and a timer to ring on a busy machine: decided is what was told."""
ECHO_TAIL_S = 1.0
"""EVA's last words may come back so late: the client plays behind what was sent, and rooms ring."""


class Floor:
    """Holds, stops and resumes the answer in flight."""

    def __init__(self, answering: Answering, policy: TurnPolicy) -> None:
        self.barge_in = BargeIn()
        self.hearing = Hearing()
        self.unanswered: tuple[int, Ask] | None = None
        """A turn and its question that waits for what the person says behind it."""
        self.silent_since = -math.inf
        """When EVA's last sound ended."""
        self._answering, self._policy = answering, policy
        self._last_words: Words = ()
        self._hears_herself = False

    def speaker(self, now: float) -> Utterance | None:
        """Returns what the person is saying; None once nothing was told of it for long."""
        return self.hearing.live(now, self._policy.hold_s)

    def begin(self, event: Onset, now: float) -> None:
        """The person begins to speak."""
        began_at = now if event.began_at is None else min(now, event.began_at)
        begun = self.hearing.begin(event.utterance, began_at, now, start_ms=event.at_ms)
        if begun is None:
            return
        self._answering.emit(SpeechStartedEvent(at_ms=event.at_ms, id=begun.number))
        answer = self._answering.answer
        if answer is not None and self.barge_in.mode == "immediate":
            self._cut(begun, answer, now)
        elif self.give_way(now) and event.began_at is not None:
            self._answering.out.append(Paused(after_s=now - began_at))

    def give_way(self, now: float) -> bool:
        """Holds the answer for somebody who speaks; returns whether the client was told to pause."""
        utterance, answer = self.speaker(now), self._answering.answer
        if utterance is None:
            return False
        if answer is None:
            self._mind_the_tail(utterance, now)
            return False
        mode = self.barge_in.mode
        utterance.is_late = mode == "off" or (mode == "half_duplex" and answer.has_sent)
        decide_s = self.barge_in.decide_ms / 1000 - ON_THE_WAY_S
        decide_at = max(utterance.began_at + decide_s, now + AT_LEAST_S)
        utterance.judge = Judge(
            barge_in=self.barge_in,
            turn=answer.turn,
            due_at=decide_at if answer.has_sent else now + self._policy.hold_s,
            is_audible=answer.has_sent,
            is_asked=answer.is_asking(now),
            hears_herself=self._hears_herself,
            said=words_around(answer, now),
        )
        return not utterance.is_late and self._answering.hold(now)

    def hear(self, utterance: Utterance, event: Spoken | Understood | Likely, now: float) -> None:
        """Takes what is known of somebody who speaks."""
        judge = utterance.judge
        if judge is None or utterance.is_late:
            return
        self._overhear(judge, now)
        match event:
            case Spoken(speech_ms=speech_ms, silence_ms=silence_ms):
                verdict = judge.progress(speech_ms, silence_ms)
            case Understood(text=text):
                verdict = judge.words(text, is_settled=False)
            case _:
                verdict = judge.words(event.ask.words, is_settled=True)
        self._rule(utterance, verdict, now)

    def end(self, key: UtteranceKey, text: str, now: float) -> tuple[Utterance | None, bool]:
        """The utterance is over.

        Returns:
            It, where it is known, and whether it is to be answered: it is unless it was only a sign of
            listening, an echo or noise.
        """
        utterance = self.hearing.end(key, now)
        if utterance is None or utterance.judge is None:
            return utterance, True
        judge = utterance.judge
        self._overhear(judge, now)
        verdict = judge.words(text, is_settled=True)
        if not utterance.is_late:
            self._rule(utterance, verdict, now)
        return utterance, judge.is_turn(text)

    def tick(self, now: float) -> None:
        """Decides what is due."""
        for utterance, judge in self.hearing.undecided:
            self._rule(utterance, judge.overdue(now), now)

    def settle(self, before: Answer | None, now: float) -> None:
        """After each input: notes the end of what was spoken; nothing stays held for nobody."""
        if before is not None and before.has_sent and self._answering.answer is not before:
            self._last_words, self.silent_since = words_around(before, now), now
        self.release(now)

    def release(self, now: float) -> None:
        """Lets an answer go on that is held for nobody."""
        answer = self._answering.answer
        if answer is not None and answer.playout.is_held and not self.hearing.undecided:
            self._answering.resume("noise", now)

    def interrupt(self, now: float) -> None:
        """The person takes the floor; a question that not a word was heard in answer to stays open."""
        self.unanswered = self._answering.interrupt("speech", now) or self.unanswered

    def give_up_unanswered(self) -> None:
        """The open question will not be answered; it is remembered as such."""
        if self.unanswered is not None:
            self._answering.remember(*self.unanswered)
            self.unanswered = None

    def _rule(self, utterance: Utterance, verdict: Verdict | None, now: float) -> None:
        """Does what a judge has decided, if the answer in question is still in flight."""
        answer, judge = self._answering.answer, utterance.judge
        self._hears_herself |= verdict == "echo"
        if verdict is None or judge is None or answer is None or answer.turn != judge.turn:
            return
        self._answering.out.append(Judged(verdict=verdict, after_s=max(0.0, now - utterance.began_at)))
        if verdict == "interruption":
            self._cut(utterance, answer, now)
        elif not self.hearing.undecided:
            self._answering.resume(verdict, now)

    def _cut(self, utterance: Utterance, answer: Answer, now: float) -> None:
        spoke_until = answer.ask.spoke_until if isinstance(answer.ask, Ask) else None
        if spoke_until is not None and utterance.began_at - spoke_until <= CUT_IN_S:
            self._answering.out.append(CutIn())
        self.interrupt(now)

    def _overhear(self, judge: Judge, now: float) -> None:
        """Tells the judge what EVA has said by now."""
        answer = self._answering.answer
        if answer is not None and answer.turn == judge.turn:
            judge.said = words_around(answer, now)

    def _mind_the_tail(self, utterance: Utterance, now: float) -> None:
        """Somebody who speaks right behind EVA's last word is answered, unless it is her echo."""
        if utterance.judge is None and now - self.silent_since <= ECHO_TAIL_S:
            utterance.is_late = True
            utterance.judge = Judge(
                barge_in=self.barge_in, turn=0, due_at=math.inf, is_audible=False, is_asked=True,
                said=self._last_words,
            )  # fmt: skip
