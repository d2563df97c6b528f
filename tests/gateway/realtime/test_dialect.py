"""The dialect: sessions, items, silence and trouble, on a clock of its own."""

from __future__ import annotations

import base64

import pytest

from services.gateway.chat_protocol import (
    ErrorEvent,
    PartialEvent,
    Pong,
    Ready,
    SpeechStoppedEvent,
    ToolCallEvent,
    TurnStarted,
)
from services.gateway.realtime.actions import (
    Configure,
    Hear,
    Intend,
    Respond,
    Transcribe,
)
from shared.messages import ChatMessage, Summary
from tests.gateway.realtime.desk import (
    Desk,
    answering,
    begins,
    codes,
    done,
    listening,
    session,
    sound,
    typed,
)

SEMANTIC = {"type": "semantic_vad"}
SERVER = {"type": "server_vad"}


def test_the_first_event_is_the_session_and_each_update_is_answered_by_the_whole_one() -> None:
    desk = Desk()
    assert desk.types() == ["session.created"]
    (updated,) = desk.says(session(instructions="Be brief."))
    assert (updated["type"], updated["session"]["instructions"]) == ("session.updated", "Be brief.")
    assert desk.of(Intend)[-1].wish.persona == "Be brief."
    assert desk.start.audio_in is None, "ears are claimed with the first sound"
    assert len(codes(desk.says(session(audio={"output": {"speed": 9}})))) == 1
    (again,) = desk.says(session())
    assert again["session"]["instructions"] == "Be brief."


def test_ears_are_claimed_with_the_first_sound_and_again_for_another_format() -> None:
    desk = Desk()
    desk.appends(200)
    assert isinstance(desk.asked[-3], Configure)
    assert desk.start.audio_in is not None
    assert [len(each.pcm) for each in desk.of(Hear)] == [4800, 4800]
    desk.appends(100)
    assert len(desk.of(Configure)) == 1
    desk.says(listening(SERVER, format={"type": "audio/pcmu"}))
    assert desk.start.audio_in is not None
    assert desk.start.audio_in.rate_hz == 8000
    desk.says({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(80)).decode()})
    assert len(desk.of(Hear)[-1].pcm) == 160
    desk.says({"type": "input_audio_buffer.append", "audio": ""})
    assert len(desk.of(Hear)) == 4


def test_a_voice_cannot_be_changed_once_it_was_heard() -> None:
    desk = Desk()
    turn_id = answering(desk)
    assert codes(desk.says(session(audio={"output": {"voice": "ash"}}))) == []
    desk.eva(done(turn_id))
    desk.leave()
    assert codes(desk.says(session(audio={"output": {"voice": "ballad"}}))) == ["cannot_update_voice"]


def test_the_sound_that_the_client_holds_cannot_be_cleared_from_here() -> None:
    assert codes(Desk().says({"type": "output_audio_buffer.clear"})) == ["unsupported_event"]


def test_items_are_put_looked_at_and_taken_out() -> None:
    desk = Desk()
    added, item_done = desk.says(typed("Hello.", id="mine"))
    assert (added["type"], item_done["type"]) == ("conversation.item.added", "conversation.item.done")
    assert added["item"]["id"] == "mine"
    assert codes(desk.says(typed("Hello.", id="mine"))) == ["item_create_duplicate_item_id"]
    (first, _) = desk.says({**typed("First."), "previous_item_id": "root"})
    assert first["previous_item_id"] is None
    (got,) = desk.says({"type": "conversation.item.retrieve", "item_id": "mine"})
    assert got["item"] == added["item"]
    (gone,) = desk.says({"type": "conversation.item.delete", "item_id": "mine"})
    assert (gone["type"], gone["item_id"]) == ("conversation.item.deleted", "mine")
    assert codes(desk.says({"type": "conversation.item.delete", "item_id": "mine"})) == [
        "item_delete_invalid_item_id"
    ]


def test_a_recording_is_transcribed_before_it_is_answered() -> None:
    desk = Desk()
    desk.says(listening(None))
    audio = base64.b64encode(bytes(4800)).decode()
    item = {
        "type": "message",
        "role": "user",
        "id": "r1",
        "content": [{"type": "input_audio", "audio": audio}],
    }
    desk.says({"type": "conversation.item.create", "item": item})
    (transcribe,) = desk.of(Transcribe)
    assert (transcribe.item_id, len(transcribe.sound)) == ("r1", 4800)
    desk.creates()
    assert not desk.of(Respond)
    desk.perform(desk.dialect.transcribed("r1", "hello", 0.1))
    desk.settle()
    assert len(desk.of(Respond)) == 1
    assert desk.told[-1]["transcript"] == "hello"
    assert desk.items.asked(1) == [ChatMessage(role="user", content="hello")]
    assert desk.dialect.transcribed("none", "hello", 0.1)[:-1] == []


def test_a_recording_that_cannot_be_transcribed_holds_nothing_up() -> None:
    desk = Desk()
    desk.says(listening(None))
    audio = base64.b64encode(bytes(4800)).decode()
    item = {
        "type": "message",
        "role": "user",
        "id": "r1",
        "content": [{"type": "input_audio", "audio": audio}],
    }
    desk.says({"type": "conversation.item.create", "item": item})
    desk.creates()
    desk.perform(desk.dialect.not_transcribed("r1", "no_ears", "nobody"))
    desk.settle()
    failed = next(event for event in desk.told if event["type"].endswith("transcription.failed"))
    assert failed["error"]["code"] == "no_ears"
    assert len(desk.of(Respond)) == 1
    assert desk.dialect.not_transcribed("r1", "no_ears", "nobody")[:-1] == []


def test_who_says_nothing_is_spoken_to_once_behind_each_answer() -> None:
    desk = Desk()
    desk.says(listening({**SERVER, "idle_timeout_ms": 5000}))
    turn_id = answering(desk, ms=2000)
    desk.eva(done(turn_id))
    desk.leave()
    assert desk.waits(6.9) == []
    triggered, committed, *_ = desk.waits(0.2)
    assert triggered["type"] == "input_audio_buffer.timeout_triggered"
    assert committed["item_id"] == triggered["item_id"]
    assert len(desk.of(Respond)) == 2
    assert desk.waits(60) == []


@pytest.mark.parametrize("change", ["speech", "answer", "other detection", "no response"])
def test_silence_is_over_when_something_happens(change: str) -> None:
    desk = Desk()
    desk.says(listening({**SERVER, "idle_timeout_ms": 5000, "create_response": change != "no response"}))
    turn_id = answering(desk)
    desk.eva(done(turn_id))
    desk.leave()
    match change:
        case "speech":
            begins(desk)
        case "answer":
            desk.creates()
        case "other detection":
            desk.says(listening(SEMANTIC))
    told = desk.waits(30)
    assert ([event["type"] for event in told][:1] == ["input_audio_buffer.timeout_triggered"]) == (
        change == "no response"
    )
    assert len(desk.of(Respond)) == 1 + (change == "answer")


def test_the_session_s_memory_is_the_conversation_s() -> None:
    desk = Desk()
    context = desk.dialect.context
    desk.says(typed("Hello."))
    context.prefer(language="en", voice="v")
    assert (context.record.language, [each.content for each in context.record.messages]) == ("en", ["Hello."])
    context.summarise(Summary(turn=1, covers=0, text="Nothing."))
    assert context.forget(1).messages == context.record.messages


def test_what_is_remembered_does_not_wait_for_the_sound_to_leave() -> None:
    desk = Desk()
    turn_id = answering(desk, "One two three.")
    desk.eva(done(turn_id, "One two three."))
    record = desk.dialect.context.remember(1, "", "One two three.")
    assert [each.content for each in record.messages] == ["Hello.", "One two three."]
    desk.drops(turn_id)
    desk.leave()
    assert [each.content for each in desk.dialect.context.record.messages] == ["Hello."]


def test_deafness_is_told_when_it_lasts() -> None:
    desk = Desk()
    desk.eva(ErrorEvent(code="no_ears", message="nobody"))
    assert desk.waits(4) == []
    desk.eva(Ready(
        session_id="s", is_resumed=False, turns=0, voice="", language="", audio_in=None, audio_out=None
    ))  # fmt: skip
    assert desk.waits(4) == []
    desk.eva(ErrorEvent(code="no_ears", message="nobody"))
    desk.eva(ErrorEvent(code="no_ears", message="nobody"))
    assert codes(desk.waits(6)) == ["no_ears"]
    assert codes(desk.eva(ErrorEvent(code="session_erased", message="gone"))) == ["session_erased"]


def test_what_is_for_clients_of_another_kind_is_nothing() -> None:
    desk = Desk()
    turn_id = answering(desk)
    before = len(desk.told)
    desk.eva(Pong(id=1))
    desk.eva(SpeechStoppedEvent(at_ms=5, id=77))
    desk.eva(PartialEvent(text="hello", stable=5))
    desk.eva(ToolCallEvent(turn_id=turn_id, call_id="c", name="n", arguments="{}", by="server"))
    desk.leave()
    assert "response.function_call_arguments.done" not in desk.types()[before:]
    assert desk.dialect.leaves(TurnStarted(turn_id="sid-99", is_spoken=False), b"", desk.now) == []
    assert desk.dialect.leaves(*sound("sid-99"), desk.now) == []


def test_an_aside_keeps_nothing() -> None:
    from services.gateway.realtime.context import Aside  # noqa: PLC0415

    aside = Aside([ChatMessage(role="user", content="x")])
    assert aside.remember(1, "a", "b") == aside.forget(1) == aside.record
    assert aside.summarise(Summary(turn=1, covers=1, text="x")) == aside.record
    aside.prefer(language="en", voice="v")
    assert [message.content for message in aside.asked(1)] == ["x"]
