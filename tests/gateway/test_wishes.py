"""How an answer is wished for: handed over, wordless, without a new question. On a virtual clock."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.gateway.chat_protocol import (
    ErrorEvent,
    Filler,
    Interrupted,
    SegmentEvent,
    Tool,
    ToolCallEvent,
    TurnDone,
    TurnStarted,
    Usage,
)
from services.gateway.turn_io import (
    Ask,
    EmitAudio,
    Halt,
    Likely,
    Remember,
    Returned,
    Say,
    Speak,
    Speculated,
    Think,
    TurnPolicy,
    Wish,
)
from shared.messages import Failed, MindDone, RouteReport, ToolUse, Working
from tests.gateway.dialogue import Dialogue, events, of, terminals
from tests.gateway.test_tool_rounds import calls

LOOK, BUY = ToolUse(id="c1", name="look", arguments='{"at": 1}'), ToolUse(id="c2", name="buy")
HANDED = Wish(tools=(Tool(name="look"),), hands_over=True)
FORCED = Wish(tools=(Tool(name="look"),), tool_choice="look", hands_over=True)
LIVELY = TurnPolicy(filler_s=0.45, apology_s=3.0)


def test_a_call_that_is_handed_over_ends_the_turn_well_and_without_a_sound() -> None:
    talk = Dialogue()
    talk.ask("what is there", wish=FORCED)
    happened = calls(talk, LOOK, BUY)
    assert [type(event) for event in events(happened, object)] == [ToolCallEvent, ToolCallEvent, TurnDone]
    (done,) = terminals(happened)
    assert isinstance(done, TurnDone)
    assert (done.calls, done.has_audio, done.text) == (2, False, "")
    assert of(happened, Remember) == [Remember(turn=1, user="what is there", answer="")]
    assert not talk.machine.is_answering
    assert [event.param for event in events(talk.put(Returned(call_id="c1", output="rain")), ErrorEvent)] == [
        "call_id"
    ], "its result comes with a later question"


def test_what_was_said_before_a_call_that_is_handed_over_is_heard_first() -> None:
    talk = Dialogue()
    talk.ask(wish=HANDED)
    talk.mind_says("Let me look.", done=False)
    assert not terminals(calls(talk, LOOK, segments=1))
    assert talk.machine.is_answering
    (done,) = terminals(talk.voice_speaks(0))
    assert (done.calls, done.has_audio, done.text) == (1, True, "Let me look.")


def test_a_voice_that_makes_no_sound_of_what_was_said_before_a_call_has_failed() -> None:
    talk = Dialogue()
    talk.ask(wish=HANDED)
    talk.mind_says("Let me look.", done=False)
    calls(talk, LOOK, segments=1)
    (failed,) = terminals(talk.voice_speaks(0, level=0.0))
    assert failed.code == "no_audio"


def test_a_call_of_which_a_part_was_lost_is_not_handed_over() -> None:
    talk = Dialogue()
    talk.ask(wish=HANDED)
    happened = calls(talk, LOOK, promised=2)
    assert not events(happened, ToolCallEvent)
    assert of(happened, Think)[0].attempt == 2
    (done,) = terminals(calls(talk, LOOK, attempt=2))
    assert (done.calls, done.usage) == (1, Usage(input_tokens=20, output_tokens=0))


@pytest.mark.parametrize("wish", [FORCED, Wish(tool_choice="required", hands_over=True)])
def test_nothing_is_said_while_a_call_is_all_that_is_waited_for(wish: Wish) -> None:
    talk = Dialogue(policy=LIVELY)
    talk.ask(wish=wish)
    happened = talk.wait(4.5)
    assert not events(happened, Filler | SegmentEvent)
    assert not of(happened, EmitAudio)
    assert not of(happened, Speak)
    assert isinstance(terminals(calls(talk, LOOK))[0], TurnDone)


def test_a_question_that_may_be_answered_with_words_is_given_up_as_any_other() -> None:
    talk = Dialogue(policy=LIVELY)
    talk.ask(wish=HANDED)
    assert of(talk.wait(3.1), Speak), "the apology"


def test_a_forced_call_that_fails_is_reported_as_any_failure() -> None:
    talk = Dialogue()
    talk.ask(wish=FORCED, wants_audio=False)
    for attempt in (1, 2, 3):
        talk.put(Failed(stage="llm", worker="m", turn=1, attempt=attempt, code="x", message="no"))
    assert [type(event) for event in terminals(talk.actions)] == [ErrorEvent]


def test_a_call_that_was_foreseen_is_handed_over_with_the_final() -> None:
    talk = Dialogue()
    talk.begins()
    ask = Ask(text="look", is_spoken=True, language="en", utterance=(1, 1), wish=HANDED)
    talk.put(Likely(ask=ask))
    assert not events(calls(talk, LOOK), object)
    happened = talk.final("look", wish=HANDED)
    assert of(happened, Speculated) == [Speculated(is_used=True)]
    told = [type(event) for event in events(happened, ToolCallEvent | TurnDone | TurnStarted)]
    assert told == [TurnStarted, ToolCallEvent, TurnDone]


def test_what_was_foreseen_is_of_no_use_where_the_answer_is_wished_for_otherwise() -> None:
    talk = Dialogue()
    talk.begins()
    talk.put(Likely(ask=Ask(text="look", is_spoken=True, language="en", utterance=(1, 1))))
    happened = talk.final("look", wish=HANDED)
    assert of(happened, Speculated) == [Speculated(is_used=False)]
    assert [think.ask.wish for think in of(happened, Think)] == [HANDED]


def test_a_turn_without_a_new_question_is_remembered_without_one() -> None:
    talk = Dialogue()
    happened = talk.put(Ask(text=None))
    assert [think.ask.text for think in of(happened, Think)] == [None]
    talk.answers("Well then.")
    assert of(talk.actions, Remember) == [Remember(turn=1, user="", answer="Well then.")]


@pytest.mark.parametrize("text", [None, "another"])
def test_a_turn_that_is_asked_for_in_mid_answer_takes_its_place(text: str | None) -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", done=False)
    talk.voice_speaks(0)
    assert talk.machine.is_answering
    happened = talk.put(Ask(text=text))
    assert [type(event) for event in terminals(happened)] == [Interrupted]
    assert of(happened, Think)[0].turn == 2


def test_an_answer_that_is_only_being_heard_is_no_turn_in_flight() -> None:
    talk = Dialogue()
    assert not talk.machine.is_answering
    talk.ask()
    assert talk.machine.is_answering
    talk.answers("One.", chunks=20)
    assert terminals(talk.actions)
    assert not talk.machine.is_answering


# ---------------------------------------------------------------- what a turn took


REPORT = RouteReport(route="r", input_tokens=30, cached_tokens=10, output_tokens=5)


def mind_done(talk: Dialogue, **fields: object) -> list[object]:
    done = MindDone(
        turn=talk.machine.turns, attempt=1, deltas=1, segments=1, engine="e", model="m", report=REPORT,
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    return list(talk.put(done))


def test_the_end_of_a_turn_tells_what_it_took_and_whether_it_was_cut_short() -> None:
    took = Usage(input_tokens=30, cached_tokens=10, output_tokens=5)
    for is_cut_short in (False, True):
        talk = Dialogue()
        talk.ask()
        talk.mind_says("One.", done=False)
        mind_done(talk, is_cut_short=is_cut_short)
        (done,) = terminals(talk.voice_speaks(0))
        assert (done.usage, done.is_cut_short, done.calls) == (took, is_cut_short, 0)
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", done=False)
    mind_done(talk)
    (stopped,) = terminals(talk.put(Halt(reason="client")))
    assert stopped.usage == took
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", done=False)
    mind_done(talk)
    (failed,) = terminals(talk.voice_speaks(0, level=0.0))
    assert (failed.code, failed.usage) == ("no_audio", took)


def test_what_no_provider_has_counted_is_not_told() -> None:
    talk = Dialogue()
    talk.ask()
    talk.answers("One.")
    (done,) = terminals(talk.actions)
    assert done.usage is None


# ---------------------------------------------------------------- EVA's own words


def test_what_eva_says_on_her_own_account_is_a_segment_too() -> None:
    talk = Dialogue()
    happened = talk.put(Say(text="Good day."))
    assert events(happened, SegmentEvent) == [SegmentEvent(turn_id="S-1", segment=0, text="Good day.")]
    talk.voice_speaks(0)
    talk.ask()
    for attempt in (1, 2, 3):
        happened = talk.put(Failed(stage="llm", worker="m", turn=2, attempt=attempt, code="x", message="no"))
    (apology,) = events(happened, SegmentEvent)
    assert apology.text.startswith("Sorry")


def test_a_segment_that_is_made_again_is_said_at_the_speed_that_was_wished_for() -> None:
    talk = Dialogue()
    talk.ask(wish=Wish(speed=1.5))
    talk.put(replace(talk.segment(0, "One two three."), speed=1.5))
    talk.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=0))
    (speak,) = of(talk.wait(2.1), Speak)
    assert (speak.take, speak.text, speak.speed) == (2, "One two three.", 1.5)


def test_what_is_said_without_the_mind_is_said_at_the_speed_that_was_wished_for() -> None:
    talk = Dialogue()
    (think,) = of(talk.ask(wish=Wish(speed=1.5)), Think)
    assert think.ask.wish.speed == 1.5
    for attempt in (1, 2, 3):
        happened = talk.put(
            Failed(stage="llm", worker="m", turn=1, attempt=attempt, code="engine_failed", message="no luck")
        )
    (speak,) = of(happened, Speak)
    assert speak.speed == 1.5
