"""The person speaks into EVA's turn: she pauses, and stops or goes on; nothing is lost of either side."""

from __future__ import annotations

import pytest

from services.gateway.chat_protocol import (
    FinalEvent,
    Flush,
    Interrupted,
    Pause,
    Resume,
    SpeechStartedEvent,
    TurnDone,
    TurnStarted,
)
from services.gateway.turn import State
from services.gateway.turn_io import (
    CancelWork,
    CutIn,
    EmitAudio,
    Forget,
    Halt,
    HeardNothing,
    Judged,
    Onset,
    Paused,
    PlayedTo,
    Remember,
    Say,
    Think,
)
from tests.gateway.dialogue import Dialogue, events, of, terminals

STORY = "One two three four five six seven eight nine ten."
WITHIN_500_MS = "One two three four"
"""Of the first second of a segment still being made, which is taken to have 1.2 s."""


def speaking(mode: str = "judge", *, is_done: bool = False, **ask: object) -> Dialogue:
    """EVA has spoken for half a second of two; the voice has made one of them, or all."""
    talk = Dialogue(mode=mode)
    talk.ask("tell me", **ask)
    talk.mind_says(STORY)
    if is_done:
        talk.voice_speaks(0, 20)
    else:
        for seq in range(10):
            talk.put(talk.chunk(0, seq))
    talk.now += 0.5
    return talk


def sound(talk: Dialogue) -> list[tuple[int, int]]:
    return [(action.turn, action.chunk.seq) for action in of(talk.actions, EmitAudio)]


@pytest.mark.parametrize("is_done", [False, True], ids=["in mid-answer", "after turn_done"])
def test_the_first_sound_pauses_the_playback_at_once(is_done: bool) -> None:
    talk = speaking(is_done=is_done)
    happened = talk.begins(after_s=0.12)
    assert events(happened, SpeechStartedEvent)
    assert events(happened, Pause) == [Pause(turn_id="S-1")]
    assert [note.after_s for note in of(happened, Paused)] == [pytest.approx(0.12)]
    assert talk.machine.state is State.PAUSED
    assert not of(happened, CancelWork)


@pytest.mark.parametrize("is_done", [False, True], ids=["in mid-answer", "after turn_done"])
def test_a_sign_of_listening_lets_her_go_on_exactly_where_she_was(is_done: bool) -> None:
    talk = speaking(is_done=is_done)
    talk.begins()
    if not is_done:
        assert not of(talk.put(talk.chunk(0, 10)), EmitAudio), "what is ready meanwhile is held"
    talk.now += 0.3
    happened = talk.likely("mm-hm")
    assert events(happened, Resume) == [Resume(turn_id="S-1", verdict="backchannel")]
    assert talk.machine.state is State.SPEAKING
    if not is_done:
        assert [action.chunk.seq for action in of(happened, EmitAudio)] == [10]
    assert [note.verdict for note in of(happened, Judged)] == ["backchannel"]
    assert events(talk.final("Mm-hm."), FinalEvent) == [
        FinalEvent(text="Mm-hm.", language="en", turn_id=None, id=1)
    ]
    if not is_done:
        talk.voice_speaks(0, 20)
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert sound(talk) == [(1, seq) for seq in range(20)]
    assert not of(talk.actions, CancelWork)


def test_the_clock_of_the_playback_stands_still_in_the_pause() -> None:
    talk = speaking(is_done=True)
    talk.begins()
    talk.wait(0.4)
    talk.likely("okay")
    assert talk.machine.state is State.SPEAKING
    talk.now += 0.15
    stopped = talk.put(Halt(reason="client"))
    (remembered,) = of(stopped, Remember)
    assert remembered.answer == "One two three", "0.6 s before the pause and 0.15 s behind it, of 2 s"


def test_the_playback_ends_as_much_later_as_it_was_held() -> None:
    talk = speaking(is_done=True)
    talk.begins()
    assert talk.machine.wake_at() == pytest.approx(talk.now + 0.47), "only the verdict is awaited"
    talk.wait(0.47)
    assert talk.machine.wake_at() == pytest.approx(talk.now + 1.4)
    talk.wait(1.5)
    assert talk.machine.state is State.LISTENING
    talk.final("")
    assert talk.machine.state is State.IDLE


def test_real_words_stop_her_and_only_what_was_heard_is_kept() -> None:
    talk = speaking()
    talk.begins(after_s=0.0)
    talk.now += 0.4
    happened = talk.understood("what about tomorrow")
    (stopped,) = terminals(happened)
    assert isinstance(stopped, Interrupted)
    assert (stopped.reason, stopped.heard) == ("speech", WITHIN_500_MS)
    assert events(happened, Flush)
    assert not events(talk.actions, Resume)
    assert of(happened, CancelWork)
    assert of(happened, Remember)[0].answer == WITHIN_500_MS
    assert [note.verdict for note in of(happened, Judged)] == ["interruption"]
    assert talk.machine.state is State.LISTENING
    talk.final("What about tomorrow?")
    assert of(talk.actions, Think)[-1].ask.text == "What about tomorrow?"
    assert not of(talk.actions, CutIn), "the question before it was typed"


def test_speech_that_goes_on_is_an_interruption_within_600_ms() -> None:
    talk = speaking()
    talk.begins(after_s=0.1)
    for speech_ms in (100, 200, 300, 400):
        talk.now += 0.1
        talk.speaks(speech_ms)
    assert talk.machine.state is State.PAUSED
    happened = talk.wait(0.2)
    assert isinstance(terminals(happened)[0], Interrupted)
    assert of(happened, Judged)[0].after_s == pytest.approx(0.57)


def test_a_cough_lets_her_go_on_and_its_final_is_no_turn() -> None:
    talk = speaking()
    talk.begins()
    talk.speaks(150, 200)
    happened = talk.wait(0.6)
    assert events(happened, Resume) == [Resume(turn_id="S-1", verdict="noise")]
    happened = talk.final("")
    assert events(happened, FinalEvent) == [FinalEvent(text="", language="", turn_id=None, id=1)]
    assert not events(happened, Resume)
    assert not terminals(talk.actions)


def test_nothing_heard_lets_her_go_on_before_the_time_is_up() -> None:
    talk = speaking()
    talk.begins()
    happened = talk.final("")
    assert events(happened, Resume) == [Resume(turn_id="S-1", verdict="noise")]


def test_a_stop_that_is_understood_late_stops_her_all_the_same() -> None:
    talk = speaking()
    talk.begins()
    talk.speaks(250, 300)
    assert events(talk.wait(0.6), Resume)
    happened = talk.final("Stop.")
    assert events(happened, Flush)
    assert isinstance(terminals(happened)[0], Interrupted)
    assert of(happened, Think)[0].ask.text == "Stop."


def test_her_own_words_from_the_loudspeaker_do_not_stop_her_and_are_no_turn() -> None:
    talk = speaking()
    talk.begins()
    talk.now += 0.2
    happened = talk.understood("one two three")
    assert events(happened, Resume) == [Resume(turn_id="S-1", verdict="echo")]
    assert not talk.speaks(1500)
    happened = talk.final("One two three four five.")
    assert events(happened, FinalEvent)[0].turn_id is None
    assert not terminals(talk.actions)


def test_her_last_words_may_come_back_when_she_has_ended() -> None:
    talk = speaking(is_done=True)
    talk.wait(1.55)
    assert talk.machine.state is State.IDLE
    happened = talk.says("Eight nine ten.")
    assert events(happened, FinalEvent)[0].turn_id is None
    assert talk.says("Yes.", 2)[-1:] == of(talk.actions, Think)[-1:], "other words are a turn"
    late = speaking(is_done=True)
    late.wait(3.0)
    assert of(late.says("Eight nine ten."), Think), "so late it is no echo"


def test_an_echo_that_ends_after_she_does_is_still_no_turn() -> None:
    talk = speaking(is_done=True)
    talk.wait(1.35)
    talk.begins()
    talk.understood("eight nine ten")
    talk.wait(1.0)
    assert talk.machine.state is State.LISTENING
    assert events(talk.final("eight nine ten"), FinalEvent)[0].turn_id is None


def test_a_yes_to_her_question_is_an_answer() -> None:
    talk = Dialogue(mode="judge")
    talk.ask("tell me")
    talk.answers("That was the first part. Shall I go on with the second one now?", chunks=20)
    talk.now += 1.0
    happened = talk.says("Yes.")
    assert of(happened, Think)[0].ask.text == "Yes."
    early = Dialogue(mode="judge")
    early.ask("tell me")
    early.answers("That was the first part. Shall I go on with the second one now?", chunks=60)
    early.now += 1.0
    assert not of(early.says("Yes."), Think), "in the middle it is a sign of listening"


def test_the_clients_own_reports_and_stop_button_work_in_the_pause() -> None:
    talk = speaking()
    talk.begins()
    talk.put(PlayedTo(turn=1, ms=300))
    talk.now += 0.2
    happened = talk.put(Halt(reason="client", played_ms=450))
    (stopped,) = terminals(happened)
    assert (stopped.reason, stopped.heard) == ("client", "One two three")
    assert events(happened, Flush)
    assert not talk.wait(1.0), "nothing is left to be decided"
    assert of(talk.final("what about tomorrow"), Think)


def test_a_message_in_the_pause_ends_it() -> None:
    talk = speaking()
    talk.begins()
    happened = talk.ask("typed")
    assert [type(action.event) for action in happened if hasattr(action, "event")][:2] == [Flush, Interrupted]
    talk.answers("Sure.")
    assert not sound(talk)[10:], "the person still speaks"
    talk.final("")
    assert len(sound(talk)) == 20


def test_two_utterances_hold_her_until_both_are_judged() -> None:
    talk = speaking()
    talk.begins(1)
    talk.now += 0.1
    talk.begins(2)
    assert len(events(talk.actions, Pause)) == 1
    assert not events(talk.final("mm-hm", 1), Resume)
    assert events(talk.final("okay", 2), Resume)
    assert not terminals(talk.actions)


def test_a_final_that_never_comes_does_not_hold_her_for_ever() -> None:
    talk = speaking()
    talk.begins(1)
    talk.begins(2, after_s=0.0)
    assert events(talk.final("okay", 2), Resume), "the first one's final was lost"


def test_an_utterance_that_another_worker_hears_again_is_the_same_one() -> None:
    talk = speaking()
    talk.begins(3)
    again = talk.put(Onset(at_ms=0, utterance=(2, 1)))
    assert not events(again, SpeechStartedEvent)
    assert not events(talk.put(HeardNothing(utterance=(1, 3))), Resume), "of the lost worker"
    happened = talk.final("okay", 1, utterance=(2, 1))
    assert events(happened, Resume)


def test_what_is_told_of_no_open_utterance_changes_nothing() -> None:
    talk = speaking()
    for event in (
        talk.speaks(900),
        talk.understood("stop it now"),
        talk.goes_on(),
        talk.likely("stop it now"),
    ):
        assert not event
    assert events(talk.final(""), FinalEvent)
    assert talk.machine.state is State.SPEAKING


# ---------------------------------------------------------------- before she has begun to speak


def test_she_does_not_begin_to_speak_over_somebody() -> None:
    talk = Dialogue(mode="judge")
    talk.says("what is up")
    talk.begins(2)
    talk.answers("Not much.")
    assert not sound(talk)
    assert not events(talk.actions, Pause), "there is nothing to be paused"
    assert talk.machine.state is State.THINKING
    happened = talk.final("", 2)
    assert len(of(happened, EmitAudio)) == 10
    assert isinstance(terminals(happened)[0], TurnDone)
    assert not events(talk.actions, Resume)


def test_a_sign_of_listening_while_she_thinks_costs_nothing() -> None:
    talk = Dialogue(mode="judge")
    talk.says("what is up")
    talk.begins(2)
    talk.answers("Not much.")
    happened = talk.final("okay", 2)
    assert events(happened, FinalEvent)[0].turn_id is None
    assert len(sound(talk)) == 10


def test_who_was_not_done_is_asked_for_both_parts_as_one_question() -> None:
    talk = Dialogue(mode="judge")
    talk.begins(1)
    talk.final("I want a train to Paris", 1, spoke_until=talk.now - 0.5)
    talk.now += 0.3
    talk.begins(2)
    talk.answers("Which day?")
    happened = talk.understood("and a hotel", 2)
    (stopped,) = terminals(happened)
    assert (stopped.turn_id, stopped.heard) == ("S-1", "")
    assert of(happened, CutIn) == [CutIn()]
    assert not of(talk.actions, Remember), "an orphan would stay in the memory"
    happened = talk.final("and a hotel for two nights", 2)
    assert events(happened, FinalEvent)[0].text == "and a hotel for two nights"
    (think,) = of(happened, Think)
    assert think.ask.text == "I want a train to Paris and a hotel for two nights"
    talk.answers("Done.")
    assert of(talk.actions, Remember) == [
        Remember(turn=2, user="I want a train to Paris and a hotel for two nights", answer="Done.")
    ]


def test_an_answer_that_was_whole_but_not_heard_is_taken_out_of_the_memory_again() -> None:
    talk = Dialogue(mode="judge")
    talk.says("I want a train to Paris")
    talk.answers("Which day would you like to go there?")
    assert terminals(talk.actions)
    talk.begins(2, after_s=0.05)
    happened = talk.understood("and a hotel", 2)
    assert of(happened, Forget) == [Forget(turn=1)]
    assert events(happened, Flush)
    assert of(talk.final("and a hotel", 2), Think)[0].ask.text == "I want a train to Paris and a hotel"


def test_a_question_whose_answer_was_dropped_for_nothing_is_asked_again() -> None:
    talk = Dialogue(mode="immediate")
    talk.says("what is up")
    assert isinstance(terminals(talk.begins(2))[0], Interrupted)
    happened = talk.final("", 2)
    assert of(happened, Think)[0].ask.text == "what is up"
    assert events(happened, TurnStarted | FinalEvent) == [
        TurnStarted(turn_id="S-2", is_spoken=True),
        FinalEvent(text="", language="", turn_id=None, id=2),
    ], "whoever hears of no turn may leave"
    talk.answers("Not much.")
    assert of(talk.actions, Remember) == [Remember(turn=2, user="what is up", answer="Not much.")]


def test_words_that_were_not_understood_are_said_again_and_then_joined() -> None:
    talk = Dialogue(mode="immediate")
    talk.says("a train")
    talk.begins(2)
    happened = talk.put(HeardNothing(utterance=(1, 2), is_failure=True, say=Say(text="Sorry?")))
    assert not of(happened, Think)
    talk.voice_speaks(0)
    talk.wait(3.0)
    happened = talk.says("to Paris", 3)
    assert of(happened, Think)[0].ask.text == "a train to Paris"


@pytest.mark.parametrize("ending", ["typed", "closed"])
def test_a_question_that_stays_open_is_remembered_without_an_answer(ending: str) -> None:
    talk = Dialogue(mode="immediate")
    talk.says("a train")
    talk.begins(2)
    happened = talk.ask("typed") if ending == "typed" else talk.put(Halt(reason="closed"))
    assert not events(happened, Interrupted), "what is typed meanwhile is answered when the person is done"
    assert of(happened, Remember) == [Remember(turn=1, user="a train", answer="")]


def test_an_answer_waits_only_so_long_for_somebody_who_is_not_understood() -> None:
    talk = Dialogue(mode="judge")
    talk.says("what is up")
    talk.begins(2)
    talk.answers("Not much.")
    assert not of(talk.wait(4.9), EmitAudio)
    assert of(talk.wait(0.2), EmitAudio)
    happened = talk.final("and what about tomorrow", 2)
    assert isinstance(terminals(talk.actions)[-1], TurnDone)
    assert of(happened, Think)


def test_ears_that_were_lost_in_an_utterance_do_not_hold_what_is_typed_later() -> None:
    talk = Dialogue(mode="judge")
    talk.begins(1)
    talk.now += 10.0
    talk.ask("typed")
    talk.answers("Sure.")
    assert len(sound(talk)) == 10


def test_a_question_that_is_already_followed_by_more_waits_with_its_answer() -> None:
    talk = Dialogue(mode="judge")
    talk.begins(1)
    talk.begins(2)
    talk.final("a train", 1)
    talk.answers("Where to?")
    assert not sound(talk)
    happened = talk.final("to Paris", 2)
    assert of(happened, Think)[0].ask.text == "a train to Paris"


def test_a_typed_turn_that_only_reads_is_not_held_up_by_who_speaks() -> None:
    talk = Dialogue(mode="judge")
    talk.begins(1)
    talk.ask("typed", wants_audio=False)
    talk.mind_says("Sure.", done=False)
    happened = talk.put(talk.mind_done(0))
    assert isinstance(terminals(happened)[0], TurnDone)
    talk.final("mm-hm")
    assert talk.machine.state is State.IDLE


def test_a_failure_is_told_and_spoken_to_nobody_who_speaks() -> None:
    talk = Dialogue(mode="judge")
    talk.says("what is up")
    talk.begins(2)
    talk.put(talk.mind_done(0))
    talk.voice_speaks(0, attempt=2)
    assert not sound(talk)
    talk.final("", 2)
    assert sound(talk)
    assert terminals(talk.actions)[0].code == "empty_answer"


# ---------------------------------------------------------------- other ways


def test_off_lets_her_speak_to_the_end_and_answers_then_what_was_said_together() -> None:
    talk = speaking("off", is_done=True)
    assert not events(talk.says("what about tomorrow", 1), Pause)
    talk.says("mm-hm", 2)
    talk.says("and on Sunday", 3)
    assert not terminals(talk.actions)[1:]
    assert talk.machine.state is State.SPEAKING
    assert [final.text for final in events(talk.actions, FinalEvent)] == ["mm-hm"]
    happened = talk.wait(2.0)
    assert of(happened, Think)[0].ask.text == "what about tomorrow and on Sunday"
    finals = events(happened, FinalEvent)
    assert [(final.text, final.turn_id) for final in finals] == [
        ("what about tomorrow", "S-2"), ("and on Sunday", "S-2"),
    ]  # fmt: skip
    assert len(events(happened, TurnStarted)) == 1


def test_off_waits_for_who_still_speaks_when_she_has_ended() -> None:
    talk = speaking("off", is_done=True)
    talk.says("what about tomorrow", 1)
    talk.now += 1.0
    talk.begins(2)
    assert not of(talk.wait(1.0), Think)
    happened = talk.final("and on Sunday", 2)
    assert of(happened, Think)[0].ask.text == "what about tomorrow and on Sunday"


def test_off_does_not_wait_for_lost_ears() -> None:
    talk = speaking("off", is_done=True)
    talk.says("what about tomorrow", 1)
    talk.begins(2)
    assert of(talk.wait(10.0), Think)


@pytest.mark.parametrize(("reason", "answered"), [("client", True), ("closed", False)])
def test_off_can_be_stopped_by_the_client(reason: str, answered: bool) -> None:
    talk = speaking("off")
    talk.says("what about tomorrow", 1)
    happened = talk.put(Halt(reason=reason))  # type: ignore[arg-type]
    assert isinstance(terminals(happened)[0], Interrupted)
    assert bool(of(happened, Think)) is answered


def test_half_duplex_does_not_stop_her_for_what_was_begun_before_she_spoke() -> None:
    talk = speaking("half_duplex")
    assert not events(talk.says("what about tomorrow", 1), Pause)
    assert talk.machine.is_speaking(talk.now)
    talk.voice_speaks(0, 20)
    happened = talk.wait(3.0)
    assert of(happened, Think)[0].ask.text == "what about tomorrow"
    assert not talk.machine.is_speaking(talk.now, tail_s=0.2)


def test_half_duplex_hears_until_she_speaks_and_again_a_little_after() -> None:
    talk = Dialogue(mode="half_duplex")
    talk.says("what is up")
    assert not talk.machine.is_speaking(talk.now)
    talk.begins(2)
    talk.answers("Not much.")
    assert not sound(talk), "she does not begin to speak over somebody"
    talk.final("", 2)
    talk.wait(1.1)
    assert not talk.machine.is_speaking(talk.now)
    assert talk.machine.is_speaking(talk.now, tail_s=0.2)


def test_immediate_stops_her_at_the_first_sound() -> None:
    talk = speaking("immediate")
    happened = talk.begins()
    assert isinstance(terminals(happened)[0], Interrupted)
    assert not events(talk.actions, Pause)
    assert of(talk.final("mm-hm"), Think), "whoever stops her is answered"


def test_what_the_person_ended_themselves_is_a_turn_whatever_the_words() -> None:
    talk = speaking()
    talk.begins()
    happened = talk.final("okay", is_deliberate=True)
    assert of(happened, Think)[0].ask.text == "okay"
    assert isinstance(terminals(happened)[0], Interrupted)


def test_many_open_utterances_are_bounded() -> None:
    talk = speaking()
    for number in range(1, 40):
        talk.begins(number, after_s=0.0)
    assert len(talk.machine._floor.hearing.open) <= 8
    talk.wait(5.0)
    assert events(talk.actions, Resume)


def test_an_unheard_question_is_a_cut_in_only_if_the_person_went_on_at_once() -> None:
    talk = Dialogue(mode="judge")
    talk.begins(1)
    talk.final("a train", 1, spoke_until=talk.now - 3.0)
    talk.begins(2)
    talk.understood("and a hotel", 2)
    assert terminals(talk.actions)
    assert not of(talk.actions, CutIn)


def test_an_onset_that_is_told_twice_is_one() -> None:
    talk = speaking()
    talk.begins()
    assert not talk.begins(after_s=0.0)
    talk.final("")
    assert talk.machine.state is State.SPEAKING
