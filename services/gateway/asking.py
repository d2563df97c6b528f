"""What the mind and the voice are asked for in one answer, and what the client is told of it. Pure."""

from __future__ import annotations

from typing import Literal, get_args

from services.gateway import phrases
from services.gateway.answer import Answer
from services.gateway.answer_parts import Segment
from services.gateway.chat_protocol import (
    MouthShape,
    SegmentEvent,
    SpokenWord,
    Token,
    ToolCallEvent,
    Viseme,
    VisemesEvent,
    WordsEvent,
)
from services.gateway.cues import Cues
from services.gateway.turn_io import Action, Ask, Emit, Say, Speak, Think
from shared.messages import ToolUse

_VISEMES = frozenset(get_args(Viseme))


def think(answer: Answer, ask: Ask, now: float) -> Think:
    """Asks the mind for the answer, or for what is missing of it."""
    answer.think_at, answer.mind_beat_at, answer.mind_worker = now, None, ""
    return Think(
        turn=answer.turn,
        attempt=answer.attempt,
        ask=ask,
        remaining_ms=_remaining_ms(answer, now),
        spoken=answer.said_in_round,
        first_segment=len(answer.segments),
        rounds=answer.rounds.told(),
        offers_tools=answer.rounds.may_call,
        is_speculative=answer.rounds.is_ahead,
        first_ms=_first_ms(answer, ask, now),
    )


def speak_own(answer: Answer, text: str, now: float) -> list[Action]:
    """Adds a last segment of our own and publishes it."""
    told = SegmentEvent(turn_id=answer.turn_id, segment=len(answer.segments), text=text)
    speak = _own_segment(answer, text, answer.ask.language, now)
    answer.segments_expected = len(answer.segments)
    return [Emit(event=told), speak]


def _own_segment(answer: Answer, text: str, language: str, now: float) -> Speak:
    ask = answer.ask
    speed, mood = (ask.speed, ask.mood) if isinstance(ask, Say) else (ask.wish.speed, "")
    segment = Segment(text, answer.attempt, now, language, ask.voice, speed, mood=mood)
    answer.segments.append(segment)
    answer.playout.open(text)
    if answer.marks.segment_at is None:
        answer.marks.segment_at = now
    return speak(answer, len(answer.segments) - 1, segment, now)


def speak(answer: Answer, number: int, segment: Segment, now: float) -> Speak:
    """Asks the voice for a segment."""
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
        mood=segment.mood,
    )


def bridge(answer: Answer, now: float) -> list[Action]:
    """Asks for a moment while a function is waited for; the answer goes on behind it."""
    answer.rounds.has_bridged = True
    language = answer.segments[-1].language if answer.segments else answer.ask.language
    text, number = phrases.one_moment(language), len(answer.segments)
    event = SegmentEvent(turn_id=answer.turn_id, segment=number, text=text)
    return [
        write(answer, text, is_first=True),
        Emit(event=event),
        _own_segment(answer, text, language, now),
    ]


def write(answer: Answer, text: str, *, is_first: bool) -> Emit:
    """Adds to the answer's text; what is the first of its kind is set off from what stands before it."""
    at = len(answer.text)
    if is_first and text and answer.text and not answer.text[-1].isspace():
        text = f" {text.lstrip()}"
    answer.text += text
    return Emit(event=Token(turn_id=answer.turn_id, text=text, at=at))


def tell_call(answer: Answer, call: ToolUse, *, by: Literal["client", "server"]) -> Emit:
    """Tells the client of a call."""
    event = ToolCallEvent(
        turn_id=answer.turn_id, call_id=call.id, name=call.name, arguments=call.arguments, by=by
    )
    return Emit(event=event)


def tell_cues(answer: Answer, number: int, cues: Cues) -> list[Action]:
    """Tells the client when what is heard of the sound that follows."""
    turn_id, text = answer.turn_id, answer.playout.text(number)
    words = [
        SpokenWord(
            text=text[cue.begin : cue.end],
            begin=cue.begin,
            end=cue.end,
            start_ms=round(cue.start_ms, 1),
            end_ms=round(cue.end_ms, 1),
        )
        for cue in cues.words
    ]
    shapes = [
        MouthShape(viseme=cue.viseme, start_ms=round(cue.start_ms, 1))  # type: ignore[arg-type] # is one
        for cue in cues.visemes
        if cue.viseme in _VISEMES
    ]
    actions: list[Action] = []
    if words:
        is_estimated = cues.are_words_estimated
        event = WordsEvent(turn_id=turn_id, segment=number, words=words, is_estimated=is_estimated)
        actions.append(Emit(event=event))
    if shapes:
        is_estimated = cues.are_visemes_estimated
        seen = VisemesEvent(turn_id=turn_id, segment=number, visemes=shapes, is_estimated=is_estimated)
        actions.append(Emit(event=seen))
    return actions


def _first_ms(answer: Answer, ask: Ask, now: float) -> int:
    """Returns how long a first segment is waited for; 0: no such bound."""
    has_spoken = len(answer.segments) > answer.rounds.segment_at
    if not answer.first_s or not ask.wants_audio or ask.is_canary or has_spoken:
        return 0
    return max(1, int(1000 * (answer.waits_since + answer.first_s - now)))


def _remaining_ms(answer: Answer, now: float) -> int:
    return max(1, int(1000 * (answer.deadline - now)))
