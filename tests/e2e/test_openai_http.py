"""OpenAI's HTTP endpoints by the stock ``openai`` client, on real processes and a real provider's socket."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest
import pytest_asyncio
from openai.types.audio import TranscriptionVerbose
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.e2e.house import FRESH, WAIT_S, House, house
from tests.fakes.provider import Call, FakeProvider, Reply
from tests.fakes.recordings import packed
from tests.fakes.speech import silence, speech

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

SAID = "my name is john and i live in london"
SPOKEN = packed(np.concatenate([silence(0.4), speech(SAID), silence(0.8)]))
HELLO: Any = [{"role": "user", "content": "Say hello."}]
LOOK: Any = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}


@dataclass
class Place:
    provider: FakeProvider
    home: House
    client: openai.AsyncOpenAI

    def will(self, *replies: Reply) -> None:
        """Says how the model answers from now on."""
        self.provider.replies = list(replies)

    @property
    def told(self) -> dict[str, Any]:
        """The newest request to the provider."""
        return self.provider.questions[-1].body


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("home")
    async with (
        FakeProvider(is_steady=True) as provider,
        house(folder, with_models=False, EVA_LLM_BASE_URL=provider.base_url) as home,
        openai.DefaultAsyncHttpxClient(limits=FRESH) as http,
        openai.AsyncOpenAI(
            base_url=f"{home.url}/v1", api_key="any", max_retries=0, http_client=http
        ) as client,
    ):
        yield Place(provider, home, client)


async def patiently(create: Callable[..., Awaitable[Any]], **wishes: Any) -> Any:
    """Asks, and comes again where it is told that nobody can listen right now: ears may be kept waiting."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await create(**wishes)
            except openai.InternalServerError as refused:
                if refused.code not in {"no_ears", "lost"}:
                    raise
                await asyncio.sleep(float(refused.response.headers["retry-after"]))


def decoded(data: bytes, *, is_pcm: bool = False) -> tuple[Any, int]:
    """Returns the samples of a file as floats, and its rate."""
    if is_pcm:
        return np.frombuffer(data, "<i2").astype(np.float64) / 32768, 24000
    with av.open(io.BytesIO(data)) as file:
        rate_hz = file.streams.audio[0].rate
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
        frames = [out for frame in file.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]), rate_hz


def understood(text: str) -> int:
    """How many words of what was said."""
    return len(set(re.findall(r"[a-z]+", text.lower())) & set(SAID.split()))


@pytest.mark.parametrize(
    ("form", "mime", "rate_hz"),
    [
        ("mp3", "audio/mpeg", 24000),
        ("opus", "audio/ogg", 48000),
        ("aac", "audio/aac", 24000),
        ("flac", "audio/flac", 24000),
        ("wav", "audio/wav", 24000),
        ("pcm", "audio/pcm", 24000),
    ],
)
@pytest.mark.compatible("openai-python", "speech")
async def test_speech_is_audible_in_every_format(place: Place, form: Any, mime: str, rate_hz: int) -> None:
    answer = await place.client.audio.speech.create(
        model="tts-1", voice="alloy", input="Good morning, London.", response_format=form
    )
    samples, rate = decoded(answer.content, is_pcm=form == "pcm")
    assert (answer.response.headers["content-type"], rate) == (mime, rate_hz)
    assert answer.response.headers["x-request-id"].startswith("req_")
    assert 0.5 < len(samples) / rate < 5
    assert np.sqrt(np.mean(samples**2)) > 0.01


async def test_speech_comes_as_events_too(place: Place) -> None:
    body = {"model": "m", "voice": {"id": "eva"}, "input": "Good morning.", "stream_format": "sse"}
    answer = await place.home.http.post(
        f"{place.home.url}/v1/audio/speech", json={**body, "response_format": "pcm"}
    )
    assert answer.headers["content-type"] == "text/event-stream"
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    samples, _ = decoded(b"".join(base64.b64decode(event["audio"]) for event in events[:-1]), is_pcm=True)
    assert np.sqrt(np.mean(samples**2)) > 0.01
    done = events[-1]
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["output_tokens"] == pytest.approx(len(samples) / 24000 / 0.05, abs=2)
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]


async def test_speech_at_double_speed_is_shorter_and_streamed(place: Place) -> None:
    sizes = []
    for speed in (1.0, 2.0):
        async with place.client.audio.speech.with_streaming_response.create(
            model="m", voice="nova", input="One two three four five six.", response_format="pcm", speed=speed
        ) as answer:
            sizes.append(sum([len(piece) async for piece in answer.iter_bytes()]))
    assert 0.3 < sizes[1] / sizes[0] < 0.75


async def test_what_eva_says_she_understands(place: Place) -> None:
    made = await place.client.audio.speech.create(
        model="m", voice="alloy", input=f"{SAID}.", response_format="wav"
    )
    heard = await patiently(
        place.client.audio.transcriptions.create, model="whisper-1", file=("a.wav", made.content)
    )
    assert understood(heard.text) >= 5, heard.text
    assert heard.usage is not None
    assert heard.usage.type == "duration"
    assert heard.usage.seconds > 1


async def test_the_synchronous_client_hears_chats_and_finds_models_too(place: Place) -> None:
    place.will(Reply())

    def used() -> None:
        with openai.OpenAI(base_url=f"{place.home.url}/v1", api_key="any", max_retries=9) as client:
            heard = client.audio.transcriptions.create(model="any", file=("a.wav", SPOKEN), language="en")
            assert understood(heard.text) >= 5
            chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
            assert chunks[-1].choices[0].finish_reason == "stop"
            assert client.models.retrieve("whisper-1").owned_by == "eva"
            assert "eva" in {model.id for model in client.models.list()}

    await asyncio.to_thread(used)


@pytest.mark.compatible("openai-python", "transcription")
async def test_a_transcript_has_the_times_that_were_asked_for(place: Place) -> None:
    verbose = await patiently(
        place.client.audio.transcriptions.create,
        model="whisper-1", file=SPOKEN, response_format="verbose_json",
        timestamp_granularities=["word", "segment"], language="en", prompt="a prompt", temperature=0.2,
    )  # fmt: skip
    TranscriptionVerbose.model_validate(verbose.model_dump(), strict=True)
    assert verbose.words is not None
    assert verbose.segments is not None
    assert verbose.language == "english"
    starts = [word.start for word in verbose.words]
    assert starts == sorted(starts)
    assert all(0 <= word.start <= word.end <= verbose.duration for word in verbose.words)
    assert understood(" ".join(word.word for word in verbose.words)) >= 5
    plain = await patiently(
        place.client.audio.transcriptions.create,
        model="whisper-1", file=SPOKEN, response_format="verbose_json",
    )  # fmt: skip
    assert plain.words is None
    assert plain.segments


@pytest.mark.parametrize(("form", "start"), [("text", ""), ("srt", "1\n00:00:0"), ("vtt", "WEBVTT\n\n1\n")])
async def test_a_transcript_is_plain_where_that_was_asked_for(place: Place, form: Any, start: str) -> None:
    text = await patiently(
        place.client.audio.transcriptions.create, model="whisper-1", file=SPOKEN, response_format=form
    )
    assert text.startswith(start)
    assert understood(text) >= 5


async def test_a_transcript_comes_in_pieces(place: Place) -> None:
    long = np.concatenate([silence(0.4), speech(SAID), silence(1.5), speech(SAID), silence(1)])
    stream = await patiently(
        place.client.audio.transcriptions.create,
        model="gpt-4o-transcribe", file=("a.flac", packed(long, "flac")), stream=True,
    )  # fmt: skip
    events = [event async for event in stream]
    assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert events[-1].type == "transcript.text.done"
    assert (
        "".join(event.delta for event in events if event.type == "transcript.text.delta") == events[-1].text
    )
    assert understood(events[-1].text) >= 5
    assert events[-1].usage is not None
    assert events[-1].usage.input_tokens >= 60


async def test_a_conversation_is_answered_as_the_provider_says(place: Place) -> None:
    place.will(Reply(cached_tokens=4))
    answer = await place.client.chat.completions.create(
        model="gpt-4o",
        messages=[
            {"role": "developer", "content": "You are a gardener."},
            {"role": "user", "content": "My name is Ada."},
            {"role": "assistant", "content": "Hello Ada."},
            {"role": "user", "content": [{"type": "text", "text": "Say hello."}]},
        ],
        max_completion_tokens=50,
        temperature=0.3,
    )
    ChatCompletion.model_validate(answer.model_dump(exclude_unset=True), strict=True)
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hello there. How are you?", "stop")
    assert answer.model == "gpt-4o"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    assert abs(answer.created - time.time()) < 600
    told = place.told["messages"]
    assert told[0]["content"].startswith("You are a gardener.")
    assert [message["content"] for message in told[1:3]] == ["My name is Ada.", "Hello Ada."]
    assert told[3]["content"].startswith("Say hello.")
    assert place.told["temperature"] == 0.3
    limit = place.told.get("max_completion_tokens") or place.told.get("max_tokens")
    assert limit == 50


@pytest.mark.compatible("openai-python", "chat")
async def test_an_answer_comes_in_chunks_with_its_usage_in_the_last_one(place: Place) -> None:
    place.will(Reply())
    stream = await place.client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(exclude_unset=True), strict=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == "Hello there. How are you?"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 7
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_stream_ends_with_done_for_whoever_reads_it_raw(place: Place) -> None:
    place.will(Reply())
    answer = await place.home.http.post(
        f"{place.home.url}/v1/chat/completions", json={"model": "m", "messages": HELLO, "stream": True}
    )
    assert answer.headers["content-type"] == "text/event-stream"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["choices"] for event in events[:-2])


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_stop_sequence_ends_the_answer_before_it(place: Place, *, is_streamed: bool) -> None:
    place.will(Reply(tokens=("One", " two", " th", "ree", " four", " five")))
    answer: Any = await place.client.chat.completions.create(
        model="m", messages=HELLO, stop=[" three", "six"], stream=is_streamed
    )
    if is_streamed:
        chunks = [chunk.choices[0] async for chunk in answer]
        text, reason = "".join(one.delta.content or "" for one in chunks), chunks[-1].finish_reason
    else:
        text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert (text, reason) == ("One two", "stop")


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.compatible("openai-python", "tools")
async def test_functions_are_handed_over_and_their_results_come_with_the_next_request(
    place: Place, *, is_streamed: bool
) -> None:
    calls = (
        Call(name="look", arguments='{"at": "sky"}', id="c1"),
        Call(name="look", arguments='{"at": "sea"}', id="c2"),
    )
    place.will(Reply(tokens=(), calls=calls), Reply(tokens=("Both", " blue", ".")))
    messages: list[Any] = [{"role": "user", "content": "Look at both."}]
    if is_streamed:
        stream = await place.client.chat.completions.create(
            model="m", messages=messages, tools=[LOOK], tool_choice="required", stream=True
        )
        deltas = [chunk.choices[0] async for chunk in stream]
        assert deltas[-1].finish_reason == "tool_calls"
        told = [call for one in deltas for call in one.delta.tool_calls or ()]
        assert [call.index for call in told] == [0, 1]
        asked = [{"id": call.id, "type": "function", "function": call.function} for call in told]
        message: Any = {"role": "assistant", "content": None, "tool_calls": asked}
    else:
        answer = await place.client.chat.completions.create(
            model="m", messages=messages, tools=[LOOK], tool_choice="required"
        )
        assert answer.choices[0].finish_reason == "tool_calls"
        assert answer.choices[0].message.content is None
        message = answer.choices[0].message
        told = message.tool_calls or []
    assert place.told["tool_choice"] == "required"
    assert [(call.function.name, json.loads(call.function.arguments)["at"]) for call in told] == [
        ("look", "sky"), ("look", "sea"),
    ]  # fmt: skip
    results = [{"role": "tool", "tool_call_id": call.id, "content": "blue"} for call in told]
    answer = await place.client.chat.completions.create(
        model="m", messages=[*messages, message, *results], tools=[LOOK]
    )
    assert answer.choices[0].message.content == "Both blue."
    roles = [message["role"] for message in place.told["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool"]


async def test_one_call_is_told_where_several_are_not_wanted(place: Place) -> None:
    place.will(Reply(tokens=(), calls=(Call(name="look", id="a"), Call(name="look", id="b"))))
    answer = await place.client.chat.completions.create(
        model="m", messages=HELLO, tools=[LOOK], parallel_tool_calls=False
    )
    assert [call.id for call in answer.choices[0].message.tool_calls or ()] == ["a"]


@pytest.mark.parametrize("form", ["wav", "mp3", "pcm16"])
async def test_an_answer_is_sound_and_a_later_request_names_it_by_its_id(place: Place, form: Any) -> None:
    place.will(Reply())
    answer = await place.client.chat.completions.create(
        model="gpt-audio", messages=HELLO, modalities=["text", "audio"],
        audio={"voice": "alloy", "format": form},
    )  # fmt: skip
    message = answer.choices[0].message
    assert message.content is None
    assert message.audio is not None
    assert message.audio.transcript == "Hello there. How are you?"
    samples, rate = decoded(base64.b64decode(message.audio.data), is_pcm=form == "pcm16")
    assert 0.5 < len(samples) / rate < 6
    assert np.sqrt(np.mean(samples**2)) > 0.01
    assert message.audio.expires_at > time.time()
    await place.client.chat.completions.create(
        model="m",
        messages=[*HELLO, {"role": "assistant", "audio": {"id": message.audio.id}}, *HELLO],
    )
    assert place.told["messages"][2] == {"role": "assistant", "content": "Hello there. How are you?"}


@pytest.mark.compatible("openai-python", "chat with audio")
async def test_an_answer_that_is_sound_is_streamed(place: Place) -> None:
    place.will(Reply())
    stream = await place.client.chat.completions.create(
        model="m", messages=HELLO, modalities=["text", "audio"], stream=True,
        audio={"voice": "alloy", "format": "pcm16"},
    )  # fmt: skip
    chunks = [chunk async for chunk in stream]
    audio = [chunk.choices[0].delta.audio for chunk in chunks if chunk.choices[0].delta.audio]
    pcm = b"".join(base64.b64decode(part.data) for part in audio if part.data)
    samples, _ = decoded(pcm, is_pcm=True)
    assert np.sqrt(np.mean(samples**2)) > 0.01
    assert "".join(part.transcript or "" for part in audio) == "Hello there. How are you?"
    assert next(part.id for part in audio if part.id).startswith("audio_")
    assert all(chunk.choices[0].delta.content is None for chunk in chunks)


@pytest.mark.compatible("openai-python", "chat with audio")
async def test_a_recording_in_a_message_is_understood(place: Place) -> None:
    place.will(Reply())
    part: Any = {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(SPOKEN).decode(), "format": "wav"},
    }
    text: Any = {"type": "text", "text": "What do I say?"}
    await patiently(
        place.client.chat.completions.create,
        model="gpt-audio", messages=[{"role": "user", "content": [text, part]}],
    )  # fmt: skip
    asked = place.told["messages"][1]["content"]
    assert asked.startswith("What do I say?\n")
    assert understood(asked) >= 5


SPEECH = {"model": "m", "voice": "a", "input": "x"}
CHAT = {"model": "m", "messages": HELLO}
SOUND = {"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "mp3"}}
BAD: list[tuple[str, dict[str, Any], str | None]] = [
    ("/chat/completions", {"messages": HELLO}, "model"),
    ("/chat/completions", {"model": "m", "messages": []}, "messages"),
    ("/chat/completions", {**CHAT, "n": 2}, "n"),
    ("/chat/completions", {**CHAT, **SOUND, "stream": True}, "audio.format"),
    ("/audio/speech", {**SPEECH, "input": "x" * 4097}, "input"),
    ("/audio/speech", {**SPEECH, "speed": 9}, "speed"),
    ("/audio/speech", {**SPEECH, "response_format": "midi"}, "response_format"),
]


@pytest.mark.parametrize(("path", "body", "param"), BAD)
@pytest.mark.compatible("openai-python", "errors")
async def test_a_bad_request_is_a_typed_error_that_names_the_field(
    place: Place, path: str, body: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await place.client.post(path, body=body, cast_to=httpx.Response)
    error = caught.value
    assert (error.status_code, error.type, error.param) == (400, "invalid_request_error", param)
    assert error.code in {"invalid_request", "unsupported_value"}
    assert error.request_id is not None
    assert error.request_id.startswith("req_")


async def test_other_failures_are_typed_too(place: Place) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await place.client.models.retrieve("nobody")
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        "model_not_found", "model", "not_found_error",
    )  # fmt: skip
    with pytest.raises(openai.UnprocessableEntityError) as unreadable:
        await place.client.audio.transcriptions.create(model="m", file=("a.wav", b"no recording at all"))
    assert unreadable.value.code == "unreadable_audio"
    with (
        pytest.warns(DeprecationWarning, match="deprecated"),
        pytest.raises(openai.BadRequestError, match="does not translate"),
    ):
        await place.client.audio.translations.create(model="m", file=("a.wav", SPOKEN))


async def test_the_id_of_a_request_is_taken_over_and_stands_in_the_answer(place: Place) -> None:
    place.will(Reply())
    answer = await place.client.chat.completions.create(
        model="m", messages=HELLO, extra_headers={"x-request-id": "test-7"}
    )
    assert answer._request_id == "test-7"
