"""OpenAI's endpoints where something fails in the middle, through a real server on workers without models."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import httpx
import openai
import pytest

from services.gateway import openai_chat
from services.gateway.http_routes import RECORDINGS_AT_ONCE
from services.gateway.recordings import SILENT_S
from tests.fakes.file_ears import FakeFileEars
from tests.fakes.gateway import RunningGateway, running_gateway
from tests.fakes.workers import tone

HELLO: Any = [{"role": "user", "content": "Hello"}]
CHAT = {"model": "m", "messages": HELLO}
SPEECH = {"model": "m", "voice": "alloy", "input": "Hello", "response_format": "pcm"}
SOUND: Any = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}


def client_of(gateway: RunningGateway) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://{gateway.address}/v1", api_key="any", max_retries=0)


async def listening(gateway: RunningGateway) -> FakeFileEars:
    ears = FakeFileEars(gateway.broker.connect("filer"))
    await ears.listen()
    await gateway.until(lambda: gateway.door.watch.is_up("stt"))
    return ears


def refusal(response: httpx.Response) -> tuple[int, str, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["type"], error["code"], error["param"]


def events_of(text: str) -> list[Any]:
    return [json.loads(event.removeprefix("data: ")) for event in text.split("\n\n") if event]


async def test_speech_that_fails_in_the_middle_is_broken_off(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    async with gateway.http.stream("POST", "/v1/audio/speech", json=SPEECH) as response:
        pieces = response.aiter_raw()
        await anext(pieces)
        gateway.workers.faults.voice_fails = "engine_failed"
        gateway.workers.faults.gate.set()
        with pytest.raises(httpx.RemoteProtocolError):
            [piece async for piece in pieces]


async def test_speech_as_events_that_fails_in_the_middle_says_so_in_an_event(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    asked = {**SPEECH, "stream_format": "sse"}
    async with gateway.http.stream("POST", "/v1/audio/speech", json=asked) as response:
        assert response.headers["cache-control"] == "no-cache"
        lines = response.aiter_text()
        text = await anext(lines)
        gateway.workers.faults.voice_fails = "engine_failed"
        gateway.workers.faults.gate.set()
        text += "".join([more async for more in lines])
    events = events_of(text)
    assert [event["type"] for event in events] == ["speech.audio.delta", "error"]
    assert (events[-1]["error"]["type"], events[-1]["error"]["code"]) == ("server_error", "tts_failed")


async def test_a_failure_before_the_first_bytes_is_an_ordinary_error(gateway: RunningGateway) -> None:
    gateway.workers.faults.voice_fails = "engine_failed"
    for stream_format in ("audio", "sse"):
        answer = await gateway.http.post("/v1/audio/speech", json={**SPEECH, "stream_format": stream_format})
        assert refusal(answer) == (502, "server_error", "tts_failed", None)
    gateway.workers.faults.mind_fails = "llm_unavailable"
    for is_streamed in (False, True):
        answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": is_streamed})
        assert answer.status_code >= 500
        assert answer.json()["error"]["type"] == "server_error"


async def test_what_cannot_be_spoken_is_the_clients_fault_and_a_mute_voice_is_ours(
    gateway: RunningGateway,
) -> None:
    gateway.workers.sound_ms = 0
    for path, text in (("/v1/audio/speech", "input"), ("/tts", "text")):
        body = {**SPEECH, text: "?!…"}
        assert refusal(await gateway.http.post(path, json=body)) == (
            400, "invalid_request_error", "invalid_request", text,
        )  # fmt: skip
        assert refusal(await gateway.http.post(path, json={**body, text: "Hello"}))[0] == 502


async def test_the_operators_names_of_voices_and_the_mood_of_an_instruction_reach_the_voice() -> None:
    async with running_gateway(gateway_realtime_voices="alloy=siwis") as gateway:
        for voice in ("alloy", "nova", {"id": "ryan"}):
            wish = {**SPEECH, "voice": voice, "instructions": "Be cheerful.", "speed": 1.5, "language": "fr"}
            answer = await gateway.http.post("/v1/audio/speech", json=wish)
            assert answer.content == tone(24000, round(200 / 1.5), 0.3)
            assert answer.headers["x-eva-engine"] == "piper"
        works = gateway.workers.synthesized
        assert [work.voice for work in works] == ["siwis", "", "ryan"]
        assert {(work.mood, work.speed, work.language) for work in works} == {("joy", 1.5, "fr")}


async def test_the_operators_names_of_models_are_found() -> None:
    async with running_gateway(gateway_models="my-model=eva") as gateway, client_of(gateway) as client:
        assert (await client.models.retrieve("my-model")).id == "my-model"
        assert "my-model" in [model.id async for model in client.models.list()]


async def test_a_name_of_the_operators_table_chooses_the_route_that_is_asked_first() -> None:
    table = "quick=groq:fast, gpt-4o=eva"
    async with running_gateway(gateway_models=table) as gateway, client_of(gateway) as client:
        for name in ("Quick", "gpt-4o", "groq:fast", "m"):
            answer = await client.chat.completions.create(model=name, messages=HELLO)
            assert answer.model == name, "as the client called it"
        assert [work.model for work in gateway.workers.generated] == ["groq:fast", "", "", ""]


async def test_an_answer_that_fails_in_the_middle_ends_its_stream_with_an_error(
    gateway: RunningGateway,
) -> None:
    gateway.workers.faults.gate.clear()
    async with client_of(gateway) as client:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True, **SOUND)
        first = await anext(stream)
        assert first.choices[0].delta.role == "assistant"
        gateway.workers.faults.voice_fails = "engine_failed"
        gateway.workers.faults.gate.set()
        with pytest.raises(openai.APIError) as caught:
            [chunk async for chunk in stream]
    assert (caught.value.code, caught.value.type) == ("tts_failed", "server_error")


async def test_a_client_that_leaves_has_its_answer_cancelled(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    body = {**CHAT, **SOUND, "stream": True}
    async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as response:
        await anext(response.aiter_raw())
    async with asyncio.timeout(30):
        await gateway.workers.cancelled.wait()
    await gateway.until(lambda: gateway.door.sessions == 0)


async def test_the_requests_messages_are_the_conversation_and_nothing_of_it_is_kept(
    gateway: RunningGateway,
) -> None:
    before = [{"role": "system", "content": "A gardener."}, *HELLO, {"role": "assistant", "content": "Hi."}]
    for _ in range(2):
        answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, "messages": [*before, *HELLO]})
        assert answer.json()["choices"][0]["message"]["content"] == "Hello there. How are you?"
    for work in gateway.workers.generated:
        assert work.persona == "A gardener."
        assert [(message.role, message.content) for message in work.messages] == [
            ("user", "Hello"), ("assistant", "Hi."), ("user", "Hello"),
        ]  # fmt: skip
        assert work.audio is None
    assert len({work.sid for work in gateway.workers.generated}) == 2


async def test_recordings_in_messages_are_heard_and_a_large_body_has_a_place_of_its_own(
    gateway: RunningGateway,
) -> None:
    ears = await listening(gateway)
    sizes = (100, openai_chat.WORDS_BYTES)
    for size in sizes:
        data = base64.b64encode(bytes(size)).decode()
        part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
        body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
        answer = await gateway.http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
    assert [len(data) for data in ears.received] == list(sizes)
    assert {work.messages[-1].content for work in gateway.workers.generated} == {"Hello there. Bye."}
    large = b" " * (openai_chat.SOUND_BYTES + 1)
    answer = await gateway.http.post("/v1/chat/completions", content=large)
    assert refusal(answer) == (413, "invalid_request_error", "too_large", None)


async def test_what_is_refused_is_refused_before_anything_is_heard(gateway: RunningGateway) -> None:
    ears = await listening(gateway)
    part = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part, image]}]}
    answer = await gateway.http.post("/v1/chat/completions", json=body)
    assert refusal(answer) == (
        400, "invalid_request_error", "unsupported_value", "messages[0].content[1].type",
    )  # fmt: skip
    assert ears.opened == []


BAD_FORMS: list[tuple[dict[str, str], str, str]] = [
    ({"model": ""}, "invalid_request", "model"),
    ({"language": "english!"}, "invalid_request", "language"),
    ({"response_format": "docx"}, "invalid_request", "response_format"),
    ({"response_format": "diarized_json"}, "unsupported_value", "response_format"),
    ({"timestamp_granularities[]": "word"}, "invalid_request", "timestamp_granularities[]"),
    (
        {"timestamp_granularities[]": "letter", "response_format": "verbose_json"},
        "invalid_request", "timestamp_granularities[]",
    ),
    ({"stream": "perhaps"}, "invalid_request", "stream"),
    ({"temperature": "2"}, "invalid_request", "temperature"),
    ({"temperature": "nan"}, "invalid_request", "temperature"),
    ({"temperature": "warm"}, "invalid_request", "temperature"),
]  # fmt: skip


async def test_a_bad_form_is_refused_by_name_and_no_worker_is_bothered(gateway: RunningGateway) -> None:
    ears = await listening(gateway)
    path = "/v1/audio/transcriptions"
    for fields, code, param in BAD_FORMS:
        answer = await gateway.http.post(path, files={"file": b"RIFF"}, data={"model": "m", **fields})
        assert refusal(answer) == (400, "invalid_request_error", code, param), fields
    empty = await gateway.http.post(path, files={"file": b""}, data={"model": "m"})
    assert refusal(empty)[3] == "file"
    assert refusal(await gateway.http.post(path, json={}))[0] == 415
    assert ears.opened == []


async def test_what_has_no_effect_on_a_transcript_is_accepted(gateway: RunningGateway) -> None:
    ears = await listening(gateway)
    async with client_of(gateway) as client:
        await client.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=("a.wav", b"RIFF"), prompt="p", temperature=0.5,
            include=["logprobs"], chunking_strategy={"type": "server_vad"}, keywords=["EVA"],
            languages=["fr"], known_speaker_names=["Ada"], known_speaker_references=["data:,"],
        )  # fmt: skip
    assert ears.opened[0].language == "fr"


async def test_a_transcript_that_is_streamed_goes_on_when_its_worker_is_lost(gateway: RunningGateway) -> None:
    ears = await listening(gateway)
    ears.faults = ["gap"]  # the first one tells the second segment only
    form = {"model": "m", "stream": "true"}
    answer = await gateway.http.post("/v1/audio/transcriptions", files={"file": b"RIFF"}, data=form)
    assert answer.headers["content-type"] == "text/event-stream"
    events = events_of(answer.text)
    assert [event.get("delta") for event in events] == ["Hello there.", " Bye.", None]
    assert events[-1]["text"] == "Hello there. Bye."


async def test_a_gateway_that_stood_still_takes_no_worker_for_lost(gateway: RunningGateway) -> None:
    ears = await listening(gateway)
    ears.faults = ["slow"]
    request = asyncio.create_task(gateway.http.post("/stt", content=b"RIFF"))
    await gateway.until(lambda: len(ears.received) == 1)
    time.sleep(SILENT_S + 0.1)  # noqa: ASYNC251 - so stands a process still, or its whole machine
    ears.may_answer.set()
    assert (await request).status_code == 200
    assert len(ears.opened) == 1


async def test_recordings_are_held_in_one_bounded_room_wherever_they_are_sent_to(
    gateway: RunningGateway,
) -> None:
    ears = await listening(gateway)
    ears.faults = ["slow"] * RECORDINGS_AT_ONCE
    form: Any = {"files": {"file": b"RIFF"}, "data": {"model": "m"}}
    requests = [
        asyncio.create_task(gateway.http.post("/v1/audio/transcriptions", **form))
        for _ in range(RECORDINGS_AT_ONCE)
    ]
    await gateway.until(lambda: len(ears.received) == RECORDINGS_AT_ONCE)
    assert refusal(await gateway.http.post("/stt", content=b"RIFF"))[2] == "busy"
    ears.may_answer.set()
    assert {answer.status_code for answer in await asyncio.gather(*requests)} == {200}
