"""The stock ``openai`` client at ``WS /v1/realtime``, speaking: turns, interruptions, transcripts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from services.gateway.realtime import formats
from services.gateway.realtime.session_types import Pcmu
from tests.e2e.house import House, house
from tests.e2e.realtime_talker import RATE_HZ, Person, person
from tests.e2e.talker import is_audible
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import Pcm, resampled, silence, speech
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = speech(PHRASES[0])
SHORT = Reply(tokens=("All", " right", "."))
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))
TRANSCRIBING = {"transcription": {"model": "whisper-1"}}
SERVER_VAD = {"type": "server_vad", "silence_duration_ms": 500, "prefix_padding_ms": 300}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("home"), EVA_LLM_BASE_URL=provider.base_url) as home:
        yield home


def told(provider: FakeProvider) -> list[tuple[str, str]]:
    """What the model was told in its newest request, behind its instructions."""
    messages = provider.questions[-1].body["messages"]
    return [(each["role"], each["content"]) for each in messages if each["role"] != "system"]


def types(somebody: Person, *, besides: str = "response.") -> list[str]:
    """The types of all events that are not about responses."""
    return [event["type"] for event in somebody.events if not event["type"].startswith(besides)]


@pytest.mark.compatible("openai-python", "spoken turn")
async def test_a_spoken_turn_is_heard_written_down_and_answered_by_itself(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT]
    async with person(home.url) as somebody:
        await somebody.configure(audio={"input": {**TRANSCRIBING, "turn_detection": SERVER_VAD}})
        await somebody.say(SAID)
        response = await somebody.done()
        assert response["status"] == "completed"
        assert somebody.said(response["id"]) == "All right."
        assert is_audible(somebody.pcm(response["id"]))
        transcript = await somebody.hears("conversation.item.input_audio_transcription.completed")
        assert transcript["transcript"] == PHRASES[0]
        assert transcript["usage"]["seconds"] > 0.5
        item_id = transcript["item_id"]
        assert {event["item_id"] for event in somebody.of(
            "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
        )} == {item_id}  # fmt: skip
        marks = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.completed",
            "response.created",
            "response.done",
        ]
        places = [[event["type"] for event in somebody.events].index(kind) for kind in marks]
        assert places == sorted(places), somebody.story()
        added = somebody.of("conversation.item.added")[0]["item"]
        assert added["content"] == [{"type": "input_audio", "transcript": None}]
        (started,) = somebody.of("input_audio_buffer.speech_started")
        (stopped,) = somebody.of("input_audio_buffer.speech_stopped")
        assert 0 <= started["audio_start_ms"] < stopped["audio_end_ms"]
        await somebody.connection.conversation.item.retrieve(item_id=item_id)
        item = (await somebody.hears("conversation.item.retrieved"))["item"]
        assert item["content"] == [{"type": "input_audio", "transcript": PHRASES[0]}]
        assert told(provider) == [("user", PHRASES[0])]


async def interrupts(somebody: Person, provider: FakeProvider) -> tuple[str, str]:
    """Speaks into a story; returns the ids of its response and of its item."""
    provider.replies = [Reply(tokens=STORY, delay_s=0.1), SHORT]
    await somebody.write("Tell me a long story.")
    await somebody.connection.response.create()
    delta = await somebody.hears("response.output_audio.delta")
    await somebody.hears_sound(delta["response_id"], 1.2)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(somebody.say(np.concatenate([silence(1.5), SAID])))
        await somebody.hears("input_audio_buffer.speech_started")
        # As clients do that own the playback: at once, and before they know how the response ends.
        await somebody.connection.conversation.item.truncate(
            item_id=delta["item_id"], content_index=0, audio_end_ms=1000
        )
        await somebody.hears("conversation.item.truncated")
    return delta["response_id"], delta["item_id"]


@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
@pytest.mark.compatible("openai-python", "barge-in", "truncation")
async def test_speech_cancels_the_response_and_the_truncated_words_are_forgotten(
    home: House, provider: FakeProvider, kind: str
) -> None:
    async with person(home.url) as somebody:
        await somebody.configure(audio={"input": {**TRANSCRIBING, "turn_detection": {"type": kind}}})
        response_id, item_id = await interrupts(somebody, provider)
        response = await somebody.done()
        assert response["id"] == response_id
        assert response["status"] == "cancelled"
        assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        order = [event["type"] for event in somebody.events]
        assert order.index("input_audio_buffer.speech_started") < order.index("response.done")
        last = max(
            at for at, event in enumerate(somebody.events)
            if event["type"] == "response.output_audio.delta" and event["response_id"] == response_id
        )  # fmt: skip
        assert last < order.index("response.output_audio.done")
        answer = await somebody.done(2)
        assert (answer["status"], somebody.said(answer["id"])) == ("completed", "All right.")
        await somebody.connection.conversation.item.retrieve(item_id=item_id)
        cut = (await somebody.hears("conversation.item.retrieved"))["item"]["content"][0]["transcript"]
        whole = response["output"][0]["content"][0]["transcript"]
        assert cut
        assert whole.startswith(cut)
        assert len(cut) < 40  # of one second
        assert told(provider)[0] == ("user", "Tell me a long story.")
        assert told(provider)[-1] == ("user", PHRASES[0])
        (heard,) = [content for role, content in told(provider) if role == "assistant"]
        assert "".join(STORY).strip().startswith(heard)
        assert len(heard) < len("".join(STORY)) / 4
        assert not somebody.of("error")


async def test_the_client_may_say_itself_when_it_has_spoken_and_wants_an_answer(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT]
    async with person(home.url) as somebody:
        session = await somebody.configure(audio={"input": {**TRANSCRIBING, "turn_detection": None}})
        assert "turn_detection" not in session["audio"]["input"]
        await somebody.say(SAID, silence_s=0.2)
        await somebody.connection.input_audio_buffer.commit()
        await somebody.connection.response.create()  # before the transcript is there
        response = await somebody.done()
        assert (response["status"], told(provider)) == ("completed", [("user", PHRASES[0])])
        assert not somebody.of("input_audio_buffer.speech_started")
        committed = await somebody.hears("input_audio_buffer.committed")
        completed = await somebody.hears("conversation.item.input_audio_transcription.completed")
        assert (completed["item_id"], completed["transcript"]) == (committed["item_id"], PHRASES[0])


async def test_what_was_cleared_is_not_committed(home: House) -> None:
    async with person(home.url) as somebody:
        await somebody.configure(audio={"input": {**TRANSCRIBING, "turn_detection": None}})
        await somebody.say(SAID, silence_s=0.2)
        await somebody.connection.input_audio_buffer.clear()
        await somebody.hears("input_audio_buffer.cleared")
        await somebody.connection.input_audio_buffer.commit()
        error = (await somebody.hears("error"))["error"]
        assert error["code"] == "input_audio_buffer_commit_empty"
        await somebody.say(silence(0.5), silence_s=0.0)
        await somebody.connection.input_audio_buffer.commit()
        done = await somebody.hears("conversation.item.input_audio_transcription.completed")
        assert done["transcript"] == ""


async def test_who_does_not_want_answers_by_themselves_gets_items_and_asks_when_they_like(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT]
    async with person(home.url) as somebody:
        quiet = {**SERVER_VAD, "create_response": False}
        await somebody.configure(audio={"input": {**TRANSCRIBING, "turn_detection": quiet}})
        await somebody.say(SAID)
        await somebody.hears("conversation.item.input_audio_transcription.completed")
        assert not somebody.of("response.created")
        response = await somebody.respond()
        assert (response["status"], told(provider)) == ("completed", [("user", PHRASES[0])])


async def test_a_transcription_session_writes_down_and_never_answers(home: House) -> None:
    async with person(home.url, intent="transcription") as somebody:
        created = await somebody.hears("session.created")
        assert created["session"]["type"] == "transcription"
        wanted = {**TRANSCRIBING, "turn_detection": SERVER_VAD}
        await somebody.configure(type="transcription", audio={"input": wanted})
        await somebody.say(SAID)
        done = await somebody.hears("conversation.item.input_audio_transcription.completed")
        deltas = [
            event["delta"] for event in somebody.of("conversation.item.input_audio_transcription.delta")
            if event["item_id"] == done["item_id"]
        ]  # fmt: skip
        assert ("".join(deltas), done["transcript"]) == (PHRASES[0], PHRASES[0])
        await somebody.connection.response.create(event_id="no")
        error = (await somebody.hears("error"))["error"]
        assert (error["code"], error["event_id"]) == ("invalid_session_type", "no")
        assert not somebody.of("response.created")


@pytest.mark.compatible("openai-python", "pcmu")
async def test_a_telephone_speaks_and_hears_g711(home: House, provider: FakeProvider) -> None:
    provider.replies = [SHORT]

    def encode(frame: Pcm) -> bytes:
        return formats.compress(Pcmu(), frame.astype("<i2").tobytes())

    async with person(home.url) as somebody:
        mulaw = {"type": "audio/pcmu"}
        await somebody.configure(
            audio={
                "input": {**TRANSCRIBING, "format": mulaw, "turn_detection": SERVER_VAD},
                "output": {"format": mulaw},
            }
        )
        await somebody.say(SAID, encode=encode)
        response = await somebody.done()
        assert response["audio"]["output"]["format"] == mulaw
        sound = np.frombuffer(formats.expand(Pcmu(), somebody.sound(response["id"])), "<i2") / 32768
        assert is_audible(sound.astype(np.float32))
        assert 0.3 < len(sound) / 8000 < 5
        done = await somebody.hears("conversation.item.input_audio_transcription.completed")
        assert done["transcript"] in PHRASES  # the small model takes a telephone's band for another phrase


async def test_a_recording_in_an_item_is_transcribed_and_answered(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT]
    async with person(home.url) as somebody:
        await somebody.configure(audio={"input": TRANSCRIBING})
        pcm = resampled(np.concatenate([SAID, silence(0.5)]), 16000, RATE_HZ)
        await somebody.connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_audio", "audio": base64.b64encode(pcm.tobytes()).decode()}],
            }
        )
        response = await somebody.respond()
        done = await somebody.hears("conversation.item.input_audio_transcription.completed")
        assert done["transcript"] == PHRASES[0]
        assert (response["status"], told(provider)) == ("completed", [("user", PHRASES[0])])


async def test_who_says_nothing_for_long_is_spoken_to(home: House, provider: FakeProvider) -> None:
    provider.replies = [SHORT, Reply(tokens=("Are", " you", " there", "?"))]
    async with person(home.url) as somebody:
        waiting = {**SERVER_VAD, "idle_timeout_ms": 5000}
        await somebody.configure(audio={"input": {"turn_detection": waiting}})
        await somebody.ask("Hello.")
        triggered = await somebody.hears("input_audio_buffer.timeout_triggered")
        committed = await somebody.hears("input_audio_buffer.committed")
        assert committed["item_id"] == triggered["item_id"]
        response = await somebody.done(2)
        assert somebody.said(response["id"]) == "Are you there?"
