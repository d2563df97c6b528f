"""A turn as spans: what comes before and behind the mind and the voice, from its timeline."""

from __future__ import annotations

import pytest

from services.gateway.chat_protocol import EngineReport, Timeline
from services.gateway.turn_io import Outcome, TurnReport
from services.gateway.turn_spans import turn_spans
from shared.trace import Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ENDED_S = 1000.0
LINE = Timeline(
    endpoint_ms=400, stt_ms=100, llm_ms=200, tts_ms=150, send_ms=50, response_ms=900, total_ms=2000,
    first_sound_ms=900, attempts=1,
)  # fmt: skip


def spans(*, outcome: Outcome = "completed", code: str = "", **fields: object) -> dict[str, Span]:
    known: dict[str, object] = {
        "is_spoken": True, "is_canary": False, "wanted_audio": True, "has_audio": True, "timeline": LINE,
        "engines": {"stt": EngineReport(engine="whisper", model="tiny", device="cpu")},
    }  # fmt: skip
    report = TurnReport(outcome=outcome, code=code, trace_id=TRACE, **{**known, **fields})  # type: ignore[arg-type]
    return {span.name: span for span in turn_spans(report, ended_s=ENDED_S)}


def test_a_spoken_turn_is_the_root_of_its_endpoint_ears_and_sending_in_their_order() -> None:
    told = spans()
    turn, endpoint, ears, send = (told[name] for name in ("turn", "endpoint", "stt", "send"))
    assert (turn.parent_id, turn.context.span_id) == ("", TRACE[16:])
    assert {span.parent_id for span in (endpoint, ears, send)} == {turn.context.span_id}
    assert {span.context.trace_id for span in told.values()} == {TRACE}
    assert len({span.context.span_id for span in told.values()}) == 4
    times = [(span.began_s, span.ended_s) for span in (turn, endpoint, ears, send)]
    assert times == [
        pytest.approx((997.5, 1000)), pytest.approx((997.5, 997.9)), pytest.approx((997.9, 998)),
        pytest.approx((998.35, 998.4)),
    ]  # fmt: skip
    assert send.ended_s - turn.began_s == pytest.approx(LINE.response_ms / 1000)
    assert ears.attributes["eva.engine"] == "whisper"


def test_a_typed_turn_has_no_ears_and_a_mute_one_sends_nothing() -> None:
    assert set(spans(is_spoken=False)) == {"turn", "send"}
    assert set(spans(is_spoken=False, has_audio=False)) == {"turn"}
    assert "eva.engine" not in spans(engines={})["stt"].attributes


def test_a_failure_is_told_by_its_code_and_an_interruption_is_none() -> None:
    assert spans(outcome="failed", code="llm_failed")["turn"].error == "llm_failed"
    interrupted = spans(outcome="interrupted", code="speech")["turn"]
    assert (interrupted.error, interrupted.attributes["eva.outcome"]) == ("", "interrupted")
