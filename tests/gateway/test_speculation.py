"""An answer begun before the turn's end is sure: there at once if it ends so, and else never known of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.gateway.chat_protocol import (
    ErrorEvent,
    FinalEvent,
    SegmentEvent,
    SpeechStoppedEvent,
    Token,
    TurnDone,
    TurnStarted,
)
from services.gateway.turn import State
from services.gateway.turn_io import (
    Ask,
    CancelWork,
    Emit,
    EmitAudio,
    Halt,
    HeardNothing,
    Likely,
    Remember,
    Speak,
    Speculated,
    Think,
    TurnPolicy,
    TurnReport,
    Undelivered,
)
from shared.messages import Failed
from tests.gateway.dialogue import POLICY, Dialogue, events, of, terminals


def foreseen(text: str = "What is up") -> Dialogue:
    """The person is likely to be done."""
    talk = Dialogue(mode="judge")
    talk.begins()
    talk.now += 1.0
    talk.likely(text)
    return talk


def only_work(talk: Dialogue, since: int = 0) -> bool:
    """Whether nothing was done but to ask the mind and the voice for work."""
    return all(isinstance(action, Think | Speak) for action in talk.actions[since:])


def test_thinking_begins_when_the_person_is_likely_to_be_done() -> None:
    talk = foreseen()
    (think,) = of(talk.actions, Think)
    assert (think.turn, think.ask.text) == (1, "What is up")
    assert not events(talk.actions, TurnStarted)
    assert talk.machine.state is State.LISTENING


def test_what_was_ready_comes_at_once_and_in_order_with_the_final() -> None:
    talk = foreseen()
    before = len(talk.actions)
    talk.now += 0.2
    talk.answers("Not much.", "And you?")
    assert only_work(talk, before)
    talk.now += 0.1
    happened = talk.final("what is up?", spoke_until=talk.now - 0.5, endpoint_ms=480.0)
    told = [type(action.event) for action in happened if isinstance(action, Emit)]
    assert told == [
        SpeechStoppedEvent,
        FinalEvent,
        TurnStarted,
        Token,
        SegmentEvent,
        Token,
        SegmentEvent,
        TurnDone,
    ]
    assert len(of(happened, EmitAudio)) == 20
    assert not of(happened, Think)
    assert of(happened, Speculated) == [Speculated(is_used=True)]
    (done,) = terminals(happened)
    timeline = done.timeline
    assert timeline.is_speculative
    assert (timeline.llm_ms, timeline.tts_ms, timeline.send_ms) == (0, 0, 0)
    assert timeline.response_ms == pytest.approx(500, abs=0.01)
    assert timeline.endpoint_ms + timeline.stt_ms == pytest.approx(timeline.response_ms, abs=0.01)
    assert of(happened, Remember) == [Remember(turn=1, user="what is up?", answer="Not much. And you?")]


def test_an_answer_that_is_still_being_made_goes_on_as_an_ordinary_one() -> None:
    talk = foreseen()
    talk.now += 0.1
    talk.mind_says("Not much.", done=False)
    talk.now += 0.1
    talk.final("What is up", spoke_until=talk.now - 0.3, endpoint_ms=300.0)
    talk.put(talk.mind_done(1))
    talk.now += 0.05
    talk.voice_speaks(0)
    (done,) = terminals(talk.actions)
    parts = done.timeline
    assert (parts.llm_ms, parts.tts_ms) == (0, pytest.approx(50))
    total = parts.endpoint_ms + parts.stt_ms + parts.llm_ms + parts.tts_ms + parts.send_ms
    assert parts.response_ms == pytest.approx(total, abs=0.01) == pytest.approx(350, abs=0.01)


def test_who_goes_on_makes_it_void_and_it_costs_one_cancel() -> None:
    talk = foreseen()
    talk.answers("Not much.")
    happened = talk.goes_on()
    assert happened == [CancelWork(turn=1), Speculated(is_used=False)]
    assert talk.goes_on() == []
    happened = talk.final("What is up in Paris")
    assert of(happened, Think)[0].turn == 2
    assert events(happened, TurnStarted) == [TurnStarted(turn_id="S-2", is_spoken=True, utterance=1)]
    talk.answers("Rain.")
    assert [action.turn for action in of(talk.actions, EmitAudio)] == [2] * 10
    assert not [event for event in events(talk.actions, Token) if event.turn_id == "S-1"]
    assert of(talk.actions, Remember) == [Remember(turn=2, user="What is up in Paris", answer="Rain.")]


@pytest.mark.parametrize(
    "final",
    [{"text": "What is up in Paris"}, {"language": "fr"}, {"voice": "bob"}, {"wants_audio": False}],
    ids=str,
)
def test_another_final_than_the_likely_one_is_answered_anew(final: dict[str, object]) -> None:
    talk = foreseen()
    talk.answers("Not much.")
    happened = talk.final(**({"text": "What is up"} | final))
    assert of(happened, CancelWork) == [CancelWork(turn=1)]
    assert of(happened, Think)[0].turn == 2
    assert of(happened, Speculated) == [Speculated(is_used=False)]
    assert not of(happened, EmitAudio)


def test_nothing_said_after_all_makes_it_void() -> None:
    talk = foreseen()
    happened = talk.put(HeardNothing(utterance=(1, 1)))
    assert of(happened, CancelWork)
    assert talk.machine.state is State.IDLE
    assert talk.machine.wake_at() is None


def test_one_utterance_is_speculated_on_so_often_as_is_set() -> None:
    talk = foreseen()
    talk.goes_on()
    assert not of(talk.likely("What is up in Paris"), Think)
    twice = Dialogue(TurnPolicy(speculations=2), mode="judge")
    twice.begins()
    twice.likely("What is up")
    assert not twice.likely("What is up in"), "there is one at a time"
    twice.goes_on()
    assert of(twice.likely("What is up in Paris"), Think)
    never = Dialogue(TurnPolicy(speculations=0), mode="judge")
    never.begins()
    assert not never.likely("What is up")


def test_an_interruption_is_decided_before_its_answer_is_begun() -> None:
    talk = Dialogue(mode="judge")
    talk.ask("tell me")
    talk.mind_says("One two three four.")
    talk.voice_speaks(0, 20)
    talk.begins()
    happened = talk.likely("what about tomorrow")
    kinds = [type(action) for action in happened]
    assert kinds.index(Think) > kinds.index(Emit), "flush comes first"
    assert of(happened, Think)[0].turn == 2
    quiet = Dialogue(mode="judge")
    quiet.ask("tell me")
    quiet.mind_says("One two three four.")
    quiet.voice_speaks(0, 20)
    quiet.begins()
    assert not of(quiet.likely("mm-hm"), Think)


def test_nothing_is_begun_while_she_speaks_to_her_end() -> None:
    talk = Dialogue(mode="off")
    talk.ask("tell me")
    talk.answers("One two three four.")
    talk.begins()
    assert not talk.likely("what about tomorrow")
    talk.final("what about tomorrow")
    talk.begins(2)
    talk.wait(1.2)
    assert not of(talk.likely("and on Sunday", 2), Think), "what was said before it waits too"


def test_the_words_that_stand_unanswered_are_answered_along() -> None:
    talk = Dialogue(mode="judge")
    talk.says("a train")
    talk.begins(2)
    happened = talk.likely("to Paris on Sunday", 2)
    assert [think.ask.text for think in of(happened, Think)] == ["a train to Paris on Sunday"]
    talk.answers("Done.")
    happened = talk.final("to Paris on Sunday", 2)
    assert isinstance(terminals(happened)[0], TurnDone)
    assert of(happened, Remember)[0].user == "a train to Paris on Sunday"


def test_a_typed_turn_takes_the_place_of_a_likely_one() -> None:
    talk = foreseen()
    happened = talk.ask("typed")
    assert of(happened, CancelWork) == [CancelWork(turn=1)]
    assert of(happened, Think)[0].turn == 2


def test_a_client_that_leaves_leaves_nothing_of_it_behind() -> None:
    talk = foreseen()
    talk.answers("Not much.")
    happened = talk.put(Halt(reason="closed"))
    assert happened == [CancelWork(turn=1), Speculated(is_used=False)]


@pytest.mark.parametrize("how", ["failed", "undelivered", "silent"])
def test_one_that_fails_is_dropped_without_a_word_and_asked_anew(how: str) -> None:
    talk = foreseen()
    if how == "failed":
        for attempt in (1, 2, 3):
            talk.put(Failed(stage="llm", worker="m", turn=1, attempt=attempt, code="x", message="m"))
    elif how == "undelivered":
        talk.put(Undelivered(stage="llm", turn=1, code="busy", message="m"))
    else:
        talk.wait(POLICY.take_up_s + 0.1)
    assert of(talk.actions, Speculated) == [Speculated(is_used=False)]
    assert not events(talk.actions, ErrorEvent)
    assert not of(talk.actions, TurnReport)
    happened = talk.final("What is up")
    assert of(happened, Think)[0].turn == 2


def test_a_mind_that_stalls_is_asked_again_before_the_final_too() -> None:
    talk = foreseen()
    talk.mind_says("One.", done=False)
    before = len(talk.actions)
    (think,) = of(talk.wait(POLICY.beat_lost_s + 0.1), Think)
    assert (think.turn, think.attempt, think.spoken) == (1, 2, "One.")
    assert only_work(talk, before), "that the text begins anew is not told before the final"


def test_a_voice_that_takes_nothing_up_makes_it_void() -> None:
    talk = foreseen()
    talk.mind_says("One.", "Two.")
    talk.voice_speaks(0)
    assert of(talk.wait(POLICY.take_up_s + 0.1), Speculated) == [Speculated(is_used=False)]


def test_it_is_not_begun_to_be_spoken_over_who_has_begun_again() -> None:
    talk = foreseen()
    talk.answers("Not much.")
    talk.begins(2)
    happened = talk.final("What is up", 1)
    assert events(happened, TurnStarted)
    assert not of(happened, EmitAudio)
    assert of(talk.final("mm-hm", 2), EmitAudio)


def test_a_text_answer_that_was_ready_is_told_whole() -> None:
    talk = Dialogue(mode="judge")
    talk.begins()
    ask = {"text": "hi", "wants_audio": False}
    likely = Ask(is_spoken=True, language="en", utterance=(1, 1), **ask)  # type: ignore[arg-type]
    talk.put(Likely(ask=likely))
    talk.mind_says("Hello.", done=False)
    talk.put(talk.mind_done(0))
    assert not events(talk.actions, Token)
    happened = talk.put(replace(likely, text="Hi."))
    (done,) = terminals(happened)
    assert (done.text, done.has_audio) == ("Hello.", False)
