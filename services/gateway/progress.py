"""How one answer gets on: what arrives of it, what is asked for again, when it is given up.

Pure; the functions change the ``Answer`` and return what is to be done. An attempt that broke off is never
begun from the front: segments that the voice has already been given stand, and the next attempt continues
behind them.
"""

from __future__ import annotations

from services.gateway import fillers, phrases
from services.gateway.answer import AUDIBLE_LEVEL, Answer
from services.gateway.answer_parts import Due, Segment
from services.gateway.asking import bridge, speak, speak_own, tell_call, tell_cues, think, write
from services.gateway.chat_protocol import SegmentEvent, Token
from services.gateway.clips import Clips
from services.gateway.tool_rounds import behind
from services.gateway.turn_io import (
    Action,
    Ask,
    Emit,
    EmitAudio,
    Input,
    TurnPolicy,
    Undelivered,
)
from shared.messages import (
    AudioChunk,
    Failed,
    MindDone,
    SegmentDone,
    Synthesize,
    TextDelta,
    Timing,
    ToolCall,
    Working,
)

_SPEECHLESS = frozenset({"broker_lost", "busy", "tts_failed", "tts_stalled", "tts_unavailable"})
"""Failures that an apology could not be spoken through."""
APOLOGY_S = 8.0


def begin(answer: Answer, now: float) -> list[Action]:
    """Publishes the first work of a turn."""
    answer.waits_since = now
    if isinstance(answer.ask, Ask):
        return [think(answer, answer.ask, now)]
    return speak_own(answer, answer.ask.text, now)


def advance(answer: Answer, event: Input, policy: TurnPolicy, now: float) -> list[Action]:
    """Takes what a worker sent for this turn; what is stale is ignored."""
    match event:
        case Working(stage="tts") | AudioChunk() | Timing() | SegmentDone() | Failed(stage="tts") if (
            event.segment >= len(answer.segments)
        ):
            answer.early.append(event)
        case Working(stage="tts"):
            segment = _current(answer, event.segment, event.attempt, event.take)
            if segment is not None:
                segment.beat_at = now
        case Timing():
            if _current(answer, event.segment, event.attempt, event.take) is not None:
                answer.playout.time(event)
        case AudioChunk():
            return _chunk(answer, event, policy, now)
        case SegmentDone():
            return _segment_done(answer, event, policy, now)
        case Failed(stage="tts"):
            if _current(answer, event.segment, event.attempt, event.take) is not None:
                return _retake(answer, event.segment, policy, now, reason=event.message)
        case Undelivered(code=code, message=message):
            answer.broken = (code, message)
        case Working() | TextDelta() | ToolCall() | MindDone() | Synthesize() | Failed() if (
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
        case Due.MIND_SLOW:
            within = f"within {answer.first_s:g} s"
            answer.broken = (
                ("llm_unavailable", f"no language model worker took the turn up {within}")
                if answer.mind_beat_at is None
                else ("llm_slow", f"the language model gave no words to say {within}")
            )
        case Due.TOOL_SLOW:
            return bridge(answer, now)
        case Due.TOOL_LOST if answer.rounds.give_up():
            return go_on(answer, now)
        case Due.TOOL_LOST:
            answer.broken = ("tool_timeout", f"a function gave no result within {policy.tool_s:g} s")
        case _:  # the voice fell silent
            return _retake(answer, number, policy, now, reason="the worker fell silent", code="tts_stalled")
    return []


def apologise(answer: Answer, clips: Clips, now: float) -> list[Action] | None:
    """Has the failure spoken, where it can be: the turn ends with the last sound of that.

    An apology that is ready needs no voice. Returns None if the turn must end without.
    """
    failure, answer.broken = answer.broken, None
    answer.rounds.drop()
    if answer.failure is not None:
        return None
    answer.failure = failure
    if failure is None or not answer.wants_audio or answer.is_canary:
        return None
    answer.attempt += 1  # fences off what the mind may still send
    answer.deadline = now + APOLOGY_S
    clip = clips.apology(answer.ask.language, answer.ask.voice)
    if clip is not None:
        fillers.append(answer, clip, now)
        return play(answer, now)
    if failure[0] in _SPEECHLESS:
        return None
    return speak_own(answer, phrases.apology(answer.ask.language), now)


def _mind(
    answer: Answer,
    event: Working | TextDelta | ToolCall | MindDone | Synthesize | Failed,
    policy: TurnPolicy,
    now: float,
) -> list[Action]:
    answer.mind_beat_at = now
    match event:
        case TextDelta(text=text, takes_back=takes_back):
            if answer.marks.text_at is None:
                answer.marks.text_at = now
            answer.text = answer.text[: max(0, len(answer.text) - takes_back)]
            return [write(answer, text, is_first=answer.rounds.begins_at(len(answer.text)))]
        case ToolCall(call=call):
            answer.rounds.tell(event)
            return [tell_call(answer, call, by="server")] if event.by == "server" else []
        case Synthesize(segment=number) if number == len(answer.segments):
            answer.open_segment(event, now)
            actions: list[Action] = [
                Emit(
                    event=SegmentEvent(
                        turn_id=answer.turn_id, segment=number, text=event.text, mood=event.mood
                    )
                )
            ]
            for message in [message for message in answer.early if message.segment == number]:
                actions += advance(answer, message, policy, now)
            return actions + go_on(answer, now)
        case MindDone():
            return _mind_done(answer, event, policy, now)
        case Failed(code="expired"):
            answer.broken = ("turn_timeout", "the turn expired before a language model took it up")
        case Failed(code="needs_tools") if answer.rounds.is_ahead:
            answer.broken = ("needs_tools", event.message)
        case Failed() | Working() if reason := _broken_off(answer, event):
            return _rethink(answer, policy, now, code="llm_failed", reason=reason)
        case _:
            pass
    return []


def _broken_off(answer: Answer, event: Failed | Working) -> str:
    """Returns why the attempt is over; "": it is not, or was over in good order.

    A copy that went past the queue may meet the other one (``shared.bus.rush``): two would speak at once.
    """
    if (answer.mind and answer.segments_expected is not None) or answer.rounds.is_waiting:
        return ""
    if isinstance(event, Failed):
        return event.message or event.code
    answer.mind_worker = answer.mind_worker or event.worker
    return "" if answer.mind_worker == event.worker else "two workers had the turn"


def _mind_done(answer: Answer, done: MindDone, policy: TurnPolicy, now: float) -> list[Action]:
    if answer.rounds.is_waiting:
        return []
    answer.mind = behind(answer.mind, done)
    if done.tool_calls != len(answer.rounds.calls):
        return _rethink(answer, policy, now, code="llm_failed", reason="a call was lost on the way")
    if done.tool_calls and answer.hands_over:
        answer.calls, answer.segments_expected = done.tool_calls, done.segments
        return [tell_call(answer, call, by="client") for call in answer.rounds.calls.values()]
    if done.tool_calls:
        return [tell_call(answer, call, by="client") for call in answer.rounds.wait(done, now)]
    answer.segments_expected = done.segments
    if not (answer.before or (done.segments if answer.wants_audio else answer.text.strip())):
        answer.broken = ("empty_answer", "the language model gave no answer")
    return []


def go_on(answer: Answer, now: float) -> list[Action]:
    """Asks the mind again if all that it called has come back."""
    rounds, ask = answer.rounds, answer.ask
    has_come = rounds.is_answered and (len(answer.segments) >= rounds.segments or not answer.wants_audio)
    if not has_come or not isinstance(ask, Ask):
        return []
    said = answer.said_in_round if answer.wants_audio else answer.text[rounds.text_at :].strip()
    rounds.close(said, segments=len(answer.segments), chars=len(answer.text))
    answer.attempt += 1
    answer.waits_since = now
    return [think(answer, ask, now)]


def _rethink(answer: Answer, policy: TurnPolicy, now: float, *, code: str, reason: str) -> list[Action]:
    if answer.attempt - answer.rounds.count >= policy.attempts or not isinstance(answer.ask, Ask):
        answer.broken = (code, reason)
        return []
    answer.rounds.drop()
    answer.segments_expected = None
    answer.attempt += 1
    actions: list[Action] = [think(answer, answer.ask, now)]
    if answer.text:
        answer.text = f"{answer.said} " if answer.said else answer.text[: answer.rounds.text_at]
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
    return play(answer, now)


def _segment_done(answer: Answer, done: SegmentDone, policy: TurnPolicy, now: float) -> list[Action]:
    segment = _current(answer, done.segment, done.attempt, done.take)
    if segment is None:
        return []
    answer.voice_at = now
    if not answer.playout.complete(done.segment, done.samples):
        return _retake(answer, done.segment, policy, now, reason="the last chunks were lost")
    segment.done = done
    return play(answer, now)


def play(answer: Answer, now: float) -> list[Action]:
    """Sends the sound that is ready, unless the playback is held."""
    chunks = answer.playout.take_playable(now)
    for chunk in chunks:
        if chunk.level >= AUDIBLE_LEVEL and answer.marks.audible_at is None:
            answer.marks.audible_at = now
            answer.marks.sound_at = answer.marks.sound_at or now
        answer.has_sent = True
    return sound(answer, chunks)


def sound(answer: Answer, chunks: list[AudioChunk]) -> list[Action]:
    """Sends chunks, each behind what is told of it."""
    actions: list[Action] = []
    cues = answer.playout.cues(chunks)
    for chunk in chunks:
        if chunk.segment in cues:
            actions += tell_cues(answer, chunk.segment, cues.pop(chunk.segment))
        actions.append(EmitAudio(turn=answer.turn, chunk=chunk))
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
    return [speak(answer, number, segment, now)]


def _current(answer: Answer, number: int, attempt: int, take: int) -> Segment | None:
    """Returns the segment if the message speaks of its newest take and it is not finished."""
    if not 0 <= number < len(answer.segments):
        return None
    segment = answer.segments[number]
    is_current = segment.attempt == attempt and segment.take == take and segment.done is None
    return segment if is_current else None
