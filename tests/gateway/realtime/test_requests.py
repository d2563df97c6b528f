"""What a client asks to be answered, and what becomes of it."""

from __future__ import annotations

import base64

import pytest

from services.gateway.chat_protocol import (
    Flush,
    Ready,
    Token,
)
from services.gateway.realtime.actions import (
    Played,
    Respond,
    RespondBeside,
    Stop,
)
from shared.messages import ChatMessage, Summary
from tests.gateway.realtime.desk import (
    Desk,
    answering,
    codes,
    done,
    final,
    interrupted,
    listening,
    session,
    typed,
)

SEMANTIC = {"type": "semantic_vad"}
SERVER = {"type": "server_vad"}


def test_a_response_is_told_as_it_leaves_and_ends_in_any_case() -> None:
    desk = Desk()
    turn_id = answering(desk)
    assert "response.created" not in desk.types(), "nothing has left"
    desk.eva(done(turn_id, "One."))
    told = desk.leave()
    assert [event["type"] for event in told] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    response = told[-2]["response"]
    assert (response["status"], response["usage"]["total_tokens"]) == ("completed", 8)
    assert told[-1]["rate_limits"][0]["remaining"] == 9


def test_the_next_response_takes_the_last_one_as_heard_and_only_one_is_active() -> None:
    desk = Desk()
    turn_id = answering(desk)
    assert codes(desk.creates()) == ["conversation_already_has_active_response"]
    desk.eva(done(turn_id))
    assert codes(desk.creates()) == ["conversation_already_has_active_response"], "its end has not left"
    desk.leave()
    assert codes(desk.creates()) == []
    assert desk.of(Played)[-1].turn_id == turn_id


def test_a_response_may_differ_from_the_session_in_everything() -> None:
    desk = Desk()
    desk.says(session(output_modalities=["text"]))
    desk.creates(
        output_modalities=["audio"], instructions="Sing.", max_output_tokens=7, metadata={"a": "b"},
        audio={"output": {"format": {"type": "audio/pcma"}}},
        input=[typed("Only this.")["item"]],
    )  # fmt: skip
    (respond,) = desk.of(Respond)
    assert (respond.wish.persona, respond.wish.max_tokens, respond.wants_audio) == ("Sing.", 7, True)
    assert desk.start.audio_out is not None
    assert desk.start.audio_out.format == "alaw"
    context = desk.dialect.context
    assert context.asked(1) == [ChatMessage(role="user", content="Only this.")]
    assert context.record.summary == ""
    context.summarise(Summary(turn=1, covers=1, text="No."))
    assert context.record.summary == ""
    desk.eva(done("sid-1"))
    desk.settle()
    assert desk.start.audio_out is None
    told = desk.leave()
    assert told[0]["response"]["metadata"] == told[-2]["response"]["metadata"] == {"a": "b"}
    desk.creates(output_modalities=["text"])
    assert not desk.of(Respond)[-1].wants_audio
    assert context.asked(2) == []


@pytest.mark.parametrize(
    "metadata", [{str(number): "x" for number in range(17)}, {"k": 7}, {"k" * 65: "x"}, {"k": "x" * 513}]
)
def test_metadata_has_its_bounds(metadata: dict[str, object]) -> None:
    desk = Desk()
    assert codes(desk.creates(metadata=metadata)) == ["invalid_value"]
    assert not desk.of(Respond)


def test_a_response_that_cannot_be_begun_has_its_end_all_the_same() -> None:
    desk = Desk(has_ears=False)
    created, ended, _ = desk.creates()
    assert created["type"] == "response.created"
    assert ended["response"]["status_details"]["error"]["code"] == "busy"
    desk.has_ears = True
    assert codes(desk.creates()) == []
    assert desk.dialect.unable("busy", "nothing was asked", desk.now) == []


def test_what_the_client_cancels_ends_as_cancelled_whatever_had_become_of_it() -> None:
    desk = Desk()
    turn_id = answering(desk)
    desk.leave(2)
    desk.says({"type": "response.cancel"})
    assert desk.of(Stop) == [Stop()]
    desk.drops(turn_id)
    desk.eva(Flush(turn_id=turn_id))
    desk.eva(interrupted(turn_id, "client", "One."))
    told = desk.leave()
    assert told[-2]["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert told[-2]["response"]["output"][0]["status"] == "incomplete"


def test_a_response_of_which_only_sound_waits_is_cancelled_too() -> None:
    desk = Desk()
    turn_id = answering(desk, ms=300)
    desk.eva(done(turn_id))
    desk.leave(3)
    response_id = next(event["response"]["id"] for event in desk.told if event["type"] == "response.created")
    desk.says({"type": "response.cancel", "response_id": response_id})
    told = desk.leave()
    assert not [event for event in told if event["type"] == "response.output_audio.delta"]
    assert told[-2]["response"]["status"] == "cancelled"


def test_a_cancel_that_comes_too_late_is_forgiven_and_one_out_of_the_blue_is_not() -> None:
    desk = Desk()
    assert codes(desk.says({"type": "response.cancel"})) == ["response_cancel_not_active"]
    turn_id = answering(desk)
    desk.eva(done(turn_id))
    ended = desk.leave()[-2]["response"]["id"]
    assert desk.says({"type": "response.cancel"}) == []
    desk.now += 60
    assert codes(desk.says({"type": "response.cancel"})) == ["response_cancel_not_active"]
    assert desk.says({"type": "response.cancel", "response_id": ended}) == []
    assert codes(desk.says({"type": "response.cancel", "response_id": "none"})) == [
        "response_cancel_not_active"
    ]


def test_a_response_that_waits_for_a_transcript_is_cancelled_at_once() -> None:
    desk = Desk()
    desk.says(listening(None))
    desk.appends()
    desk.says({"type": "input_audio_buffer.commit"})
    desk.creates()
    created, ended, _ = desk.says({"type": "response.cancel"})
    assert (created["type"], ended["response"]["status"]) == ("response.created", "cancelled")
    desk.eva(final("hello"))
    desk.settle()
    assert not desk.of(Respond)


def test_who_throws_away_what_they_had_of_an_answer_wants_no_more_of_it() -> None:
    desk = Desk()
    turn_id = answering(desk, "One two three four.", ms=1000)
    desk.leave(3)
    item_id = next(
        event["item"]["id"] for event in desk.told if event["type"] == "response.output_item.added"
    )
    truncate = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0}
    (cut,) = desk.says({**truncate, "audio_end_ms": 50})
    assert cut["audio_end_ms"] == 50
    assert desk.of(Stop) == [Stop(played_ms=50)]
    assert not [relay for relay in desk.queue if relay.sound_of == turn_id]
    desk.eva(interrupted(turn_id, "client"))
    assert desk.leave()[-2]["response"]["status"] == "cancelled"
    desk.says({**truncate, "audio_end_ms": 20})
    assert len(desk.of(Stop)) == 1, "it is over"


def test_responses_out_of_band_run_beside_and_are_bounded() -> None:
    desk = Desk()
    desk.says(typed("Hello."))
    answering(desk)
    desk.creates(conversation="none", output_modalities=["text"], metadata={"topic": "x"})
    (beside,) = desk.of(RespondBeside)
    assert [message.content for message in beside.messages] == ["Hello.", "Hello.", "One."]
    assert not beside.start.turn_taking.answers
    desk.eva(Ready(
        session_id="s", is_resumed=False, turns=0, voice="", language="", audio_in=None, audio_out=None
    ), beside=beside.key)  # fmt: skip
    turn_id = desk.starts(beside=beside.key)
    desk.eva(Token(turn_id=turn_id, text="yes"))
    desk.eva(done(turn_id, "yes"), beside=beside.key)
    assert desk.dialect.unable("internal", "over", desk.now, beside=beside.key) == []
    told = [event for event in desk.leave() if event.get("response", {}).get("metadata") == {"topic": "x"}]
    assert "conversation_id" not in told[0]["response"]
    assert told[-1]["response"]["output"][0]["content"] == [{"type": "output_text", "text": "yes"}]
    for _ in range(4):
        assert codes(desk.creates(conversation="none")) == []
    assert codes(desk.creates(conversation="none")) == ["too_many_responses"]
    keys = [each.key for each in desk.of(RespondBeside)]
    desk.says({"type": "response.cancel", "response_id": keys[1]})
    assert desk.of(Stop) == [Stop(keys[1])]
    desk.perform(desk.dialect.unable("interrupted", "given up", desk.now, beside=keys[1]))
    assert desk.told[-2]["response"]["status"] == "cancelled"
    desk.perform(desk.dialect.unable("no_room", "nobody", desk.now, beside=keys[2]))
    assert desk.told[-2]["response"]["status"] == "failed"
    turn_id = desk.starts(beside=keys[3])
    desk.says({"type": "response.cancel", "response_id": keys[3]})
    assert desk.of(Stop)[-1] == Stop(keys[3])


def test_sound_cannot_be_asked_out_of_band_and_items_can_be_referred_to() -> None:
    desk = Desk()
    desk.says(typed("Hello.", id="mine"))
    desk.creates(conversation="none", input=[{"type": "item_reference", "id": "mine"}])
    assert [message.content for message in desk.of(RespondBeside)[0].messages] == ["Hello."]
    audio = {"type": "input_audio", "audio": base64.b64encode(bytes(96)).decode()}
    item = {"type": "message", "role": "user", "content": [audio]}
    assert codes(desk.creates(conversation="none", input=[item])) == ["invalid_value"]


def test_no_response_is_left_without_its_end_when_the_session_ends() -> None:
    desk = Desk()
    answering(desk)
    desk.creates(conversation="none")
    desk.leave()
    desk.perform(desk.dialect.close("session_taken_over", "another client", desk.now))
    ended = [event["response"] for event in desk.told if event["type"] == "response.done"]
    assert [each["status_details"]["error"]["code"] for each in ended] == ["session_taken_over"] * 2
    turn_id = answering(desk)
    desk.eva(done(turn_id))
    assert desk.dialect.close("session_taken_over", "another client", desk.now) == []
