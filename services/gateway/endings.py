"""How a turn ended, as its client and the metrics are told. Pure."""

from __future__ import annotations

from services.gateway.answer import Answer
from services.gateway.chat_protocol import ErrorEvent, FinalEvent, Interrupted, TurnDone
from services.gateway.turn_io import Ask, InterruptReason, Outcome, TurnReport


def done(answer: Answer, text: str, now: float) -> TurnDone:
    """The whole answer was sent."""
    return TurnDone(
        turn_id=answer.turn_id,
        text=text,
        has_audio=answer.has_audio,
        timeline=answer.timeline(now),
        engines=answer.engines(),
        route=answer.route(),
        usage=answer.usage(),
        calls=answer.calls,
        is_cut_short=answer.mind is not None and answer.mind.is_cut_short,
    )


def failed(answer: Answer, code: str, message: str) -> ErrorEvent:
    """No whole answer can be made."""
    text = answer.text.strip()
    return ErrorEvent(code=code, message=message, turn_id=answer.turn_id, text=text, usage=answer.usage())


def interrupted(answer: Answer, reason: InterruptReason, heard: str, now: float) -> Interrupted:
    """It was stopped."""
    return Interrupted(
        turn_id=answer.turn_id,
        reason=reason,
        heard=heard,
        timeline=answer.timeline(now),
        usage=answer.usage(),
    )


def final(ask: Ask, *, turn_id: str | None) -> FinalEvent:
    """What was said, and the turn that answers it."""
    return FinalEvent(
        text=ask.words,
        language=ask.language,
        turn_id=turn_id,
        id=ask.number,
        start_ms=ask.start_ms,
        end_ms=ask.end_ms,
    )


def report(answer: Answer, outcome: Outcome, code: str, now: float) -> TurnReport:
    """Without a word of what was said."""
    return TurnReport(
        outcome=outcome,
        code=code,
        is_spoken=answer.is_spoken,
        is_canary=answer.is_canary,
        wanted_audio=answer.wants_audio,
        has_audio=answer.has_audio,
        timeline=answer.timeline(now),
        engines=answer.engines(),
        route=answer.route(),
        turn=answer.turn,
    )
