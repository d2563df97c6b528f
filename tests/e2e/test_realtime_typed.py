"""The stock ``openai`` client at ``WS /v1/realtime``: typed turns of all kinds, with real processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.tts import piper
from tests.e2e.house import UNPACED, House, house
from tests.e2e.realtime_talker import RATE_HZ, person
from tests.e2e.talker import is_audible
from tests.fakes.provider import Call, FakeProvider, Reply
from tests.models import tiny_voice

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SHORT = Reply(tokens=("All", " right", ".", " It", " is", " noon", "."), cached_tokens=3)
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))
SPOKEN_ORDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
LOOK = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("home")
    async with house(folder, EVA_LLM_BASE_URL=provider.base_url, **UNPACED) as home:
        yield home


def told(provider: FakeProvider) -> list[tuple[str, str]]:
    """What the model was told in its newest request, behind its instructions."""
    messages = provider.questions[-1].body["messages"]
    return [(each["role"], each["content"]) for each in messages if each["role"] != "system"]


@pytest.mark.compatible("openai-python", "typed turn")
async def test_a_typed_turn_is_spoken_and_its_sound_says_what_its_transcript_says(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT]
    model = home.models_dir / "tts" / "en_US-tiny-low" / "en_US-tiny-low.onnx"
    voice = piper.load_voice(model, device="cpu", threads=1)
    async with person(home.url, model="gpt-realtime-2.1") as somebody:
        created = await somebody.hears("session.created")
        assert somebody.events[0] is created
        assert (created["session"]["object"], created["session"]["model"]) == (
            "realtime.session",
            "gpt-realtime-2.1",
        )
        session = await somebody.configure(instructions="Be brief.", audio={"output": {"voice": "marin"}})
        assert session["audio"]["output"]["voice"] == "marin"
        asked = await somebody.write("What time is it?")
        response = await somebody.respond(metadata={"client_event_id": "7"})
        assert response["status"] == "completed"
        first, *_ = somebody.of("response.created")
        assert first["response"]["metadata"] == response["metadata"] == {"client_event_id": "7"}
        assert somebody.said(response["id"]) == "All right. It is noon."
        (item,) = response["output"]
        assert item["content"] == [{"type": "output_audio", "transcript": "All right. It is noon."}]
        order = somebody.order(response["id"])
        assert [kind for kind in order if not kind.endswith(".delta")] == SPOKEN_ORDER, somebody.story()
        added = next(
            event for event in somebody.of("conversation.item.added") if event["item"]["id"] == item["id"]
        )
        assert added["previous_item_id"] == asked
        assert all(len(event["delta"]) <= 6600 for event in somebody.of("response.output_audio.delta"))
        assert is_audible(somebody.pcm(response["id"]))
        said = [one for part in ("All right.", "It is noon.") for one in voice.vits.phonemize(part)]
        expected = tiny_voice.sounding([one for sentence in said for one in sentence])
        heard = tiny_voice.decode(somebody.pcm(response["id"]), RATE_HZ)
        alike = sum(one == other for one, other in zip(heard, expected, strict=False))
        assert alike >= 0.8 * len(expected), (heard, expected)
        usage = response["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
        await somebody.hears("rate_limits.updated")
        assert told(provider) == [("user", "What time is it?")]
        assert provider.questions[-1].body["messages"][0]["content"].startswith("Be brief.")


async def test_at_double_speed_an_answer_is_heard_in_half_the_time(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT, SHORT]
    sizes = []
    async with person(home.url) as somebody:
        for speed in (0.75, 1.5):
            session = await somebody.configure(audio={"output": {"speed": speed}})
            assert session["audio"]["output"]["speed"] == speed
            response = await somebody.ask("What time is it?")
            sizes.append(len(somebody.sound(response["id"])))
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.2)


async def test_two_turns_in_a_row_and_the_second_knows_of_the_first(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT, Reply(tokens=("So", " do", " I", "."))]
    async with person(home.url) as somebody:
        first = await somebody.ask("I like tea.")
        second = await somebody.ask("Do you?")
        assert (first["status"], second["status"]) == ("completed", "completed")
        assert somebody.said(second["id"]) == "So do I."
        assert told(provider) == [
            ("user", "I like tea."), ("assistant", "All right. It is noon."), ("user", "Do you?"),
        ]  # fmt: skip


@pytest.mark.compatible("openai-python", "text only")
async def test_a_text_only_response_has_text_and_no_sound(home: House, provider: FakeProvider) -> None:
    provider.replies = [SHORT]
    async with person(home.url) as somebody:
        response = await somebody.ask("What time is it?", output_modalities=["text"])
        assert (response["status"], response["output_modalities"]) == ("completed", ["text"])
        assert response["output"][0]["content"] == [{"type": "output_text", "text": "All right. It is noon."}]
        assert somebody.said(response["id"]) == "All right. It is noon."
        assert len(somebody.of("response.output_text.delta")) > 1
        assert somebody.sound(response["id"]) == b""


@pytest.mark.compatible("openai-python", "tools")
async def test_a_function_is_called_and_its_result_is_answered(home: House, provider: FakeProvider) -> None:
    call = Call(name="look", arguments='{"at": "the sky"}', id="call_1")
    provider.replies = [
        Reply(tokens=("One", " moment", "."), calls=(call,)), Reply(tokens=("It", " is", " blue", ".")),
    ]  # fmt: skip
    async with person(home.url) as somebody:
        await somebody.configure(tools=[LOOK])
        response = await somebody.ask("What colour is the sky?")
        assert response["status"] == "completed"
        called = await somebody.hears("response.function_call_arguments.done")
        assert (called["name"], called["arguments"]) == ("look", '{"at": "the sky"}')
        calls = [item for item in response["output"] if item["type"] == "function_call"]
        assert [(item["status"], item["call_id"]) for item in calls] == [("completed", called["call_id"])]
        assert somebody.said(response["id"]) == "One moment."
        await somebody.connection.conversation.item.create(
            item={
                "type": "function_call_output",
                "call_id": called["call_id"],
                "output": '{"colour": "blue"}',
            }
        )
        answer = await somebody.respond()
        assert somebody.said(answer["id"]) == "It is blue."
        roles = [role for role, _ in told(provider)]
        assert roles[0] == "user"
        assert roles[-1] == "tool"
        assert told(provider)[-1][1] == '{"colour": "blue"}'


async def test_a_forced_function_makes_a_response_without_a_word(home: House, provider: FakeProvider) -> None:
    provider.replies = [Reply(tokens=(), calls=(Call(name="look"),))]
    async with person(home.url) as somebody:
        await somebody.configure(tools=[LOOK], tool_choice="required")
        response = await somebody.ask("Look!")
        assert response["status"] == "completed"
        assert [item["type"] for item in response["output"]] == ["function_call"]
        assert provider.questions[-1].body["tool_choice"] == "required"


@pytest.mark.compatible("openai-python", "streaming sound")
async def test_a_cancelled_response_ends_as_such_and_the_next_one_is_a_good_one(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [Reply(tokens=STORY, delay_s=1.0), SHORT]  # still in the making when it is cancelled
    async with person(home.url) as somebody:
        await somebody.write("Tell me a long story.")
        await somebody.connection.response.create()
        await somebody.hears("response.output_audio.delta", count=3)
        await somebody.connection.response.create(event_id="too_early")
        error = (await somebody.hears("error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "too_early")
        await somebody.connection.response.cancel()
        response = await somebody.done()
        assert response["status"] == "cancelled"
        assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        (item,) = response["output"]
        assert item["status"] == "incomplete"
        await somebody.connection.response.cancel()  # the two have crossed: no error
        later = await somebody.ask("And now?")
        assert (later["status"], len(somebody.of("error"))) == ("completed", 1)
        await somebody.connection.response.cancel(response_id="resp_none", event_id="late")
        error = (await somebody.hears("error", count=2))["error"]
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "late")


@pytest.mark.compatible("openai-python", "out of band")
async def test_a_response_out_of_band_runs_beside_the_conversation_and_leaves_no_trace(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [
        Reply(tokens=STORY[:6], delay_s=0.3), Reply(tokens=("billing",)), SHORT,
    ]  # fmt: skip
    async with person(home.url) as somebody:
        await somebody.write("Tell me a story.")
        await somebody.connection.response.create()
        await somebody.hears("response.output_audio.delta")
        await somebody.connection.response.create(
            response={
                "conversation": "none",
                "metadata": {"topic": "classification"},
                "output_modalities": ["text"],
                "instructions": "Classify.",
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "My bill?"}],
                    }
                ],
            }
        )

        def is_beside(event: dict[str, object]) -> bool:
            response = event["response"]
            return isinstance(response, dict) and response.get("metadata") == {"topic": "classification"}

        done = (await somebody.hears("response.done", where=is_beside))["response"]
        assert (done["status"], somebody.said(done["id"])) == ("completed", "billing")
        assert "conversation_id" not in done
        assert not [
            event for event in somebody.of_response(done["id"]) if event["type"].startswith("conversation.")
        ]
        beside = next(request for request in provider.requests if "Classify." in str(request.body))
        assert [m["content"] for m in beside.body["messages"] if m["role"] == "user"] == ["My bill?"]
        story = (await somebody.hears("response.done", where=lambda event: not is_beside(event)))["response"]
        assert story["status"] == "completed"
        await somebody.ask("Thanks.")
        assert "My bill?" not in str(provider.questions[-1].body)


@pytest.mark.compatible("openai-python", "errors")
async def test_a_bad_event_is_an_error_with_its_id_and_costs_nothing_else(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT]
    async with person(home.url) as somebody:
        await somebody.connection.send({"type": "no.such.event", "event_id": "bad_1"})  # type: ignore[arg-type]
        assert (await somebody.hears("error"))["error"]["event_id"] == "bad_1"
        await somebody.connection.session.update(
            session={
                "type": "realtime",
                "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 7}}},
            },
            event_id="bad_2",
        )
        error = (await somebody.hears("error", count=2))["error"]
        assert (error["event_id"], error["param"]) == (
            "bad_2",
            "session.audio.input.turn_detection.threshold",
        )
        await somebody.connection.conversation.item.retrieve(item_id="none", event_id="bad_3")
        assert (await somebody.hears("error", count=3))["error"]["code"] == "item_retrieve_invalid_item_id"
        await somebody.connection.input_audio_buffer.commit(event_id="bad_4")
        assert (await somebody.hears("error", count=4))["error"]["code"] == "input_audio_buffer_commit_empty"
        assert (await somebody.ask("What time is it?"))["status"] == "completed"


async def test_a_response_that_nobody_can_make_fails_and_still_ends(
    home: House, provider: FakeProvider
) -> None:
    await home["llm"].stop()
    try:
        async with person(home.url) as somebody:
            response = await somebody.ask("What time is it?", output_modalities=["text"])
            assert response["status"] == "failed"
            assert response["status_details"]["error"]["code"] == "llm_unavailable"
            provider.replies = [SHORT]
            await home["llm"].start()
            await home.until_ready()
            assert (await somebody.respond())["status"] == "completed"
    finally:
        if not home["llm"].is_running:
            await home["llm"].start()
            await home.until_ready()
