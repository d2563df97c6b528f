"""The turn machine on a virtual clock: when it asks, repeats, gives up, and how every turn ends."""

from __future__ import annotations

import pytest

from services.gateway.chat_protocol import (
    BargeIn,
    ErrorEvent,
    FinalEvent,
    Flush,
    Interrupted,
    SegmentEvent,
    Token,
    TurnDone,
    TurnStarted,
)
from services.gateway.turn import State
from services.gateway.turn_io import (
    CancelWork,
    DropAudio,
    EmitAudio,
    Halt,
    HeardNothing,
    Onset,
    PlayedTo,
    Remember,
    Say,
    Speak,
    Think,
    Tick,
    TurnReport,
    Undelivered,
)
from shared.messages import (
    Failed,
    TextDelta,
    Working,
)
from tests.gateway.dialogue import POLICY, SPHINX, Dialogue, events, of, terminals


def test_a_typed_turn_is_thought_about_spoken_and_done() -> None:
    talk = Dialogue()
    started = talk.ask("what is up")
    assert events(started, TurnStarted) == [TurnStarted(turn_id="S-1", is_spoken=False)]
    think = of(started, Think)[0]
    assert (think.attempt, think.first_segment, think.spoken, think.remaining_ms) == (1, 0, "", 30000)
    assert talk.machine.state is State.THINKING
    talk.now += 0.1
    talk.mind_says("Hello there,", "how are you?")
    talk.now += 0.05
    spoken = talk.voice_speaks(0) + talk.voice_speaks(1)
    (done,) = terminals(spoken)
    assert isinstance(done, TurnDone)
    assert done.text == "Hello there, how are you?"
    assert done.has_audio
    assert done.engines["llm"].engine == "fake"
    assert done.engines["llm"].is_degraded
    assert done.engines["tts"].engine == "tone"
    assert done.timeline.llm_ms == pytest.approx(100)
    assert done.timeline.tts_ms == pytest.approx(50)
    assert done.timeline.response_ms == pytest.approx(150)
    assert done.timeline.audio_ms == pytest.approx(2000)
    assert of(talk.actions, Remember) == [Remember(turn=1, user="what is up", answer=done.text)]
    assert len(of(spoken, EmitAudio)) == 20


def test_the_parts_of_a_spoken_turn_add_up_to_its_response() -> None:
    talk = Dialogue()
    talk.put(Onset(at_ms=0))
    assert talk.machine.state is State.LISTENING
    happened = talk.ask(
        "hi", is_spoken=True, spoke_until=talk.now - 0.58, endpoint_ms=500.0, language="en", ears=SPHINX
    )
    assert events(happened, FinalEvent) == [FinalEvent(text="hi", language="en", turn_id="S-1", id=1)]
    talk.now += 0.02
    talk.mind_says("Hello.")
    talk.now += 0.03
    talk.voice_speaks(0)
    done = terminals(talk.actions)[0]
    assert done.engines["stt"] == SPHINX
    timeline = done.timeline
    assert timeline.endpoint_ms == pytest.approx(500)
    assert timeline.stt_ms == pytest.approx(80)
    parts = timeline.endpoint_ms + timeline.stt_ms + timeline.llm_ms + timeline.tts_ms + timeline.send_ms
    assert timeline.response_ms == pytest.approx(parts, abs=0.01) == pytest.approx(630, abs=0.01)


def test_an_endpoint_longer_than_the_wait_is_cut_to_the_wait() -> None:
    talk = Dialogue()
    talk.ask("hi", is_spoken=True, spoke_until=talk.now - 0.2, endpoint_ms=500.0)
    talk.mind_says("Hello.")
    talk.voice_speaks(0)
    timeline = terminals(talk.actions)[0].timeline
    assert (timeline.endpoint_ms, timeline.stt_ms) == (pytest.approx(200), 0.0)


def test_segments_are_played_in_order_whoever_is_ready_first() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", "Two.")
    assert not of(talk.voice_speaks(1, 2), EmitAudio)
    played = of(talk.voice_speaks(0, 2), EmitAudio)
    assert [(action.chunk.segment, action.chunk.seq) for action in played] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert isinstance(terminals(talk.actions)[0], TurnDone)


def test_sound_that_overtakes_its_segment_is_kept_and_played() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says(done=False)
    talk.put(talk.mind_done(2))
    assert not of(talk.voice_speaks(1, 2) + talk.voice_speaks(0, 2), EmitAudio)
    played = of(talk.put(talk.segment(0, "One.")) + talk.put(talk.segment(1, "Two.")), EmitAudio)
    assert [(action.chunk.segment, action.chunk.seq) for action in played] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert isinstance(terminals(talk.actions)[0], TurnDone)


def test_a_text_turn_needs_no_voice() -> None:
    talk = Dialogue()
    talk.ask(wants_audio=False)
    talk.put(TextDelta(turn=1, attempt=1, seq=0, text="Just text."))
    happened = talk.put(talk.mind_done(0))
    (done,) = terminals(happened)
    assert isinstance(done, TurnDone)
    assert (done.text, done.has_audio) == ("Just text.", False)


def test_an_interruption_keeps_exactly_the_words_that_were_heard() -> None:
    talk = Dialogue()
    talk.ask("tell me")
    talk.mind_says("One two three four five.", "Six seven eight nine ten.", done=False)
    talk.voice_speaks(0, 10)
    talk.now += 0.55  # of one second
    happened = talk.put(Onset(at_ms=0))
    (stopped,) = terminals(happened)
    assert isinstance(stopped, Interrupted)
    assert stopped.reason == "speech"
    assert stopped.heard == "One two three"[: len(stopped.heard)]
    assert stopped.heard.startswith("One two")
    assert of(happened, CancelWork) == [CancelWork(turn=1)]
    assert of(happened, DropAudio) == [DropAudio(turn=1)]
    assert events(happened, Flush) == [Flush(turn_id="S-1")]
    assert of(happened, Remember) == [Remember(turn=1, user="tell me", answer=stopped.heard)]
    assert not talk.voice_speaks(1), "a late chunk of the interrupted turn is ignored"


def test_an_answer_cut_short_in_playback_is_remembered_as_heard() -> None:
    talk = Dialogue()
    talk.ask("tell me")
    talk.mind_says("One two three four five six seven eight nine ten.")
    talk.voice_speaks(0, 100)
    talk.now += 2.0
    happened = talk.put(Halt(reason="client", played_ms=5000))
    assert not terminals(happened), "its terminal event was sent before"
    assert events(happened, Flush) == [Flush(turn_id="S-1")]
    (remembered,) = of(happened, Remember)
    assert remembered.answer == "One two three four five"
    assert len(of(talk.actions, TurnReport)) == 1


def test_a_client_that_leaves_behind_a_whole_answer_is_taken_to_have_heard_it() -> None:
    talk = Dialogue()
    talk.ask("tell me")
    talk.mind_says("One two three.")
    talk.voice_speaks(0, 100)
    assert not talk.put(Halt(reason="closed"))
    assert [action.answer for action in of(talk.actions, Remember)] == ["One two three."]


def test_the_session_rests_when_playback_has_ended() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("Hello.")
    talk.voice_speaks(0, 10)
    assert talk.machine.state is State.SPEAKING
    talk.wait(0.9)
    assert talk.machine.state is State.SPEAKING
    talk.wait(0.2)
    assert talk.machine.state is State.IDLE
    assert talk.machine.wake_at() is None
    assert not talk.put(Halt(reason="client")), "nothing is left to stop"


def test_the_clients_account_of_its_playback_ends_the_turn_early() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("Hello.")
    talk.voice_speaks(0, 10)
    talk.put(PlayedTo(turn=1, ms=1000))
    assert talk.machine.state is State.IDLE
    assert not talk.put(PlayedTo(turn=1, ms=1000))


def test_a_new_question_interrupts_the_answer() -> None:
    talk = Dialogue()
    talk.ask("first")
    happened = talk.ask("second")
    (stopped,) = terminals(happened)
    assert (stopped.turn_id, stopped.reason) == ("S-1", "message")
    assert of(happened, Think)[0].turn == 2
    assert not of(happened, DropAudio), "no sound was on its way"


def test_noise_that_was_no_speech_starts_no_turn() -> None:
    talk = Dialogue()
    talk.put(Onset(at_ms=0))
    happened = talk.put(HeardNothing())
    assert events(happened, FinalEvent) == [FinalEvent(text="", language="", turn_id=None, id=1)]
    assert talk.machine.state is State.IDLE
    talk.ask()
    talk.put(HeardNothing())
    assert talk.machine.state is State.THINKING


def test_a_mind_that_falls_silent_is_asked_again_behind_what_was_said() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", done=False)
    talk.voice_speaks(0)
    happened = talk.wait(2.1)
    (think,) = of(happened, Think)
    assert (think.attempt, think.spoken, think.first_segment) == (2, "One.", 1)
    assert events(happened, Token) == [Token(turn_id="S-1", text="One. ", at=0)]
    assert not talk.put(TextDelta(turn=1, attempt=1, seq=9, text="late")), "the older attempt is fenced off"
    talk.mind_says("Two.", attempt=2, first=1)
    talk.voice_speaks(1, attempt=2)
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert done.text == "One. Two."
    assert done.timeline.attempts == 2


def test_a_mind_that_falls_silent_while_the_person_hears_nothing_is_asked_again_soon_but_once() -> None:
    talk = Dialogue()
    talk.ask()
    talk.put(Working(stage="llm", worker="a", turn=1, attempt=1))
    assert not of(talk.wait(POLICY.mind_lost_s - 0.01), Think)
    assert of(talk.wait(0.02), Think)[0].attempt == 2
    talk.put(Working(stage="llm", worker="b", turn=1, attempt=2))
    assert not of(talk.wait(POLICY.beat_lost_s - 0.01), Think), "a mind that is only slow is not asked thrice"
    assert of(talk.wait(0.02), Think)[0].attempt == 3


def test_a_mind_that_falls_silent_is_waited_for_as_long_as_its_sound_is_played() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", done=False)
    talk.voice_speaks(0, 15)  # 100 ms each
    assert not of(talk.wait(1.45), Think)
    assert of(talk.wait(0.1), Think)


def test_work_that_another_worker_got_again_is_begun_anew_by_the_gateway() -> None:
    talk = Dialogue()
    talk.ask()
    talk.put(Working(stage="llm", worker="a", turn=1, attempt=1))
    failed = Failed(stage="llm", worker="b", turn=1, attempt=1, code="redelivered", message="x")
    assert of(talk.put(failed), Think)[0].attempt == 2
    assert not talk.put(failed), "the same news of the older attempt is stale"


def test_an_answer_that_is_complete_stands_when_its_work_comes_to_another_worker_again() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    again = Failed(stage="llm", worker="b", turn=1, attempt=1, code="redelivered", message="x")
    assert not talk.put(again)
    talk.voice_speaks(0)
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert done.timeline.attempts == 1


def test_a_segment_that_was_lost_on_its_way_to_the_gateway_is_asked_for_again() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", done=False)
    talk.voice_speaks(0)
    talk.put(talk.mind_done(2))
    (again,) = of(talk.wait(3), Think)
    assert (again.attempt, again.first_segment) == (2, 1)
    talk.mind_says("Two.", attempt=2, first=1)
    talk.voice_speaks(1, attempt=2)
    talk.wait(10)
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert done.text == "One. Two."


def test_two_workers_that_were_given_the_same_turn_are_both_fenced_off() -> None:
    talk = Dialogue()
    talk.ask()
    for worker, beat in (("a", 0), ("a", 1)):
        assert not of(talk.put(Working(stage="llm", worker=worker, turn=1, attempt=1, beat=beat)), Think)
    assert of(talk.put(Working(stage="llm", worker="b", turn=1, attempt=1)), Think)[0].attempt == 2
    assert not talk.put(TextDelta(turn=1, attempt=1, seq=0, text="two at once"))
    assert not of(talk.put(Working(stage="llm", worker="b", turn=1, attempt=2)), Think)


def test_a_mind_that_fails_every_time_ends_in_a_spoken_apology_and_an_error() -> None:
    talk = Dialogue()
    talk.ask(language="fr")
    for attempt in (1, 2, 3):
        happened = talk.put(
            Failed(stage="llm", worker="m", turn=1, attempt=attempt, code="engine_failed", message="no luck")
        )
    (speak,) = of(happened, Speak)
    assert "Pardon" in speak.text
    assert not terminals(talk.actions), "the person hears the apology first"
    happened = talk.voice_speaks(0, attempt=4)
    (error,) = terminals(happened)
    assert (error.code, error.turn_id) == ("llm_failed", "S-1")
    assert of(happened, TurnReport)[0].outcome == "failed"


def test_an_apology_that_cannot_be_spoken_ends_the_turn_all_the_same() -> None:
    talk = Dialogue()
    talk.ask()
    talk.put(talk.mind_done(0))
    happened = talk.wait(20)
    (error,) = terminals(happened)
    assert error.code == "empty_answer"


def test_a_turn_that_nobody_takes_up_ends_by_its_deadline() -> None:
    talk = Dialogue()
    talk.ask()
    talk.wait(60)
    (error,) = terminals(talk.actions)
    assert error.code == "llm_unavailable"
    assert talk.machine.state is State.IDLE


def test_a_mind_that_beats_but_never_answers_is_given_up() -> None:
    talk = Dialogue()
    talk.ask()
    for beat in range(100):
        talk.put(Working(stage="llm", worker="m", turn=1, attempt=1, beat=beat))
        talk.wait(0.5)
    (error,) = terminals(talk.actions)
    assert error.code == "turn_timeout"


def test_an_expired_turn_is_not_asked_again() -> None:
    talk = Dialogue()
    talk.ask(wants_audio=False)
    happened = talk.put(Failed(stage="llm", worker="m", turn=1, attempt=1, code="expired", message="late"))
    (error,) = terminals(happened)
    assert error.code == "turn_timeout"


def test_a_voice_that_falls_silent_is_asked_again_and_goes_on_where_it_broke_off() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One two three.")
    talk.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=0))
    talk.put(talk.chunk(0, 0))
    talk.put(talk.chunk(0, 1))
    (speak,) = of(talk.wait(2.1), Speak)
    assert (speak.segment, speak.take, speak.text, speak.voice) == (0, 2, "One two three.", "v")
    assert (speak.mood, speak.language) == ("calm", "en")
    assert not talk.put(talk.chunk(0, 2)), "the older take is fenced off"
    played = of(talk.voice_speaks(0, 4, take=2), EmitAudio)
    assert [action.chunk.seq for action in played] == [2, 3]
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert done.timeline.repeats == 1
    assert done.timeline.audio_ms == pytest.approx(400)
    assert done.engines["tts"].model == "t", "which voice served"


@pytest.mark.parametrize(("sent", "lost_s"), [(0, 0.75), (2, 0.75), (12, 1.2), (40, 2.0)])
def test_the_sooner_a_person_runs_dry_the_sooner_a_silent_voice_is_replaced(sent: int, lost_s: float) -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One two three.")
    talk.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=0))
    for seq in range(sent):
        talk.put(talk.chunk(0, seq))
    assert not of(talk.wait(lost_s - 0.01), Speak)
    assert of(talk.wait(0.02), Speak)


def test_a_silent_voice_of_a_later_segment_is_given_the_usual_time() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", "Two.")
    for segment in (0, 1):
        talk.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=segment))
    first = of(talk.wait(0.8), Speak)
    assert [speak.segment for speak in first] == [0]
    assert [speak.segment for speak in of(talk.wait(1.3), Speak)] == [1]


def test_nobody_waits_for_a_voice_while_the_person_may_be_interrupting() -> None:
    talk = Dialogue()
    talk.machine.use(BargeIn(decide_ms=3000))
    talk.ask()
    talk.mind_says("One two three.")
    talk.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=0))
    talk.put(talk.chunk(0, 0))
    talk.put(Onset(at_ms=0, began_at=talk.now))
    assert not of(talk.wait(1.9), Speak)
    assert of(talk.wait(0.2), Speak)


def test_a_lost_chunk_is_made_again_rather_than_skipped() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    talk.put(talk.chunk(0, 0))
    (speak,) = of(talk.put(talk.chunk(0, 2)), Speak)
    assert speak.take == 2
    talk.voice_speaks(0, 3, take=2)
    assert isinstance(terminals(talk.actions)[0], TurnDone)


def test_lost_last_chunks_are_made_again() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    talk.put(talk.chunk(0, 0))
    assert of(talk.put(talk.voice_done(0, 2)), Speak)[0].take == 2


def test_a_voice_that_fails_every_time_is_an_error_not_silence() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    for take in (1, 2, 3):
        talk.put(
            Failed(stage="tts", worker="v", turn=1, attempt=1, segment=0, take=take, code="x", message="m")
        )
    (error,) = terminals(talk.actions)
    assert error.code == "tts_failed"


def test_a_segment_that_no_voice_takes_up_is_an_error() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    talk.wait(6)
    (error,) = terminals(talk.actions)
    assert (error.code, error.text) == ("tts_unavailable", "One.")


def test_silence_is_never_reported_as_a_turn_done() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    talk.voice_speaks(0, level=0.0)
    (error,) = terminals(talk.actions)
    assert isinstance(error, ErrorEvent)
    assert error.code == "no_audio"


@pytest.mark.parametrize(("stage", "code"), [("llm", "broker_lost"), ("llm", "busy"), ("tts", "broker_lost")])
def test_work_that_the_broker_does_not_take_ends_the_turn_at_once(stage: str, code: str) -> None:
    talk = Dialogue()
    talk.ask()
    happened = talk.put(Undelivered(stage=stage, turn=1, code=code, message="gone"))  # type: ignore[arg-type]
    (error,) = terminals(happened)
    assert error.code == code


def test_a_given_text_is_spoken_without_the_mind_and_not_remembered() -> None:
    talk = Dialogue()
    happened = talk.put(Say(text="Read this.", speed=1.5))
    (speak,) = of(happened, Speak)
    assert (speak.text, speak.speed, speak.segment) == ("Read this.", 1.5, 0)
    assert not of(happened, Think)
    assert not talk.put(talk.segment(0, "Read this.")), "its own checkpoint is no news"
    (done,) = terminals(talk.voice_speaks(0))
    assert done.text == "Read this."
    assert not of(talk.actions, Remember)


def test_a_given_text_cannot_be_thought_about_again() -> None:
    talk = Dialogue()
    talk.put(Say(text="Read this."))
    happened = talk.put(Failed(stage="llm", worker="m", turn=1, attempt=1, code="odd", message="m"))
    assert events(happened, ErrorEvent) == []
    assert of(happened, Speak), "the failure is spoken"


def test_a_canary_is_not_remembered_and_makes_no_apology() -> None:
    talk = Dialogue()
    talk.ask(is_canary=True)
    happened = talk.put(talk.mind_done(0))
    assert terminals(happened)[0].code == "empty_answer"
    assert not of(talk.actions, Remember)
    assert of(happened, TurnReport)[0].is_canary


def test_messages_of_no_turn_or_another_turn_are_ignored() -> None:
    talk = Dialogue()
    assert not talk.put(TextDelta(turn=1, attempt=1, seq=0, text="x"))
    assert not talk.put(Tick())
    talk.ask()
    assert not talk.put(TextDelta(turn=7, attempt=1, seq=0, text="x"))
    assert not talk.put(talk.chunk(3, 0)), "a chunk of a segment that nobody asked for"
    assert not talk.put(talk.voice_done(3, 1))
    assert not talk.put(Tick()), "nothing is overdue"
    assert not talk.put(Failed(stage="tts", worker="v", turn=1, attempt=1, segment=5, code="x", message="m"))
    assert not talk.put(Working(stage="stt", worker="e", turn=1, attempt=9))
    assert not talk.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=-1))
    assert not talk.put(talk.voice_done(-1, 1))
    assert not talk.put(Failed(stage="tts", worker="v", turn=1, attempt=1, segment=-1, code="x", message="m"))


def test_the_segment_event_tells_what_is_being_spoken() -> None:
    talk = Dialogue()
    talk.ask()
    happened = talk.mind_says("One.")
    assert events(happened, SegmentEvent) == [
        SegmentEvent(turn_id="S-1", segment=0, text="One.", mood="calm")
    ]
    assert not talk.put(talk.segment(5, "out of order"))
