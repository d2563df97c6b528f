"""However a turn goes: what its stages took adds up to its response."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.metrics import Metrics
from services.gateway.turn import TurnMachine
from services.gateway.turn_io import Action, Input, TurnPolicy, TurnReport
from shared.messages import Failed, Working
from tests.gateway.dialogue import Dialogue
from tests.gateway.test_turn_properties import run_out, steps

STAGES = ("endpoint", "stt", "llm", "tts", "send")
waits = st.floats(0, 1.2)
TOLERANCE_MS = 1.0


def heard(actions: list[Action]) -> list[TurnReport]:
    """Reports of the turns whose response counts."""
    reports = [action for action in actions if isinstance(action, TurnReport)]
    return [one for one in reports if one.outcome == "completed" and one.has_audio]


def check(report: TurnReport) -> None:
    timeline = report.timeline
    parts = [getattr(timeline, f"{stage}_ms") for stage in STAGES]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(timeline.response_ms, abs=TOLERANCE_MS)


@given(steps)
def test_whatever_comes_in_whatever_order_the_stages_add_up_to_the_response(
    story: list[tuple[float, Input]],
) -> None:
    machine, now, actions = TurnMachine("S", TurnPolicy()), 0.0, []
    for wait, event in story:
        now += wait
        actions += machine.handle(event, now)
    actions += run_out(machine, now)[0]
    for report in heard(actions):
        check(report)


@st.composite
def dialogues(draw: st.DrawFn) -> Dialogue:
    """One or two turns, typed or spoken, answered ahead or at the second attempt, with silence first."""
    dialogue = Dialogue(TurnPolicy(apology_s=0, filler_s=draw(st.sampled_from([0.0, 0.3]))))
    for number in range(1, draw(st.integers(1, 2)) + 1):
        ask(draw, dialogue, number)
        dialogue.wait(draw(waits))
        attempt = draw(st.integers(1, 2))
        if attempt == 2:
            dialogue.put(failure(dialogue))
            dialogue.wait(draw(waits))
        count = draw(st.integers(1, 2))
        dialogue.mind_says(*[f"word {segment}" for segment in range(count)], attempt=attempt)
        for segment in range(count):
            dialogue.wait(draw(waits))
            speak(draw, dialogue, segment, attempt)
        dialogue.wait(30)
    return dialogue


def ask(draw: st.DrawFn, dialogue: Dialogue, number: int) -> None:
    if draw(st.booleans()):
        dialogue.ask()
        return
    dialogue.begins(number)
    spoke_until = dialogue.now
    dialogue.wait(draw(waits))
    if draw(st.booleans()):
        dialogue.likely("what is it", number)
        dialogue.wait(draw(waits))
    endpoint_ms = draw(st.floats(0, 3000))
    dialogue.final("what is it", number, spoke_until=spoke_until, endpoint_ms=endpoint_ms)


def failure(dialogue: Dialogue) -> Failed:
    return Failed(
        stage="llm",
        worker="m",
        turn=dialogue.machine.turns,
        attempt=1,
        code="engine_failed",
        message="m",
    )


def speak(draw: st.DrawFn, dialogue: Dialogue, segment: int, attempt: int) -> None:
    """A segment whose first chunks may be silent."""
    turn = dialogue.machine.turns
    dialogue.put(Working(stage="tts", worker="v", turn=turn, attempt=attempt, segment=segment))
    levels = [*draw(st.lists(st.just(0.0), max_size=2)), 0.2]
    for seq, level in enumerate(levels):
        dialogue.put(dialogue.chunk(segment, seq, attempt=attempt, level=level))
        dialogue.wait(draw(waits) / 4)
    dialogue.put(dialogue.voice_done(segment, len(levels), attempt=attempt))


@given(dialogues())
def test_turns_that_are_heard_have_stages_that_add_up_and_so_have_the_figures_of_all_of_them(
    dialogue: Dialogue,
) -> None:
    reports = heard(dialogue.actions)
    assert reports
    metrics = Metrics()
    for report in reports:
        check(report)
        metrics.turn_over(report)
    sums = {
        sample.name: 0.0
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            sums[sample.name] += sample.value
    response_s, stages_s = sums["eva_turn_response_seconds_sum"], sums["eva_stage_seconds_sum"]
    assert stages_s == pytest.approx(response_s, abs=len(reports) * TOLERANCE_MS / 1000)
    assert sums["eva_stage_seconds_count"] == len(STAGES) * len(reports)
    assert sums["eva_turn_response_seconds_count"] == len(reports)
