"""What each client that hands events on as they are can do with EVA: one scenario a feature for all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest

from tests.clients.node import needs_node
from tests.clients.place import ANSWER, QUESTION, SAID, Place
from tests.clients.wires import Speaker, by_openai_node, by_plain_javascript, by_websockets
from tests.e2e.talker import is_audible
from tests.fakes.provider import Call, Reply
from tests.fakes.speech import silence, speech

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))
LISTENING = {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}
LOOK = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}
Client = Callable[[Place, Path], AbstractAsyncContextManager[Speaker]]
CLIENTS: list[tuple[str, Client, bool]] = [
    ("websockets", by_websockets, False),
    ("openai-node", by_openai_node, True),
    ("plain JavaScript", by_plain_javascript, True),
]


def shows(*features: str) -> pytest.MarkDecorator:
    """Runs a test once by each client, and says which features it shows of it."""
    return pytest.mark.parametrize("client", [
        pytest.param(client, id=name, marks=[
            pytest.mark.compatible(name, *features), *([needs_node] if is_in_node else []),
        ])
        for name, client, is_in_node in CLIENTS
    ])  # fmt: skip


@shows("typed turn", "text only")
async def test_what_is_typed_is_answered_in_sound_or_in_text(
    client: Client, place: Place, tmp_path: Path
) -> None:
    place.will(SAID)
    async with client(place, tmp_path) as somebody:
        response = await somebody.ask("What time is it?")
        assert (response["status"], somebody.said(response["id"])) == ("completed", ANSWER)
        assert is_audible(somebody.pcm(response["id"]))
        assert place.told == [("user", "What time is it?")]
        silent = await somebody.ask("And now?", output_modalities=["text"])
        assert (silent["output"][0]["content"], somebody.sound(silent["id"])) == (
            [{"type": "output_text", "text": ANSWER}], b"",
        )  # fmt: skip


@shows("streaming sound")
async def test_sound_comes_before_the_answer_has_been_made(
    client: Client, place: Place, tmp_path: Path
) -> None:
    place.will(Reply(tokens=STORY, stall_after=4))
    async with client(place, tmp_path) as somebody:
        await somebody.begin("Tell me a story.")
        await somebody.hears("response.output_audio.delta", count=3)
        assert not somebody.of("response.output_audio.done", "response.done")
        await somebody.send("response.cancel")
        assert (await somebody.done())["status"] == "cancelled"


@shows("tools")
async def test_a_function_is_called_and_its_result_answered(
    client: Client, place: Place, tmp_path: Path
) -> None:
    place.will(Reply(tokens=(), calls=(Call(name="look", arguments='{"at": "the sky"}', id="c"),)), SAID)
    async with client(place, tmp_path) as somebody:
        await somebody.configure(tools=[LOOK])
        await somebody.ask("What colour is the sky?")
        called = await somebody.hears("response.function_call_arguments.done")
        assert (called["name"], called["arguments"]) == ("look", '{"at": "the sky"}')
        result = {"type": "function_call_output", "call_id": called["call_id"], "output": "blue"}
        await somebody.send("conversation.item.create", item=result)
        await somebody.send("response.create")
        answer = await somebody.done(2)
        assert somebody.said(answer["id"]) == ANSWER
        assert place.told[-1] == ("tool", "blue")


@shows("errors")
async def test_a_mistake_is_an_error_with_its_id_and_the_session_goes_on(
    client: Client, place: Place, tmp_path: Path
) -> None:
    place.will(SAID)
    async with client(place, tmp_path) as somebody:
        await somebody.send("no.such.event", event_id="bad_1")
        assert (await somebody.hears("error"))["error"]["event_id"] == "bad_1"
        await somebody.send("conversation.item.retrieve", item_id="none", event_id="bad_2")
        error = (await somebody.hears("error", count=2))["error"]
        assert (error["code"], error["event_id"]) == ("item_retrieve_invalid_item_id", "bad_2")
        assert (await somebody.ask("What time is it?"))["status"] == "completed"


@shows("out of band")
async def test_a_response_beside_the_conversation_leaves_no_trace_in_it(
    client: Client, place: Place, tmp_path: Path
) -> None:
    place.will(Reply(tokens=("billing",)), SAID)
    async with client(place, tmp_path) as somebody:
        content = [{"type": "input_text", "text": "My bill?"}]
        await somebody.send("response.create", response={
            "conversation": "none", "metadata": {"topic": "class"}, "output_modalities": ["text"],
            "input": [{"type": "message", "role": "user", "content": content}],
        })  # fmt: skip
        beside = await somebody.done()
        assert (beside["metadata"], somebody.said(beside["id"])) == ({"topic": "class"}, "billing")
        assert not somebody.of("conversation.item.added")
        await somebody.ask("What time is it?")
        assert place.told == [("user", "What time is it?")]


@shows("spoken turn")
async def test_what_is_said_is_written_down_and_answered(
    client: Client, place: Place, tmp_path: Path
) -> None:
    place.will(SAID)
    async with client(place, tmp_path) as somebody:
        await somebody.configure(audio={"input": LISTENING})
        await somebody.say(speech(QUESTION))
        response = await somebody.done()
        assert (response["status"], somebody.said(response["id"])) == ("completed", ANSWER)
        heard = await somebody.hears("conversation.item.input_audio_transcription.completed")
        assert (heard["transcript"], place.told) == (QUESTION, [("user", QUESTION)])


@shows("pcmu")
async def test_a_telephone_speaks_and_hears_g711(client: Client, place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    async with client(place, tmp_path) as somebody:
        mulaw = {"type": "audio/pcmu"}
        await somebody.configure(audio={"input": {**LISTENING, "format": mulaw}, "output": {"format": mulaw}})
        await somebody.say(speech(QUESTION), is_mulaw=True)
        response = await somebody.done()
        assert is_audible(somebody.pcm(response["id"], is_mulaw=True))
        assert (await somebody.hears("conversation.item.input_audio_transcription.completed"))["transcript"]


@shows("barge-in", "truncation")
async def test_who_speaks_into_the_answer_stops_it_and_what_was_not_played_is_forgotten(
    client: Client, place: Place, tmp_path: Path
) -> None:
    place.will(Reply(tokens=STORY, delay_s=0.1), SAID)
    async with client(place, tmp_path) as somebody:
        await somebody.configure(audio={"input": LISTENING})
        await somebody.begin("Tell me a long story.")
        item_id = (await somebody.hears("response.output_audio.delta"))["item_id"]
        await somebody.say(np.concatenate([silence(1.5), speech(QUESTION)]), silence_s=0.5)
        await somebody.hears("input_audio_buffer.speech_started")
        await somebody.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1000)
        await somebody.hears("conversation.item.truncated")
        await somebody.say(silence(1.0), silence_s=0)
        response = await somebody.done()
        assert response["status"] == "cancelled"
        assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert (await somebody.done(2))["status"] == "completed"
        await somebody.send("conversation.item.retrieve", item_id=item_id)
        cut = (await somebody.hears("conversation.item.retrieved"))["item"]["content"][0]["transcript"]
        whole = response["output"][0]["content"][0]["transcript"]
        assert len(cut) < len(whole)
        assert whole.startswith(cut)
        assert not somebody.of("error")
