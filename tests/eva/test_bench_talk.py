"""What becomes of a simulated person's questions."""

from __future__ import annotations

import msgspec
import pytest

from eva.bench_script import Kind
from eva.bench_talk import ANSWER_S, UNHEARD_S, Met, Note, Talk
from services.gateway.chat_protocol import AudioEvent, Pause, TurnDone, encode_event


class Story:
    """Tells a conversation event by event; ``at`` is seconds."""

    def __init__(self, kind: Kind = "spoken") -> None:
        self.talk = Talk(kind)

    def ask(self, at: float, *, ended: float | None = None) -> None:
        self.talk.begin(at)
        if ended is not None:
            self.talk.end(ended)

    def hear(
        self, at: float, what: str, turn: str | None = None, *,
        seconds: float = 0.0, segment: int = 0, is_audible: bool = False, code: str = "",
    ) -> None:  # fmt: skip
        note = Note(type=what, turn_id=turn, duration_ms=1000 * seconds, segment=segment, code=code)
        self.talk.take(note, at, is_audible=is_audible)

    def sound(self, at: float, turn: str, seconds: float = 1.0) -> None:
        self.hear(at, "audio", turn, seconds=seconds, is_audible=True)

    def answer(self, at: float, turn: str, seconds: float = 1.0) -> None:
        """A whole spoken turn, all of its sound at once."""
        self.hear(at, "speech_started")
        self.hear(at, "final", turn)
        self.hear(at, "turn_started", turn)
        self.sound(at, turn, seconds)
        self.hear(at, "turn_done", turn)

    def met(self, at: float) -> list[Met]:
        self.talk.close(at)
        return self.talk.met


def test_notes_are_what_a_person_takes_notice_of_in_real_events() -> None:
    decoder = msgspec.json.Decoder(Note)
    audio = AudioEvent(
        turn_id="t", segment=-1, seq=0, format="pcm", rate_hz=24000, duration_ms=20.0, size_bytes=960
    )
    assert decoder.decode(encode_event(audio)) == Note(
        type="audio", turn_id="t", segment=-1, duration_ms=20.0
    )
    assert decoder.decode(encode_event(Pause(turn_id="t"))) == Note(type="pause", turn_id="t")
    assert {"turn_done"} == {TurnDone.__struct_config__.tag}


def test_an_answer_is_timed_from_the_end_of_the_question_to_its_first_audible_sound() -> None:
    story = Story()
    story.ask(1.0, ended=2.0)
    story.hear(1.1, "speech_started")
    story.hear(2.1, "final", "t")
    story.hear(2.1, "turn_started", "t")
    story.hear(2.15, "audio", "t", seconds=0.1, segment=-1, is_audible=True)
    story.hear(2.2, "audio", "t", seconds=0.1)
    story.sound(2.25, "t", 0.5)
    story.sound(2.3, "t", 0.5)
    assert not story.talk.is_settled(2.3)
    story.hear(2.4, "turn_done", "t")
    assert story.talk.is_settled(2.4)
    assert not story.talk.is_over(2.5)
    assert story.talk.is_over(4.0)
    assert story.met(4.0) == [Met(kind="spoken", asked_s=2.0, outcome="ok", response_ms=250.0)]


def test_a_typed_question_needs_no_transcript() -> None:
    story = Story("typed")
    story.ask(1.0, ended=1.0)
    story.hear(1.1, "turn_started", "t")
    story.sound(1.2, "t")
    story.hear(1.3, "turn_done", "t")
    assert story.talk.is_settled(1.3)
    assert [(one.kind, one.response_ms) for one in story.met(3.0)] == [("typed", 200.0)]


def test_nothing_is_open_before_anything_was_asked() -> None:
    talk = Talk("spoken")
    talk.end(1.0)
    talk.take(Note(type="ready"), 1.0)
    assert talk.is_over(1.0)
    assert talk.is_heard("t")
    assert talk.heard_s(1.0) == 0.0
    talk.close(1.0)
    assert talk.met == []


def test_sound_is_listened_to_until_it_could_be_heard() -> None:
    story = Story()
    story.ask(0.0, ended=1.0)
    story.hear(1.0, "final", "t")
    assert not story.talk.is_heard("t")
    story.sound(1.1, "t")
    assert story.talk.is_heard("t")
    assert not story.talk.is_heard("u")
    story.hear(1.2, "turn_done", "t")
    story.ask(5.0, ended=6.0)
    assert story.talk.is_heard("t")


def test_speaking_into_an_answer_is_no_failure_and_is_timed_to_its_pause() -> None:
    story = Story()
    story.ask(0.0, ended=1.0)
    story.answer(1.2, "t", seconds=5.0)
    assert story.talk.heard_s(2.26) == pytest.approx(1.0)
    story.ask(2.26)
    assert story.talk.heard_s(2.3) == 0.0
    story.hear(2.4, "speech_started")
    story.hear(2.46, "pause", "t")
    story.hear(2.9, "flush", "t")
    story.hear(2.9, "interrupted", "t")
    story.talk.end(3.0)
    assert not story.talk.is_settled(3.0)
    story.answer(3.1, "u")
    first, second = story.met(9.0)
    assert (first.outcome, first.response_ms, first.stopped_ms) == ("ok", 200.0, None)
    assert (second.outcome, second.stopped_ms) == ("ok", 200.0)


def test_an_answer_that_is_still_being_made_may_be_interrupted_too() -> None:
    story = Story("typed")
    story.ask(0.0, ended=0.0)
    story.hear(0.1, "turn_started", "t")
    story.sound(0.2, "t", 0.3)
    story.ask(0.4, ended=0.4)
    story.hear(0.45, "interrupted", "t")
    assert story.met(0.5)[0].outcome == "ok"


def test_an_answer_that_goes_on_was_not_stopped() -> None:
    story = Story()
    story.ask(0.0, ended=1.0)
    story.answer(1.2, "t", seconds=5.0)
    story.ask(2.0)
    story.hear(2.2, "pause", "t")
    story.hear(2.6, "resume", "t")
    assert story.talk.playback.left_s(2.6) == pytest.approx(1.26 + 5.0 - 2.2)
    story.talk.end(3.0)
    story.answer(3.1, "u")
    assert story.met(9.0)[1].stopped_ms is None


def test_a_flush_behind_the_end_of_an_answer_is_no_stop() -> None:
    story = Story()
    story.ask(0.0, ended=1.0)
    story.answer(1.2, "t", seconds=0.5)
    story.ask(3.0)
    story.hear(3.1, "flush", "t")
    story.talk.end(4.0)
    story.answer(4.1, "u")
    assert story.met(9.0)[1].stopped_ms is None


def test_an_answer_into_the_question_is_followed_by_the_one_that_counts() -> None:
    story = Story()
    story.ask(0.0)
    story.hear(0.1, "speech_started")
    story.hear(0.8, "final", "t")
    story.sound(0.9, "t")
    story.hear(1.0, "speech_started")
    story.hear(1.1, "interrupted", "t")
    story.talk.end(2.0)
    assert not story.talk.is_settled(2.05)
    story.hear(2.1, "final", "u")
    assert not story.talk.is_settled(2.1)
    story.sound(2.3, "u")
    story.hear(2.4, "turn_done", "u")
    (one,) = story.met(9.0)
    assert (one.outcome, one.response_ms) == ("ok", 300.0)


def test_an_answer_before_the_end_of_the_question_took_no_time() -> None:
    story = Story()
    story.ask(0.0)
    story.answer(0.9, "t")
    story.talk.end(1.0)
    assert story.met(9.0)[0].response_ms == 0.0


def test_the_end_of_an_earlier_turn_ends_nothing_newer() -> None:
    story = Story()
    story.ask(0.0, ended=1.0)
    story.hear(1.0, "final", "t")
    story.hear(1.1, "final", "u")
    story.hear(1.2, "turn_done", "t")
    assert not story.talk.is_settled(1.2)


def test_breaks_belong_to_the_answer_that_has_them() -> None:
    story = Story()
    story.ask(0.0, ended=1.0)
    story.hear(1.0, "final", "t")
    story.sound(1.1, "t", 0.2)
    story.sound(2.1, "t", 0.2)
    story.hear(2.2, "turn_done", "t")
    story.ask(5.0, ended=6.0)
    story.hear(6.0, "final", "u")
    story.hear(6.1, "error", "u", code="tts_failed")
    broken, failed = story.met(9.0)
    assert (broken.underruns, broken.silence_ms) == (1, 800.0)
    assert (failed.outcome, failed.underruns, failed.silence_ms) == ("tts_failed", 0, 0.0)


def events(*told: tuple[str, str | None]) -> list[tuple[str, str | None]]:
    return list(told)


@pytest.mark.parametrize(
    ("told", "waits_s", "outcome"),
    [
        (events(("final", "t"), ("turn_done", "t")), 0.5, "mute"),
        (events(("final", "t"), ("interrupted", "t")), 0.5, "stopped"),
        (events(("final", None)), UNHEARD_S + 0.1, "unheard"),
        (events(("final", None), ("error", None)), UNHEARD_S + 0.1, "busy"),
        (events(("error", None)), UNHEARD_S + 0.1, "busy"),
        (events(("final", "t"), ("token", "t")), ANSWER_S + 0.1, "no_answer"),
        (events(), ANSWER_S + 0.1, "no_answer"),
        (events(("final", "t"), ("sound", "t")), ANSWER_S + 0.1, "no_answer"),
    ],
)
def test_a_question_without_an_answer_says_why(
    told: list[tuple[str, str | None]], waits_s: float, outcome: str
) -> None:
    story = Story()
    story.ask(0.0, ended=1.0)
    for what, turn in told:
        if what == "sound":
            story.sound(1.1, "t")
        else:
            story.hear(1.1, what, turn, code="busy")
    story.talk.is_settled(1.0 + waits_s)
    assert story.talk.is_settled(1.0 + waits_s)
    assert [one.outcome for one in story.met(1.0 + waits_s)] == [outcome]


def test_nobody_gives_up_while_eva_hears_them_speak() -> None:
    story = Story()
    story.ask(0.0, ended=1.0)
    story.hear(1.1, "final", None)
    story.hear(1.2, "speech_started")
    assert not story.talk.is_settled(1.0 + UNHEARD_S + 0.1)
    assert story.talk.is_settled(1.0 + ANSWER_S + 0.1)


def test_a_question_that_is_being_asked_is_not_settled() -> None:
    story = Story()
    story.ask(0.0)
    assert not story.talk.is_settled(100.0)
    (one,) = story.met(100.0)
    assert (one.asked_s, one.outcome, one.response_ms) == (0.0, "no_answer", None)


@pytest.mark.parametrize(
    ("asks", "is_answered", "outcomes"),
    [(False, False, ["lost"]), (True, False, ["lost"]), (True, True, ["ok", "lost"])],
)
def test_a_lost_conversation_fails_what_had_no_answer_yet(
    asks: bool, is_answered: bool, outcomes: list[str]
) -> None:
    story = Story()
    if asks:
        story.ask(0.0, ended=1.0)
    if is_answered:
        story.answer(1.1, "t", seconds=0.1)
    story.talk.lose("lost", 5.0)
    assert [one.outcome for one in story.talk.met] == outcomes
