"""What the person hears is never silence: fillers and apologies, on a virtual clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from services.gateway.chat_protocol import ErrorEvent, Filler, Flush, Interrupted, Pause, Resume, TurnDone
from services.gateway.clips import FILLER_SEGMENT, choose
from services.gateway.turn import State
from services.gateway.turn_io import (
    Action,
    CancelWork,
    EmitAudio,
    Onset,
    PlayedTo,
    Remember,
    Returned,
    Say,
    Speak,
    Think,
    Tick,
    TurnPolicy,
    TurnReport,
)
from shared.messages import Failed, TextDelta, ToolCall, ToolUse, Working
from tests.fakes.clips import SORRY, TEXTS, Ready, clip
from tests.gateway.dialogue import Dialogue, events, of, terminals

POLICY = TurnPolicy(filler_s=0.45, filler_again_s=1.6, apology_s=3.0)
LONG = TurnPolicy(filler_s=0.45, filler_again_s=1.6, apology_s=0)


def talk(policy: TurnPolicy = POLICY, mode: str = "immediate", clips: Ready | None = None) -> Dialogue:
    return Dialogue(policy, mode, clips or Ready())


def fillers(actions: list[Action]) -> list[str]:
    return [event.text for event in events(actions, Filler)]  # type: ignore[attr-defined]


def sound(actions: list[Action], segment: int) -> int:
    return sum(isinstance(each, EmitAudio) and each.chunk.segment == segment for each in actions)


def test_silence_of_450_ms_is_bridged_and_told_before_it_sounds() -> None:
    one = talk()
    one.ask(language="fr", voice="siwis")
    assert fillers(one.wait(0.449)) == []
    happened = one.wait(0.002)
    assert fillers(happened) == [TEXTS[0]]
    first = next(index for index, action in enumerate(happened) if isinstance(action, EmitAudio))
    assert events(happened[:first], Filler) == [Filler(turn_id="S-1", text=TEXTS[0])]
    assert {each.chunk.segment for each in of(happened, EmitAudio)} == {FILLER_SEGMENT}  # type: ignore[attr-defined]
    assert {each.chunk.turn for each in of(happened, EmitAudio)} == {1}  # type: ignore[attr-defined]
    assert one.machine.state is State.SPEAKING
    assert ("fr", "siwis") in one.machine._answering._clips.asked  # type: ignore[attr-defined]


def test_the_answer_follows_right_behind_the_filler_and_knows_nothing_of_it() -> None:
    one = talk()
    one.ask()
    one.wait(0.6)
    one.answers("Hello there.")
    (done,) = terminals(one.actions)
    assert isinstance(done, TurnDone)
    assert (done.text, done.has_audio) == ("Hello there.", True)
    timeline = done.timeline
    assert (timeline.first_sound_ms, timeline.response_ms, timeline.fillers) == (450, 600, 1)
    assert (
        timeline.endpoint_ms + timeline.stt_ms + timeline.llm_ms + timeline.tts_ms + timeline.send_ms == 600
    )
    assert timeline.audio_ms == 1000
    assert of(one.actions, Remember) == [Remember(turn=1, user="hello", answer="Hello there.")]
    # The playback lasts: 0.5 s of the filler from 0.45 on, and then 1 s.
    assert one.machine.wake_at() == pytest.approx(100.45 + 0.5 + 1.0)
    assert of(one.actions, TurnReport)[0].timeline.fillers == 1  # type: ignore[attr-defined]


def test_no_filler_once_a_segment_is_on_its_way() -> None:
    one = talk()
    one.ask()
    one.wait(0.44)
    one.mind_says("Hello there.", done=False)
    assert fillers(one.wait(2.0)) == []
    one.voice_speaks(0)
    one.put(one.mind_done(1))
    assert fillers(one.wait(5.0)) == []


def test_silence_that_goes_on_is_bridged_again_with_other_words() -> None:
    one = talk(LONG)
    one.ask()
    one.put(Working(stage="llm", worker="m", turn=1, attempt=1))
    said: list[tuple[float, str]] = []
    for beat in range(20):
        one.put(Working(stage="llm", worker="m", turn=1, attempt=1, beat=beat))
        said += [(round(one.now - 100, 2), text) for text in fillers(one.wait(0.5))]
    assert [text for _, text in said] == [*TEXTS, *TEXTS[:2]]
    gaps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(said)]
    assert all(gap == pytest.approx(2.1, abs=0.5) for gap in gaps)


def test_the_next_turn_does_not_begin_with_the_filler_of_the_last() -> None:
    one, last = talk(clips=Ready(TEXTS[:2])), ""
    for _ in range(5):
        one.ask()
        (text,) = fillers(one.wait(0.5))
        assert text != last
        last = text
        one.answers("Hello there.")
        one.wait(3.0)


def test_what_was_said_last_is_never_chosen() -> None:
    assert choose([], "") is None
    assert choose([clip("a")], "a") is None
    assert choose([clip("a")], "b") == clip("a")
    assert choose([clip("a"), clip("b"), clip("c")], "b") == clip("c")
    assert choose([clip("a"), clip("b"), clip("c")], "c") == clip("a")
    assert choose([clip("a"), clip("a")], "a") is None


BEGINNINGS: list[Callable[[Dialogue], object]] = [
    lambda one: one.ask(wants_audio=False),
    lambda one: one.ask(is_canary=True),
    lambda one: one.put(Say(text="A long text")),
]


@pytest.mark.parametrize("begin", BEGINNINGS, ids=["text", "canary", "say"])
def test_who_waits_for_no_answer_to_be_heard_gets_no_filler(begin: Callable[[Dialogue], object]) -> None:
    one = talk()
    begin(one)
    assert fillers(one.wait(4.0)) == []
    assert "llm_slow" not in [getattr(end, "code", "") for end in terminals(one.actions)]
    assert all(think.first_ms == 0 for think in of(one.actions, Think))  # type: ignore[attr-defined]


def test_fillers_and_the_bound_can_be_switched_off() -> None:
    one = talk(TurnPolicy(filler_s=0, apology_s=0))
    one.ask()
    one.put(Working(stage="llm", worker="m", turn=1, attempt=1))
    one.wait(1.9)
    assert fillers(one.actions) == []
    assert terminals(one.actions) == []


def test_where_none_is_ready_none_is_played_and_the_next_chance_is_taken() -> None:
    ready = Ready(texts=())
    one = talk(clips=ready)
    one.ask()
    one.wait(0.5)
    assert (fillers(one.actions), one.machine.state) == ([], State.THINKING)
    ready.texts = TEXTS
    assert fillers(one.wait(1.6)) == [TEXTS[0]]


def test_a_mute_filler_is_no_first_sound() -> None:
    one = talk(clips=Ready(level=0.0))
    one.ask()
    one.wait(0.6)
    one.answers("Hello.")
    done = terminals(one.actions)[0]
    assert isinstance(done, TurnDone)
    assert done.timeline.first_sound_ms == done.timeline.response_ms == 600


# ------------------------------------------------------------ while somebody speaks


def test_nobody_who_speaks_is_spoken_over_and_the_filler_comes_when_they_were_not_heard() -> None:
    one = talk(mode="judge")
    one.ask()
    one.now += 0.3
    one.put(Onset(at_ms=0, utterance=(1, 1), began_at=one.now))
    assert fillers(one.wait(1.0)) == []
    happened = one.final("", 1)
    assert fillers(happened + one.wait(0.01)) == [TEXTS[0]]


def test_a_filler_is_interrupted_as_an_answer_is_and_its_question_stands() -> None:
    one = talk()
    one.says("what is the time")
    one.wait(0.6)
    assert fillers(one.actions) == [TEXTS[0]]
    happened = one.begins(2)
    assert events(happened, Flush) == [Flush(turn_id="S-1")]
    (ended,) = terminals(happened)
    assert isinstance(ended, Interrupted)
    assert (ended.heard, ended.timeline.fillers) == ("", 1)
    happened = one.final("in Paris", 2)
    assert of(happened, Think)[0].ask.text == "what is the time in Paris"  # type: ignore[attr-defined]
    assert of(one.actions, Remember) == []


def test_a_filler_that_comes_back_through_the_microphone_is_an_echo() -> None:
    one = talk(mode="judge", clips=Ready(("Let me see that for you.", "Well.")))
    one.says("what is the time")
    one.wait(0.6)
    happened = one.begins(2, after_s=0.05)
    assert events(happened, Pause) == [Pause(turn_id="S-1")]
    happened = one.speaks(900, number=2) + one.understood("let me see that for you", 2)
    happened += one.final("let me see that for you", 2)
    assert [event.verdict for event in events(one.actions, Resume)] == ["echo"]  # type: ignore[attr-defined]
    assert terminals(one.actions) == []


@pytest.mark.parametrize(("played_ms", "heard"), [(500, ""), (1000, "one two")])
def test_of_what_was_heard_the_filler_takes_its_time_and_gives_no_words(played_ms: int, heard: str) -> None:
    one = talk()
    one.ask()
    one.wait(0.46)
    one.answers("one two three four five", chunks=10)
    one.put(PlayedTo(turn=1, ms=played_ms))
    one.put(Onset(at_ms=0))
    assert of(one.actions, Remember)[-1].answer == heard  # type: ignore[attr-defined]


def test_an_answer_begun_ahead_is_bridged_from_the_final_on() -> None:
    one = talk(mode="judge")
    one.begins()
    one.likely("what is the time")
    assert fillers(one.wait(1.0)) == []
    one.final("what is the time")
    assert fillers(one.wait(0.44)) == []
    assert fillers(one.wait(0.02)) == [TEXTS[0]]


# ------------------------------------------------------------ functions


def test_after_the_results_of_a_function_silence_is_bridged_anew() -> None:
    one = talk(TurnPolicy(apology_s=3.0, tool_slow_s=5.0))
    one.ask()
    one.put(Working(stage="llm", worker="m", turn=1, attempt=1))
    call = ToolUse(id="c", name="time", arguments="{}")
    one.put(ToolCall(turn=1, attempt=1, call=call, by="client"))
    done = one.mind_done(0)
    one.put(type(done)(**{f: getattr(done, f) for f in done.__struct_fields__} | {"tool_calls": 1}))
    assert fillers(one.wait(4.0)) == []
    assert terminals(one.actions) == []
    happened = one.put(Returned(call_id="c", output="noon"))
    assert of(happened, Think)[0].first_ms == 3000  # type: ignore[attr-defined]
    assert fillers(one.wait(0.46)) == [TEXTS[0]]
    one.wait(2.6)
    assert [end.code for end in terminals(one.actions)] == ["llm_unavailable"]  # type: ignore[attr-defined]


# ------------------------------------------------------------ the end of patience


def test_after_3_s_the_turn_is_given_up_aloud_and_honestly() -> None:
    one = talk()
    started = one.ask("how are you")
    assert of(started, Think)[0].first_ms == 3000  # type: ignore[attr-defined]
    one.put(Working(stage="llm", worker="m", turn=1, attempt=1))
    for beat in range(1, 6):
        assert terminals(one.wait(0.5)) == []
        one.put(Working(stage="llm", worker="m", turn=1, attempt=1, beat=beat))
    one.put(TextDelta(turn=1, attempt=1, seq=0, text="Well"))
    assert terminals(one.wait(0.49)) == []
    happened = one.wait(0.02)
    (error,) = terminals(happened)
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.message) == ("llm_slow", "the language model gave no words to say within 3 s")
    assert sound(happened, 0) == 5
    assert CancelWork(turn=1) in happened
    assert of(happened, Speak) == []
    report = of(happened, TurnReport)[0]
    assert (report.outcome, report.code, report.has_audio) == ("failed", "llm_slow", True)  # type: ignore[attr-defined]
    assert report.engines["tts"].engine == "tone"  # type: ignore[attr-defined]
    assert report.timeline.response_ms == 3000  # type: ignore[attr-defined]
    one.wait(5)
    assert one.machine.state is State.IDLE
    assert of(one.actions, Remember)[-1].answer == ""  # type: ignore[attr-defined]


def test_where_nobody_took_the_turn_up_the_error_says_so() -> None:
    one = talk()
    one.ask()
    one.wait(3.1)
    (error,) = terminals(one.actions)
    assert isinstance(error, ErrorEvent)
    assert error.code == "llm_unavailable"


def test_an_apology_that_is_not_ready_is_asked_of_the_voice() -> None:
    one = talk(clips=Ready(texts=(), sorry=""))
    one.ask()
    happened = one.wait(3.1)
    assert len(of(happened, Speak)) == 1
    assert terminals(happened) == []
    one.voice_speaks(0, attempt=2)
    assert len(terminals(one.actions)) == 1


def test_a_voice_that_has_failed_is_not_needed_for_a_ready_apology() -> None:
    one = talk()
    one.ask()
    one.mind_says("One two three four.", "Five.")
    for take in (1, 2, 3):
        one.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=0, take=take))
        if take == 1:
            one.put(one.chunk(0, 0))
        one.put(
            Failed(
                stage="tts",
                worker="v",
                turn=1,
                attempt=1,
                segment=0,
                take=take,
                code="engine_failed",
                message="m",
            )
        )
    (error,) = terminals(one.actions)
    assert isinstance(error, ErrorEvent)
    assert error.code == "tts_failed"
    assert sound(one.actions, 2) == 5, SORRY


def test_an_apology_waits_for_who_speaks() -> None:
    one = talk(mode="judge")
    one.ask()
    one.put(Working(stage="llm", worker="m", turn=1, attempt=1))
    one.put(Onset(at_ms=0, utterance=(1, 1), began_at=one.now))
    one.put(Failed(stage="llm", worker="m", turn=1, attempt=1, code="expired", message="m"))
    assert sound(one.actions, 0) == 0
    assert terminals(one.actions) == []
    happened = one.final("", 1)
    assert sound(happened, 0) == 5
    assert [end.code for end in terminals(happened)] == ["turn_timeout"]  # type: ignore[attr-defined]


def test_what_is_asked_again_has_what_is_left_of_the_bound() -> None:
    one = talk()
    one.ask()
    one.put(Working(stage="llm", worker="m", turn=1, attempt=1))
    one.now += 1.0
    happened = one.put(Failed(stage="llm", worker="m", turn=1, attempt=1, code="engine_failed", message="m"))
    assert of(happened, Think)[0].first_ms == 2000  # type: ignore[attr-defined]
    one.put(Tick())
    assert terminals(one.actions) == []
