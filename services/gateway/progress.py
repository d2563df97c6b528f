"""How one answer gets on: what arrives of it, what is asked for again, when it is given up.

Pure; the functions change the ``Answer`` and return what is to be done.

An attempt that broke off is never begun from the front: segments that the voice has already been given
stand, and the next attempt continues behind them.
"""

from __future__ import annotations

from services.gateway import phrases
from services.gateway.answer import AUDIBLE_LEVEL, Answer, Due, Segment
from services.gateway.chat_protocol import SegmentEvent, Token
from services.gateway.turn_io import (
    Action,
    Ask,
    Emit,
    EmitAudio,
    Input,
    Say,
    Speak,
    Think,
    TurnPolicy,
    Undelivered,
)
from shared.messages import AudioChunk, Failed, MindDone, SegmentDone, Synthesize, TextDelta, Working

_SPEECHLESS = frozenset({"broker_lost", "busy", "tts_failed", "tts_stalled", "tts_unavailable"})
"""Failures that an apology could not be spoken through."""
APOLOGY_S = 8.0


def begin(answer: Answer, now: float) -> list[Action]:
    """Publishes the first work of a turn."""
    if isinstance(answer.ask, Ask):
        return [_think(answer, answer.ask, now)]
    return _speak_own(answer, answer.ask.text, now)


def advance(answer: Answer, event: Input, policy: TurnPolicy, now: float) -> list[Action]:
    """Takes what a worker sent for this turn; what is stale is ignored."""
    match event:
        case Working(stage="tts") | AudioChunk() | SegmentDone() | Failed(stage="tts") if (
            event.segment >= len(answer.segments)
        ):
            answer.early.append(event)
        case Working(stage="tts"):
            segment = _current(answer, event.segment, event.attempt, event.take)
            if segment is not None:
                segment.beat_at = now
        case AudioChunk():
            return _chunk(answer, event, policy, now)
        case SegmentDone():
            return _segment_done(answer, event, policy, now)
        case Failed(stage="tts"):
            if _current(answer, event.segment, event.attempt, event.take) is not None:
                return _retake(answer, event.segment, policy, now, reason=event.message)
        case Undelivered(code=code, message=message):
            answer.broken = (code, message)
        case Working() | TextDelta() | MindDone() | Synthesize() | Failed() if (
            event.attempt == answer.attempt
        ):
            return _mind(answer, event, policy, now)
        case _:
            pass
    return []


def overdue(answer: Answer, policy: TurnPolicy, now: float) -> list[Action]:
    """Deals with whoever has been silent for too long."""
    at, who, number = answer.due(policy)
    if at > now:
        return []
    match who:
        case Due.TURN:
            answer.broken = ("turn_timeout", f"no complete answer within {policy.turn_s:g} s")
        case Due.MIND_UNTAKEN:
            answer.broken = ("llm_unavailable", "no language model worker took the turn up")
        case Due.VOICE_UNTAKEN:
            answer.broken = ("tts_unavailable", "no voice worker took the segment up")
        case Due.MIND_STALLED:
            return _rethink(answer, policy, now, code="llm_stalled", reason="the worker fell silent")
        case _:  # the voice fell silent
            return _retake(answer, number, policy, now, reason="the worker fell silent", code="tts_stalled")
    return []


def apologise(answer: Answer, now: float) -> list[Action]:
    """Has the failure spoken, where it can be; returns nothing if the turn must end without."""
    failure, answer.broken = answer.broken, None
    if answer.failure is None:
        answer.failure = failure
        if (
            failure is not None
            and failure[0] not in _SPEECHLESS
            and answer.wants_audio
            and not answer.is_canary
        ):
            answer.attempt += 1  # fences off what the mind may still send
            answer.deadline = now + APOLOGY_S
            return _speak_own(answer, phrases.apology(answer.ask.language), now)
    return []


def _mind(
    answer: Answer,
    event: Working | TextDelta | MindDone | Synthesize | Failed,
    policy: TurnPolicy,
    now: float,
) -> list[Action]:
    answer.mind_beat_at = now
    match event:
        case TextDelta(text=text):
            if answer.marks.text_at is None:
                answer.marks.text_at = now
            at = len(answer.text)
            answer.text += text
            return [Emit(event=Token(turn_id=answer.turn_id, text=text, at=at))]
        case Synthesize(segment=number) if number == len(answer.segments):
            answer.open_segment(event, now)
            actions: list[Action] = [
                Emit(event=SegmentEvent(turn_id=answer.turn_id, segment=number, text=event.text))
            ]
            for message in [message for message in answer.early if message.segment == number]:
                actions += advance(answer, message, policy, now)
            return actions
        case MindDone():
            answer.mind = event
            answer.segments_expected = event.segments
            if not (event.segments if answer.wants_audio else answer.text.strip()):
                answer.broken = ("empty_answer", "the language model gave no answer")
        case Failed(code="expired"):
            answer.broken = ("turn_timeout", "the turn expired before a language model took it up")
        case Failed():
            return _rethink(answer, policy, now, code="llm_failed", reason=event.message)
        case _:
            pass
    return []


def _think(answer: Answer, ask: Ask, now: float) -> Think:
    answer.think_at, answer.mind_beat_at = now, None
    return Think(
        turn=answer.turn,
        attempt=answer.attempt,
        ask=ask,
        remaining_ms=_remaining_ms(answer, now),
        spoken=answer.said,
        first_segment=len(answer.segments),
    )


def _rethink(answer: Answer, policy: TurnPolicy, now: float, *, code: str, reason: str) -> list[Action]:
    if answer.attempt >= policy.attempts or not isinstance(answer.ask, Ask):
        answer.broken = (code, reason)
        return []
    answer.attempt += 1
    actions: list[Action] = [_think(answer, answer.ask, now)]
    if answer.text:
        answer.text = f"{answer.said} " if answer.said else ""
        actions.append(Emit(event=Token(turn_id=answer.turn_id, text=answer.text, at=0)))
    return actions


def _chunk(answer: Answer, chunk: AudioChunk, policy: TurnPolicy, now: float) -> list[Action]:
    segment = _current(answer, chunk.segment, chunk.attempt, chunk.take)
    if segment is None:
        return []
    segment.beat_at = answer.voice_at = now
    if answer.marks.chunk_at is None:
        answer.marks.chunk_at = now
    if not answer.playout.add(chunk):
        return _retake(answer, chunk.segment, policy, now, reason="a chunk was lost")
    return _play(answer, now)


def _segment_done(answer: Answer, done: SegmentDone, policy: TurnPolicy, now: float) -> list[Action]:
    segment = _current(answer, done.segment, done.attempt, done.take)
    if segment is None:
        return []
    answer.voice_at = now
    if not answer.playout.complete(done.segment, done.samples):
        return _retake(answer, done.segment, policy, now, reason="the last chunks were lost")
    segment.done = done
    return _play(answer, now)


def _play(answer: Answer, now: float) -> list[Action]:
    actions: list[Action] = []
    for chunk in answer.playout.take_playable(now):
        if chunk.level >= AUDIBLE_LEVEL and answer.marks.audible_at is None:
            answer.marks.audible_at = now
        actions.append(EmitAudio(turn=answer.turn, chunk=chunk))
        answer.has_sent = True
    return actions


def _retake(
    answer: Answer, number: int, policy: TurnPolicy, now: float, *, reason: str, code: str = "tts_failed"
) -> list[Action]:
    segment = answer.segments[number]
    if segment.take >= policy.attempts:
        answer.broken = (code, reason)
        return []
    segment.take += 1
    segment.beat_at, segment.published_at = None, now
    answer.repeats += 1
    return [_speak(answer, number, segment, now)]


def _speak_own(answer: Answer, text: str, now: float) -> list[Action]:
    """Adds a last segment of our own and publishes it."""
    ask = answer.ask
    number = len(answer.segments)
    speed = ask.speed if isinstance(ask, Say) else 1.0
    segment = Segment(text, answer.attempt, now, ask.language, ask.voice, speed)
    answer.segments.append(segment)
    answer.playout.open(text)
    answer.segments_expected = number + 1
    if answer.marks.segment_at is None:
        answer.marks.segment_at = now
    return [_speak(answer, number, segment, now)]


def _speak(answer: Answer, number: int, segment: Segment, now: float) -> Speak:
    return Speak(
        turn=answer.turn,
        attempt=segment.attempt,
        segment=number,
        take=segment.take,
        text=segment.text,
        remaining_ms=_remaining_ms(answer, now),
        language=segment.language,
        voice=segment.voice,
        speed=segment.speed,
    )


def _current(answer: Answer, number: int, attempt: int, take: int) -> Segment | None:
    """Returns the segment if the message speaks of its newest take and it is not finished."""
    if not 0 <= number < len(answer.segments):
        return None
    segment = answer.segments[number]
    is_current = segment.attempt == attempt and segment.take == take and segment.done is None
    return segment if is_current else None


def _remaining_ms(answer: Answer, now: float) -> int:
    return max(1, int(1000 * (answer.deadline - now)))
