"""What is said to EVA, as a client of the Realtime API is told of it."""

from __future__ import annotations

import pytest

from services.gateway.chat_protocol import (
    ErrorEvent,
    Flush,
    PartialEvent,
    Pause,
    Resume,
    SpeechStoppedEvent,
)
from services.gateway.realtime.actions import (
    Discard,
    EndUtterance,
    Respond,
)
from shared.messages import ChatMessage
from tests.gateway.realtime.desk import (
    Desk,
    answering,
    begins,
    codes,
    done,
    final,
    interrupted,
    listening,
    session,
)

SEMANTIC = {"type": "semantic_vad"}
SERVER = {"type": "server_vad"}


def test_a_spoken_turn_is_told_in_order() -> None:
    desk = Desk()
    desk.says(listening(SERVER))
    desk.appends(3000)
    assert [event["audio_start_ms"] for event in begins(desk)] == [100]
    desk.settle()
    partial = desk.eva(PartialEvent(text="hello you", stable=5))
    assert [event["delta"] for event in partial] == ["hello"]
    assert desk.eva(PartialEvent(text="hello you", stable=5)) == []
    assert desk.eva(PartialEvent(text="other", stable=5)) == []
    (stopped,) = desk.eva(SpeechStoppedEvent(at_ms=1400, id=1))
    assert stopped["audio_end_ms"] == 1900
    told = desk.eva(final("hello you there", "sid-1"))
    assert [event["type"].rpartition(".")[2] for event in told] == [
        "committed", "added", "done", "delta", "completed",
    ]  # fmt: skip
    assert told[1]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert (told[3]["delta"], told[4]["transcript"]) == (" you there", "hello you there")
    assert told[4]["usage"] == {"type": "duration", "seconds": 1.0}
    desk.starts(is_spoken=True)
    assert desk.dialect.context.asked(1) == [], "its question is the turn's own"
    desk.dialect.context.remember(1, "hello you there", "Hi.")
    assert [message.content for message in desk.dialect.context.asked(2)] == ["hello you there"]


def test_transcripts_are_told_to_who_asked_for_them() -> None:
    desk = Desk()
    desk.says(session(audio={"input": {"turn_detection": SERVER, "transcription": None}}))
    begins(desk)
    assert desk.eva(PartialEvent(text="hello", stable=5)) == []
    desk.eva(final("hello"))
    assert not [kind for kind in desk.types() if "transcription" in kind]
    begins(desk, 2)
    desk.eva(ErrorEvent(code="stt_failed", message="broken", utterance=2))
    desk.eva(final("", id=2))
    assert not [kind for kind in desk.types() if "transcription" in kind]


def test_what_could_not_be_understood_is_told_as_failed() -> None:
    desk = Desk()
    desk.says(listening(SERVER))
    begins(desk)
    assert desk.eva(ErrorEvent(code="stt_failed", message="broken", utterance=1)) == []
    told = desk.eva(final(""))
    assert told[-1]["type"].endswith("transcription.failed")
    assert told[-1]["error"]["code"] == "stt_failed"


def test_speech_cancels_a_response_of_which_sound_waits_and_is_told_first() -> None:
    desk = Desk()
    desk.says(listening(SEMANTIC))
    turn_id = answering(desk, "One two.", ms=500)
    desk.eva(done(turn_id))
    desk.leave(4)
    assert begins(desk) == []
    desk.eva(Pause(turn_id=turn_id))
    desk.settle()
    assert "input_audio_buffer.speech_started" not in desk.types(), "it is being judged"
    desk.drops(turn_id)
    assert desk.types()[-1] == "input_audio_buffer.speech_started"
    desk.eva(Flush(turn_id=turn_id))
    response = desk.leave()[-2]["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


def test_speech_into_what_the_client_still_plays_is_told_though_its_response_is_over() -> None:
    desk = Desk()
    desk.says(listening(SEMANTIC))
    turn_id = answering(desk)
    desk.eva(done(turn_id))
    desk.leave()
    begins(desk)
    desk.eva(Pause(turn_id=turn_id))
    desk.settle()
    desk.drops(turn_id)
    assert desk.types()[-1] == "input_audio_buffer.speech_started"


def test_a_sign_of_listening_is_never_told() -> None:
    desk = Desk()
    desk.says(listening(SEMANTIC))
    turn_id = answering(desk)
    desk.leave()
    before = len(desk.told)
    begins(desk)
    desk.eva(Pause(turn_id=turn_id))
    desk.settle()
    desk.eva(PartialEvent(text="mm-hm", stable=5))
    desk.eva(Resume(turn_id=turn_id, verdict="backchannel"))
    desk.eva(SpeechStoppedEvent(at_ms=900, id=1))
    desk.eva(final("mm-hm"))
    desk.settle()
    assert desk.told[before:] == []
    assert desk.eva(final("who?", id=9)) == [], "nobody began to speak"
    begins(desk, 2)
    desk.eva(Resume(turn_id="sid-0", verdict="noise"))
    told = desk.eva(final("and another thing", "sid-2", id=2))
    assert told[0]["type"] == "input_audio_buffer.speech_started", "it is a turn after all"


def test_an_interruption_is_told_before_the_end_of_what_it_interrupts() -> None:
    desk = Desk()
    desk.says(listening(SEMANTIC))
    turn_id = answering(desk)
    desk.leave()
    begins(desk)
    desk.eva(Pause(turn_id=turn_id))
    desk.settle()
    desk.drops(turn_id)
    (started,) = [event for event in desk.told if event["type"] == "input_audio_buffer.speech_started"]
    desk.eva(interrupted(turn_id, heard="One."))
    told = desk.leave()
    assert told[-2]["response"]["status_details"]["reason"] == "turn_detected"
    assert desk.told.index(started) < desk.told.index(told[-2])
    assert desk.items.asked(9)[-1] == ChatMessage(role="assistant", content="One.")


def test_speech_that_nobody_has_to_judge_is_told_at_once() -> None:
    desk = Desk()
    desk.says(listening(SEMANTIC))
    assert begins(desk) == []
    assert begins(desk) == [], "once"
    desk.settle()
    assert desk.types()[-1] == "input_audio_buffer.speech_started"
    for number in range(2, 12):
        begins(desk, number)
    desk.settle()
    assert desk.eva(final("old", id=1)) == [], "so many are not open at once"


def test_a_question_that_was_answered_too_early_is_told_the_mind_once() -> None:
    desk = Desk()
    desk.says(listening(SERVER))
    desk.appends()
    begins(desk)
    desk.eva(final("what is", "sid-1"))
    desk.starts(is_spoken=True)
    desk.dialect.context.asked(1)
    begins(desk, 2)
    desk.eva(interrupted("sid-1"))
    desk.eva(final("the time", "sid-2", id=2))
    desk.starts(is_spoken=True)
    assert desk.dialect.context.asked(2) == []


def test_noise_becomes_an_item_without_words_where_its_beginning_was_told() -> None:
    desk = Desk()
    desk.says(listening(SERVER))
    begins(desk)
    assert desk.eva(final(""))[-1]["transcript"] == ""
    desk.says(listening(SEMANTIC))
    begins(desk, 2)
    assert desk.eva(final("", id=2)) == [], "nobody knows of it"


def test_what_is_committed_by_hand_has_its_transcript_behind_it() -> None:
    desk = Desk()
    desk.says(listening(None))
    assert codes(desk.says({"type": "input_audio_buffer.commit"})) == ["input_audio_buffer_commit_empty"]
    desk.appends()
    assert begins(desk) == []
    desk.eva(SpeechStoppedEvent(at_ms=900, id=1))
    assert desk.eva(final("a long")) == [], "the ears cut what is very long"
    committed, added, item_done = desk.says({"type": "input_audio_buffer.commit"})
    assert committed["item_id"] == added["item"]["id"] == item_done["item"]["id"]
    assert desk.of(EndUtterance)
    desk.creates()
    assert not desk.of(Respond)
    told = desk.eva(final("story", id=2))
    assert told[-1]["transcript"] == "a long story"
    assert told[-1]["usage"]["seconds"] == pytest.approx(0.2)
    desk.settle()
    assert len(desk.of(Respond)) == 1
    assert [message.content for message in desk.items.asked(1)] == ["a long story"]


def test_a_commit_ends_what_is_being_said_where_eva_detects_turns() -> None:
    desk = Desk()
    desk.says(listening(SERVER))
    desk.appends()
    begins(desk)
    item_id = desk.told[-1]["item_id"]
    assert desk.says({"type": "input_audio_buffer.commit"})[0]["item_id"] == item_id
    desk.creates(metadata={"a": "b"})
    told = desk.eva(final("hello", "sid-1"))
    assert told[-1]["item_id"] == item_id
    desk.starts(is_spoken=True)
    desk.settle()
    assert not desk.of(Respond), "the turn has begun by itself: it is the one that was asked for"
    assert desk.leave()[0]["response"]["metadata"] == {"a": "b"}


def test_a_transcript_that_does_not_come_is_not_waited_for_for_ever() -> None:
    desk = Desk()
    desk.says(listening(None))
    desk.appends()
    desk.says({"type": "input_audio_buffer.commit"})
    desk.creates()
    told = desk.waits(31)
    assert told[0]["error"]["code"] == "stt_lost"
    assert len(desk.of(Respond)) == 1


def test_what_is_cleared_is_gone() -> None:
    desk = Desk()
    desk.says(listening(None))
    desk.appends()
    desk.eva(final("gone"))
    assert [event["type"] for event in desk.says({"type": "input_audio_buffer.clear"})] == [
        "input_audio_buffer.cleared"
    ]
    assert desk.of(Discard)
    assert codes(desk.says({"type": "input_audio_buffer.commit"})) == ["input_audio_buffer_commit_empty"]


def test_a_transcription_session_tells_words_and_never_answers() -> None:
    desk = Desk(kind="transcription")
    assert codes(desk.creates()) == ["invalid_session_type"]
    begins(desk)
    assert desk.types()[-1] == "input_audio_buffer.speech_started"
    assert desk.eva(final("hello"))[-1]["transcript"] == "hello"
    desk.appends()
    assert not desk.start.turn_taking.answers
    assert desk.start.audio_out is None
