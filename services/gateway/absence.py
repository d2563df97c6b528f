"""A client that is lost in the middle of an answer, and what of it goes on where. Pure.

While nobody is there the playback stands still and the answer goes on being made. Who comes back to the same
gateway is sent the rest of the sound from the sample on that was not heard; another gateway is told what was
heard and what is known of the rest, and has that said. An answer that has called functions is not carried on
elsewhere until the model is done: they would be run twice.
"""

from __future__ import annotations

from services.gateway import progress
from services.gateway.answer import Answer
from services.gateway.answer_parts import Marks, Segment
from services.gateway.answering import Answering
from services.gateway.asking import speak, tell_call
from services.gateway.chat_protocol import OngoingTurn, SegmentEvent
from services.gateway.turn import TurnMachine
from services.gateway.turn_io import (
    Action,
    Ask,
    Back,
    CloseAudio,
    Emit,
    Forget,
    GoesOn,
    Gone,
    Halt,
    Input,
    Parted,
    Pend,
    TakenUp,
    TurnPolicy,
)
from shared.messages import Pending, Rest


class LastingTurns(TurnMachine):
    """Turns of a session that outlives its client's connection."""

    def handle(self, event: Input, now: float) -> list[Action]:
        """Takes one input; a question is stored as soon as it is asked, for this gateway may be lost."""
        before = self._answering.answer
        actions = super().handle(event, now)
        answer = self._answering.answer
        if answer is not None and answer is not before:
            pending = event.pending if isinstance(event, TakenUp) else pending_of(answer, now)
            actions += [Pend(pending=pending)] if pending is not None else []
        return actions

    def _take(self, event: Input, now: float) -> None:
        match event:
            case Gone():
                leave(self._answering, event, now)
            case Back():
                come_back(self._answering, event, now)
            case Parted():
                if not part(self._answering, event, now):
                    super()._take(Halt(reason="closed"), now)
                    return
                self._drop_ahead()
            case TakenUp():
                take_up(self._answering, event, self._policy, now)
            case _:
                super()._take(event, now)


def leave(answering: Answering, event: Gone, now: float) -> None:
    """The playback stands still where it is believed to be: what had not left was not heard."""
    answer, answering.is_away = answering.answer, True
    if answer is None:
        return
    playout = answer.playout
    left_ms = max(0.0, playout.sent_ms - event.unsent_ms)
    playout.report(min(playout.played_ms(now), left_ms), now)
    playout.hold(now)
    answer.is_paused = False


def come_back(answering: Answering, event: Back, now: float) -> None:
    """Sends again what was not heard, and goes on."""
    answer, answering.is_away = answering.answer, False
    if answer is None:
        return
    playout = answer.playout
    has_ms = event.ms if event.turn_id == answer.turn_id else None
    from_ms, chunks = playout.rewind(playout.played_ms(now) if has_ms is None else has_ms, now)
    answering.out.append(GoesOn(turn=ongoing(answer, from_ms)))
    answering.out += [tell_call(answer, call, by="client") for call in answer.rounds.awaited]
    for number, text in enumerate(playout.unheard(now)):
        if text:
            segment = answer.segments[number]
            answering.out.append(_told(answer, number, segment))
    answering.out += progress.sound(answer, chunks)
    playout.release(now)
    answering.out += progress.play(answer, now)
    if answer.is_over and answer.last_word is not None:
        answering.out += [CloseAudio(turn=answer.turn), Emit(event=answer.last_word)]
        answering.rest(answer, now)
    else:
        answering.settle(answer, now)


def part(answering: Answering, event: Parted, now: float) -> bool:
    """Stores what another gateway needs to go on with the answer in flight; False: there is none such."""
    answer = answering.answer
    if answer is None:
        return False
    if event.ms is not None and event.turn_id == answer.turn_id:
        answer.playout.report(max(0.0, event.ms), now)
    pending = pending_of(answer, now)
    if pending is None:
        return False
    if answer.is_over:
        answering.out.append(Forget(turn=answer.turn))  # it is remembered where it ends
    answering.interrupt("closed", now, forgets=True)
    answering.out.append(Pend(pending=pending))
    return True


def pending_of(answer: Answer, now: float) -> Pending | None:
    """Returns what there is of an answer and what is missing; None: nobody can go on with it."""
    ask, rounds = answer.ask, answer.rounds
    if not isinstance(ask, Ask) or ask.text is None or ask.is_canary or answer.failure is not None:
        return None
    expected = answer.segments_expected
    is_whole = expected is not None and (len(answer.segments) >= expected or not answer.wants_audio)
    if not is_whole and (rounds.count or rounds.own or rounds.calls):
        return None
    rest = [
        Rest(text=text, language=it.language, voice=it.voice, speed=it.speed, mood=it.mood)
        for text, it in zip(answer.playout.unheard(now), answer.segments, strict=True)
        if text
    ]
    if is_whole and not rest:
        return None
    return Pending(
        turn=answer.turn,
        question=ask.words,
        is_spoken=ask.is_spoken,
        wants_audio=ask.wants_audio,
        language=ask.language,
        voice=ask.voice,
        heard=answer.heard(now),
        heard_ms=answer.playout.played_ms(now),
        rest=rest,
        is_whole=is_whole,
    )


def take_up(answering: Answering, event: TakenUp, policy: TurnPolicy, now: float) -> None:
    """Goes on with an answer that was begun elsewhere, behind what was heard of it."""
    pending, ask = event.pending, event.ask
    answering.turns = pending.turn
    turn_id = answering.turn_id(pending.turn)
    marks = Marks(now)
    answer = Answer(pending.turn, turn_id, ask, now + policy.turn_s, marks, think_at=now, voice_at=now)
    answer.waits_since, answer.first_s, answer.before = now, policy.apology_s, pending.heard
    answer.playout.skip(pending.heard_ms, now)
    answering.answer = answer
    texts = [pending.heard, *(rest.text for rest in pending.rest)]
    answer.text = "".join(f"{text} " for text in texts if text)
    answering.out.append(GoesOn(turn=ongoing(answer, pending.heard_ms)))
    if ask.wants_audio:
        for rest in pending.rest:
            _say(answering, answer, rest, now)
    if pending.is_whole:
        answer.segments_expected = len(answer.segments)
        answering.settle(answer, now)
    else:
        answering.out += progress.begin(answer, now)


def ongoing(answer: Answer, from_ms: float) -> OngoingTurn:
    """Returns what a client that comes back is told of a turn."""
    return OngoingTurn(
        turn_id=answer.turn_id,
        is_spoken=answer.is_spoken,
        question=answer.ask.words if isinstance(answer.ask, Ask) else "",
        text=answer.text,
        from_ms=round(from_ms, 3),
        is_over=answer.is_over,
    )


def _say(answering: Answering, answer: Answer, rest: Rest, now: float) -> None:
    number = len(answer.segments)
    segment = Segment(rest.text, answer.attempt, now, rest.language, rest.voice, rest.speed, mood=rest.mood)
    answer.segments.append(segment)
    answer.playout.open(rest.text)
    answer.marks.segment_at = answer.marks.segment_at or now
    answering.out += [_told(answer, number, segment), speak(answer, number, segment, now)]


def _told(answer: Answer, number: int, segment: Segment) -> Emit:
    event = SegmentEvent(turn_id=answer.turn_id, segment=number, text=segment.text, mood=segment.mood)
    return Emit(event=event)
