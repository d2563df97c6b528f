"""Functions of the client's within a turn, on a virtual clock: called, waited for, answered, given up."""

from __future__ import annotations

import pytest

from services.gateway.chat_protocol import (
    ErrorEvent,
    Interrupted,
    SegmentEvent,
    Token,
    ToolCallEvent,
    TurnDone,
)
from services.gateway.tool_rounds import MAX_BYTES, MOST_ROUNDS, NO_RESULT
from services.gateway.turn_io import (
    Action,
    CancelWork,
    Halt,
    Remember,
    Returned,
    Speak,
    Speculated,
    Think,
    TurnPolicy,
)
from shared.messages import ChatMessage, Failed, MindDone, RouteReport, TextDelta, ToolCall, ToolUse, Working
from tests.gateway.dialogue import Dialogue, events, of, terminals

LOOK, BUY = ToolUse(id="c1", name="look", arguments='{"at": 1}'), ToolUse(id="c2", name="buy")


def calls(
    talk: Dialogue, *uses: ToolUse, attempt: int = 1, segments: int = 0, promised: int | None = None
) -> list[Action]:
    """The model calls functions of the client's, and the mind is done with its round."""
    turn = talk.machine.turns
    happened = talk.put(Working(stage="llm", worker="m", turn=turn, attempt=attempt))
    for use in uses:
        happened += talk.put(ToolCall(turn=turn, attempt=attempt, call=use))
    count = len(uses) if promised is None else promised
    done = MindDone(
        turn=turn, attempt=attempt, deltas=0, segments=segments, engine="fake", model="m", tool_calls=count,
        report=RouteReport(route="fake:m", input_tokens=10, cost_usd=0.5, first_token_ms=40.0),
    )  # fmt: skip
    return happened + talk.put(done)


def returns(talk: Dialogue, call_id: str, output: str = "rain") -> list[Action]:
    return talk.put(Returned(call_id=call_id, output=output))


def refusals(actions: list[Action]) -> list[tuple[str, str | None, str | None]]:
    return [(event.code, event.param, event.turn_id) for event in events(actions, ErrorEvent)]


REFUSED = [("invalid_request", "call_id", None)]


def test_the_turn_goes_on_behind_the_result() -> None:
    talk = Dialogue()
    talk.ask("is it raining?")
    talk.mind_says("Let me look.", done=False)
    called = calls(talk, LOOK, segments=1)
    assert events(called, ToolCallEvent) == [
        ToolCallEvent(turn_id="S-1", call_id="c1", name="look", arguments='{"at": 1}')
    ]
    (think,) = of(returns(talk, "c1"), Think)
    assert (think.attempt, think.first_segment, think.spoken) == (2, 1, "")
    assert think.rounds == (
        ChatMessage(role="assistant", content="Let me look.", tool_calls=[LOOK]),
        ChatMessage(role="tool", content="rain", tool_call_id="c1"),
    )
    talk.mind_says("It rains.", attempt=2, first=1)
    talk.voice_speaks(0)
    talk.voice_speaks(1, attempt=2)
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert done.text == "Let me look. It rains."
    assert done.timeline.attempts == 1
    assert of(talk.actions, Remember)[-1].answer == "Let me look. It rains."


def test_the_mind_is_asked_again_when_all_results_are_there_in_whatever_order() -> None:
    talk = Dialogue()
    talk.ask()
    calls(talk, LOOK, BUY)
    assert not of(returns(talk, "c2", "bought"), Think)
    (think,) = of(returns(talk, "c1", "seen"), Think)
    assert [(message.tool_call_id, message.content) for message in think.rounds] == [
        ("", ""), ("c1", "seen"), ("c2", "bought"),
    ]  # fmt: skip


def test_a_result_that_nobody_waits_for_is_refused_and_nothing_else_is_lost() -> None:
    talk = Dialogue()
    assert refusals(returns(talk, "c1")) == REFUSED
    talk.ask()
    assert refusals(returns(talk, "c1")) == REFUSED
    calls(talk, LOOK, BUY)
    assert refusals(returns(talk, "other")) == REFUSED
    assert not returns(talk, "c1")
    assert refusals(returns(talk, "c1", "again")) == REFUSED
    (think,) = of(returns(talk, "c2"), Think)
    assert think.rounds[1].content == "rain"
    assert refusals(returns(talk, "c2")) == REFUSED


@pytest.mark.parametrize("reason", ["client", "speech", "closed"])
def test_what_ends_the_turn_ends_the_waiting(reason: str) -> None:
    talk = Dialogue()
    talk.ask()
    calls(talk, LOOK)
    happened = talk.put(Halt(reason=reason))  # type: ignore[arg-type]
    assert of(happened, CancelWork)
    assert isinstance(terminals(happened)[0], Interrupted)
    assert refusals(returns(talk, "c1")) == REFUSED
    assert talk.machine.wake_at() is None


def test_a_new_message_ends_the_waiting_and_its_turn_knows_nothing_of_it() -> None:
    talk = Dialogue()
    talk.ask()
    calls(talk, LOOK)
    (think,) = of(talk.ask("something else"), Think)
    assert (think.turn, think.rounds) == (2, ())
    assert refusals(returns(talk, "c1")) == REFUSED


def test_a_slow_function_is_bridged_once_a_turn_and_the_answer_goes_on_behind_it() -> None:
    talk = Dialogue()
    talk.ask(language="fr", voice="siwis")
    calls(talk, LOOK)
    assert not talk.wait(0.99)
    happened = talk.wait(0.02)
    (speak,) = of(happened, Speak)
    assert (speak.text, speak.segment, speak.language, speak.voice) == ("Un instant.", 0, "fr", "siwis")
    assert events(happened, SegmentEvent) == [SegmentEvent(turn_id="S-1", segment=0, text="Un instant.")]
    talk.voice_speaks(0)
    talk.wait(3.0)
    (think,) = of(returns(talk, "c1"), Think)
    assert (think.first_segment, think.spoken) == (1, "")
    calls(talk, BUY, attempt=2, segments=1)
    assert not of(talk.wait(5.0), Speak)
    returns(talk, "c2")
    talk.mind_says("Il pleut.", attempt=3, first=1)
    talk.voice_speaks(1, attempt=3)
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert done.text == "Un instant. Il pleut."


def test_nothing_is_bridged_while_the_answer_is_heard() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("Let me look.", done=False)
    calls(talk, LOOK, segments=1)
    assert not of(talk.wait(1.5), Speak), "its sound is still being made"
    talk.voice_speaks(0, chunks=30)
    assert not of(talk.wait(2.9), Speak), "three seconds are being played"
    assert [speak.segment for speak in of(talk.wait(0.2), Speak)] == [1]


def test_a_turn_without_sound_is_not_bridged_and_keeps_what_was_written() -> None:
    talk = Dialogue()
    talk.ask(wants_audio=False)
    talk.put(TextDelta(turn=1, attempt=1, seq=0, text="Let me look."))
    calls(talk, LOOK)
    assert not talk.wait(5.0)
    (think,) = of(returns(talk, "c1"), Think)
    assert think.rounds[0].content == "Let me look."
    talk.put(TextDelta(turn=1, attempt=2, seq=0, text="It"))
    again = talk.put(Failed(stage="llm", worker="m", turn=1, attempt=2, code="engine_failed", message="x"))
    assert events(again, Token) == [Token(turn_id="S-1", text="Let me look.", at=0)]
    assert of(again, Think)[0].rounds == think.rounds
    talk.put(TextDelta(turn=1, attempt=3, seq=0, text="It rains."))
    (done,) = terminals(talk.put(talk.mind_done(0, attempt=3)))
    assert isinstance(done, TurnDone)
    assert done.text == "Let me look. It rains."


def test_without_a_result_the_model_is_told_so_once_and_then_the_turn_fails() -> None:
    talk = Dialogue(TurnPolicy(turn_s=60.0))
    talk.ask()
    calls(talk, LOOK, BUY)
    returns(talk, "c2", "bought")
    talk.wait(1.1)
    talk.voice_speaks(0)
    assert not of(talk.wait(18.8), Think)
    (think,) = of(talk.wait(0.2), Think)
    assert [message.content for message in think.rounds[1:]] == [NO_RESULT, "bought"]
    assert refusals(returns(talk, "c1")) == REFUSED
    calls(talk, LOOK, attempt=2, segments=1)
    happened = talk.wait(20.1)
    assert not of(happened, Think)
    assert [speak.text for speak in of(happened, Speak)] == [
        "Sorry, I cannot answer right now. Please try again in a moment."
    ]
    talk.voice_speaks(1, attempt=3)
    assert [event.code for event in events(talk.actions, ErrorEvent)][-1] == "tool_timeout"


def test_time_is_left_for_an_answer_where_a_function_is_called_late_in_the_turn() -> None:
    talk = Dialogue(TurnPolicy(turn_s=30.0, beat_lost_s=20.0))
    talk.ask(wants_audio=False)
    talk.put(Working(stage="llm", worker="m", turn=1, attempt=1))
    talk.wait(15.0)
    calls(talk, LOOK)
    assert not of(talk.wait(9.9), Think)
    (think,) = of(talk.wait(0.2), Think)
    assert think.remaining_ms == pytest.approx(5000, abs=200)


def test_the_client_is_told_only_when_the_mind_is_done_with_the_round() -> None:
    talk = Dialogue()
    talk.ask()
    talk.put(Working(stage="llm", worker="m", turn=1, attempt=1))
    assert not talk.put(ToolCall(turn=1, attempt=1, call=LOOK))
    talk.put(Failed(stage="llm", worker="m", turn=1, attempt=1, code="engine_failed", message="x"))
    assert refusals(returns(talk, "c1")) == REFUSED
    assert len(events(calls(talk, LOOK, attempt=2), ToolCallEvent)) == 1


def test_what_the_mind_says_again_while_it_is_waited_for_is_ignored() -> None:
    talk = Dialogue()
    talk.ask()
    calls(talk, LOOK)
    assert not calls(talk, LOOK, BUY)
    assert len(of(returns(talk, "c1"), Think)) == 1


def test_a_call_that_was_lost_on_the_way_makes_the_mind_be_asked_again() -> None:
    talk = Dialogue()
    talk.ask()
    happened = calls(talk, LOOK, promised=2)
    assert not events(happened, ToolCallEvent)
    assert [think.attempt for think in of(happened, Think)] == [2]


def test_segments_that_come_behind_the_result_are_waited_for() -> None:
    talk = Dialogue()
    talk.ask()
    calls(talk, LOOK, segments=1)
    assert not of(returns(talk, "c1"), Think)
    assert not of(talk.wait(3.0), Think)
    (think,) = of(talk.put(talk.segment(0, "Let me look.")), Think)
    assert (think.first_segment, think.rounds[0].content) == (1, "Let me look.")


def test_what_the_worker_has_run_is_told_and_not_run_again_by_a_repeated_attempt() -> None:
    talk = Dialogue()
    talk.ask()
    own = ToolCall(turn=1, attempt=1, call=LOOK, by="server", result="sun")
    (told,) = events(talk.put(own), ToolCallEvent)
    assert (told.by, told.call_id) == ("server", "c1")
    talk.mind_says("The sun", done=False)
    failed = Failed(stage="llm", worker="m", turn=1, attempt=1, code="engine_failed", message="x")
    (think,) = of(talk.put(failed), Think)
    assert think.spoken == "The sun"
    assert think.rounds == (
        ChatMessage(role="assistant", content="", tool_calls=[LOOK]),
        ChatMessage(role="tool", content="sun", tool_call_id="c1"),
    )
    calls(talk, BUY, attempt=2, segments=1)
    (think,) = of(returns(talk, "c2", "bought"), Think)
    assert [call.id for call in think.rounds[0].tool_calls] == ["c1", "c2"]
    assert [message.content for message in think.rounds] == ["The sun", "sun", "bought"]


def test_rounds_use_up_no_attempts_and_come_to_an_end() -> None:
    talk = Dialogue(TurnPolicy(turn_s=600.0, attempts=2))
    talk.ask()
    for number in range(1, MOST_ROUNDS + 1):
        calls(talk, LOOK, attempt=number)
        (think,) = of(returns(talk, "c1"), Think)
        assert (think.attempt, think.offers_tools) == (number + 1, number < MOST_ROUNDS)
    attempt = MOST_ROUNDS + 1
    failed = Failed(stage="llm", worker="m", turn=1, attempt=attempt, code="engine_failed", message="x")
    assert len(of(talk.put(failed), Think)) == 1
    done = talk.mind_says("Well.", attempt=attempt + 1) + talk.voice_speaks(0, attempt=attempt + 1)
    assert terminals(done)[0].timeline.attempts == 2


def test_results_of_whatever_length_fit_into_one_message_of_the_brokers() -> None:
    talk = Dialogue(TurnPolicy(turn_s=600.0))
    talk.ask()
    for number in range(1, MOST_ROUNDS + 1):
        calls(talk, LOOK, BUY, attempt=number)
        returns(talk, "c2", "short")
        (think,) = of(returns(talk, "c1", "é" * 30_000), Think)
    contents = [message.content for message in think.rounds]
    assert contents[1] == "é" * 30_000
    assert MAX_BYTES - 60_000 < sum(len(content.encode()) for content in contents) <= MAX_BYTES


def test_what_all_rounds_took_and_cost_stands_in_the_turns_report() -> None:
    talk = Dialogue()
    talk.ask()
    calls(talk, LOOK)
    returns(talk, "c1")
    talk.mind_says("Well.", attempt=2)
    (done,) = terminals(talk.voice_speaks(0, attempt=2))
    assert isinstance(done, TurnDone)
    assert done.route is not None
    assert (done.route.input_tokens, done.route.cost_usd) == (10, 0.5)
    assert (done.route.route, done.route.first_token_ms) == ("fake:m", 40.0)


# ------------------------------------------------------------ before the person's turn is over


def test_an_answer_ahead_calls_nothing_until_the_final_has_come() -> None:
    talk = Dialogue()
    talk.begins()
    (think,) = of(talk.likely("is it raining"), Think)
    assert think.is_speculative
    assert not events(calls(talk, LOOK), ToolCallEvent)
    assert refusals(returns(talk, "c1")) == REFUSED
    assert not talk.wait(2.0)
    happened = talk.final("is it raining")
    assert [event.call_id for event in events(happened, ToolCallEvent)] == ["c1"]
    assert not of(talk.wait(0.9), Speak), "the wait begins with the final"
    assert [speak.text for speak in of(talk.wait(0.2), Speak)] == ["One moment."]
    (think,) = of(returns(talk, "c1"), Think)
    assert not think.is_speculative


def test_an_answer_ahead_that_needs_a_function_is_dropped_and_asked_for_anew() -> None:
    talk = Dialogue()
    talk.begins()
    talk.likely("is it raining")
    failed = Failed(stage="llm", worker="m", turn=1, attempt=1, code="needs_tools", message="x")
    happened = talk.put(failed)
    assert of(happened, Speculated) == [Speculated(is_used=False)]
    assert not events(happened, ErrorEvent)
    (think,) = of(talk.final("is it raining"), Think)
    assert (think.turn, think.is_speculative) == (2, False)


def test_one_that_was_taken_over_meanwhile_is_asked_for_anew_in_the_same_turn() -> None:
    talk = Dialogue()
    talk.begins()
    talk.likely("is it raining")
    talk.final("is it raining")
    failed = Failed(stage="llm", worker="m", turn=1, attempt=1, code="needs_tools", message="x")
    (think,) = of(talk.put(failed), Think)
    assert (think.turn, think.attempt, think.is_speculative) == (1, 2, False)
