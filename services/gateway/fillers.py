"""When silence is bridged, and what with. Pure.

A filler comes ``filler_s`` after the person's turn, or after the results of functions that the model called,
if no segment of what they wait for is there; another one ``filler_again_s`` after the end of the last. It is
no part of the answer: its words are in no text, in no memory, and in nothing that was *heard*.
"""

from __future__ import annotations

from services.gateway.answer import AUDIBLE_LEVEL, Answer
from services.gateway.answer_parts import Segment
from services.gateway.chat_protocol import Filler
from services.gateway.clips import FILLER_SEGMENT, Clip
from services.gateway.turn_io import Action, Emit, EmitAudio, TurnPolicy


def due_at(answer: Answer, policy: TurnPolicy) -> float | None:
    """Returns when a filler is due; None: not as things are."""
    if not policy.filler_s or not answer.is_awaited:
        return None
    ends_at = answer.playout.ends_at
    silent_since = answer.waits_since if ends_at is None else max(answer.waits_since, ends_at)
    due = silent_since + policy.filler_s
    return due if answer.filled_until is None else max(due, answer.filled_until + policy.filler_again_s)


def fill(answer: Answer, clip: Clip | None, now: float) -> list[Action]:
    """Plays a filler; None: there is none, the next one is due as if there had been."""
    if clip is None:
        answer.filled_until = now
        return []
    answer.fillers += 1
    answer.filler_words = f"{answer.filler_words} {clip.text}".strip()
    chunks = clip.chunks_of(answer.turn, FILLER_SEGMENT)
    answer.playout.bridge(chunks, now)
    answer.filled_until = answer.playout.ends_at
    answer.has_sent = True
    if answer.marks.sound_at is None and any(chunk.level >= AUDIBLE_LEVEL for chunk in clip.chunks):
        answer.marks.sound_at = now
    return [
        Emit(event=Filler(turn_id=answer.turn_id, text=clip.text)),
        *(EmitAudio(turn=answer.turn, chunk=chunk) for chunk in chunks),
    ]


def append(answer: Answer, clip: Clip, now: float) -> None:
    """Puts a ready apology behind what was sent, as the answer's last segment; the unfinished is dropped.

    It is not to be remembered: only an echo of its words is known.
    """
    answer.playout.cut()
    number = len(answer.segments)
    language = answer.ask.language
    segment = Segment(clip.text, answer.attempt, now, language, answer.ask.voice, speed=1.0)
    segment.done = clip.done
    answer.segments.append(segment)
    answer.playout.open("")
    answer.filler_words = f"{answer.filler_words} {clip.text}".strip()
    for mark in ("segment_at", "chunk_at"):
        if getattr(answer.marks, mark) is None:
            setattr(answer.marks, mark, now)
    for chunk in clip.chunks_of(answer.turn, number):
        answer.playout.add(chunk)
    answer.playout.complete(number, clip.done.samples)
    answer.segments_expected = len(answer.segments)
