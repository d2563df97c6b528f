import math
from typing import get_args

import numpy as np

from eva.chat_client import AnyServerEvent
from eva.dialogue import Dialogue, track
from services.gateway import chat_protocol
from services.gateway.chat_protocol import (
    AudioEvent,
    EngineReport,
    ErrorEvent,
    FinalEvent,
    Flush,
    Interrupted,
    PartialEvent,
    Pause,
    Resume,
    ServerEvent,
    SpeechStartedEvent,
    Timeline,
    Token,
    TurnDone,
    TurnStarted,
)

RATE_HZ = 1000


def audio(turn_id: str, samples: int) -> AudioEvent:
    return AudioEvent(
        turn_id=turn_id, segment=0, seq=0, format="pcm", rate_hz=RATE_HZ,
        duration_ms=samples * 1000 / RATE_HZ, size_bytes=2 * samples,
    )  # fmt: skip


def told(*events: ServerEvent) -> Dialogue:
    dialogue = Dialogue()
    for number, event in enumerate(events):
        dialogue.take(event, b"", float(number))
    return dialogue


def test_a_spoken_turn_is_put_together_from_its_events() -> None:
    loud = (np.sin(np.arange(100)) * 20000).astype("<i2").tobytes()
    dialogue = told(SpeechStartedEvent(at_ms=0), PartialEvent(text="hel"))
    assert dialogue.is_person_speaking
    assert not dialogue.is_settled
    dialogue.take(FinalEvent(text="hello", language="en", turn_id="a"), b"", 2.0)
    dialogue.take(TurnStarted(turn_id="a", is_spoken=True), b"", 2.0)
    dialogue.take(Token(turn_id="a", text="Hi "), b"", 2.0)
    dialogue.take(Token(turn_id="a", text="you", at=3), b"", 2.0)
    dialogue.take(audio("a", 100), loud, 2.0)
    assert not dialogue.is_settled
    done = TurnDone(
        turn_id="a", text="Hi you.", has_audio=True, timeline=Timeline(response_ms=9),
        engines={"llm": EngineReport(engine="companion")},
    )  # fmt: skip
    dialogue.take(done, b"", 3.0)
    (turn,) = dialogue.turns
    assert (turn.heard, turn.text, turn.outcome, turn.is_audible) == ("hello", "Hi you.", "done", True)
    assert turn.timeline.response_ms == 9
    assert turn.engines["llm"].engine == "companion"
    assert dialogue.is_settled
    assert dialogue.finals == 1


def test_an_answer_begun_anew_replaces_what_stood() -> None:
    dialogue = told(Token(turn_id="a", text="One two"), Token(turn_id="a", text="three", at=4))
    assert dialogue.turns[0].text == "One three"


def test_what_was_typed_belongs_to_the_next_turn() -> None:
    dialogue = Dialogue()
    dialogue.say("What time is it?")
    dialogue.take(TurnStarted(turn_id="a", is_spoken=False), b"", 0.0)
    dialogue.take(TurnStarted(turn_id="b", is_spoken=False), b"", 0.0)
    assert [turn.heard for turn in dialogue.turns] == ["What time is it?", ""]
    assert dialogue.turn("a") is dialogue.turns[0]


def test_a_turn_that_failed_says_why_and_an_error_of_no_turn_opens_none() -> None:
    dialogue = told(
        ErrorEvent(code="busy", message="too many"), ErrorEvent(code="x", message="no", turn_id="a")
    )
    assert dialogue.last_error == "too many"
    assert [(turn.outcome, turn.error) for turn in dialogue.turns] == [("failed", "no")]
    assert not dialogue.turns[0].is_audible


def test_an_utterance_without_words_opens_no_turn() -> None:
    dialogue = told(SpeechStartedEvent(at_ms=0), FinalEvent(text="", language="", turn_id=None))
    assert dialogue.turns == []
    assert dialogue.is_settled


def test_an_interruption_cuts_off_what_was_not_played() -> None:
    dialogue = Dialogue()
    dialogue.take(audio("a", 100), b"\1\0" * 100, 1.0)
    dialogue.take(audio("a", 100), b"\2\0" * 100, 1.0)
    dialogue.take(audio("a", 100), b"\3\0" * 100, 1.0)
    dialogue.take(Flush(turn_id="a"), b"", 1.15)
    dialogue.take(Interrupted(turn_id="a", reason="speech", heard="x", timeline=Timeline()), b"", 1.15)
    (turn,) = dialogue.turns
    assert turn.outcome == "interrupted"
    assert [len(pcm) // 2 for _, pcm in turn.pieces] == [100, 50]
    assert math.isclose(turn.plays_until_s, 1.15)


def test_sound_is_laid_where_it_would_have_been_heard() -> None:
    dialogue = Dialogue()
    dialogue.take(audio("a", 10), b"\1\0" * 10, 5.01)
    dialogue.take(audio("a", 10), b"\2\0" * 10, 5.01)
    dialogue.take(audio("b", 10), b"\3\0" * 10, 5.05)
    laid = np.frombuffer(track(dialogue.turns, rate_hz=RATE_HZ, starts_s=5.0), dtype="<i2")
    assert list(laid) == [0] * 10 + [1] * 10 + [2] * 10 + [0] * 20 + [3] * 10


def test_unknown_news_change_nothing() -> None:
    assert told(ServerEvent()).turns == []


def laid(dialogue: Dialogue) -> list[int]:
    return list(np.frombuffer(track(dialogue.turns, rate_hz=RATE_HZ, starts_s=1.0), dtype="<i2"))


def test_a_held_answer_shows_a_gap_and_goes_on_at_the_very_next_sample() -> None:
    sound = np.arange(1, 101, dtype="<i2")
    dialogue = Dialogue()
    dialogue.take(audio("a", 40), sound[:40].tobytes(), 1.0)
    dialogue.take(audio("a", 40), sound[40:80].tobytes(), 1.0)
    dialogue.take(Pause(turn_id="a"), b"", 1.05)
    (turn,) = dialogue.turns
    assert turn.is_held
    dialogue.take(audio("a", 20), sound[80:].tobytes(), 1.06)
    assert laid(dialogue) == [*range(1, 51)]
    assert turn.played_ms(1.2) == 50
    dialogue.take(Resume(turn_id="a", verdict="noise"), b"", 1.08)
    assert not turn.is_held
    assert laid(dialogue) == [*range(1, 51), *[0] * 30, *range(51, 101)]
    assert math.isclose(turn.played_ms(1.1), 70)
    assert math.isclose(turn.plays_until_s, 1.13)
    assert math.isclose(turn.duration_ms, 100)


def test_a_held_answer_that_is_dropped_was_heard_as_far_as_it_was_held() -> None:
    dialogue = Dialogue()
    dialogue.take(audio("a", 100), b"\1\0" * 100, 1.0)
    dialogue.take(Pause(turn_id="a"), b"", 1.03)
    dialogue.take(Flush(turn_id="a"), b"", 1.5)
    dialogue.take(Interrupted(turn_id="a", reason="speech", heard="one two", timeline=Timeline()), b"", 1.5)
    (turn,) = dialogue.turns
    assert laid(dialogue) == [1] * 30
    assert (turn.kept, turn.is_held, turn.held) == ("one two", False, [])
    assert math.isclose(turn.plays_until_s, 1.03)


def test_a_pause_behind_the_last_sample_and_one_before_the_first_lose_nothing() -> None:
    dialogue = Dialogue()
    dialogue.take(audio("a", 10), b"\1\0" * 10, 1.0)
    dialogue.take(Pause(turn_id="a"), b"", 1.5)
    dialogue.take(Resume(turn_id="a", verdict="echo"), b"", 1.6)
    assert laid(dialogue) == [1] * 10
    dialogue = Dialogue()
    dialogue.take(Pause(turn_id="a"), b"", 1.0)
    dialogue.take(audio("a", 10), b"\2\0" * 10, 1.0)
    dialogue.take(Resume(turn_id="a", verdict="echo"), b"", 1.01)
    assert laid(dialogue) == [0] * 10 + [2] * 10


def test_a_backchannel_is_understood_and_belongs_to_no_turn() -> None:
    dialogue = told(
        SpeechStartedEvent(at_ms=0), FinalEvent(text="mm-hm", language="en", turn_id=None),
        TurnStarted(turn_id="a", is_spoken=False),
    )  # fmt: skip
    assert dialogue.turns[0].heard == ""
    assert (dialogue.finals, dialogue.is_person_speaking) == (1, False)


def test_the_command_understands_every_event_that_eva_sends() -> None:
    events = {
        kind
        for kind in vars(chat_protocol).values()
        if isinstance(kind, type) and issubclass(kind, ServerEvent) and kind is not ServerEvent
    }
    assert set(get_args(AnyServerEvent)) == events
