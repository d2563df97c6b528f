"""``POST /chat`` and ``DELETE /sessions/{id}`` through a real server."""

import asyncio
import base64
import io
import json
import wave

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.fakes.gateway import RunningGateway, running_gateway
from tests.fakes.workers import tone

ANSWER = "Hello there. How are you?"


def refusal(response: httpx.Response) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    assert error["message"]
    return response.status_code, error["code"], error["param"]


async def test_one_request_brings_text_and_sound(gateway: RunningGateway) -> None:
    response = await gateway.http.post("/chat", json={"message": "Hi"})
    assert response.status_code == 200
    body = response.json()
    assert body["response"].split() == ANSWER.split()
    assert (body["has_audio"], body["audio_format"], body["sample_rate_hz"]) == (True, "mp3", 24000)
    assert base64.b64decode(body["audio_base64"]) == tone(24000, 200, 0.3) * 2  # this voice encodes nothing
    assert body["turn_id"] == body["session_id"] + "-1"
    assert body["engines"]["tts"]["engine"] == "piper"
    assert 0 < body["latency_ms"] == body["timeline"]["response_ms"] <= body["total_request_ms"]


async def test_wav_is_a_file_with_its_true_length(gateway: RunningGateway) -> None:
    asked = {"message": "Hi", "format": "wav", "sample_rate_hz": 16000}
    body = (await gateway.http.post("/chat", json=asked)).json()
    with wave.open(io.BytesIO(base64.b64decode(body["audio_base64"]))) as file:
        assert (file.getframerate(), file.getnframes()) == (16000, 6400)
    assert (body["audio_format"], body["sample_rate_hz"]) == ("wav", 16000)


async def test_opus_comes_in_ogg_at_48_khz(gateway: RunningGateway) -> None:
    body = (await gateway.http.post("/chat", json={"message": "Hi", "format": "opus"})).json()
    assert base64.b64decode(body["audio_base64"]).startswith(b"OggS")
    assert body["sample_rate_hz"] == 48000


async def test_without_sound_the_voice_is_not_asked(gateway: RunningGateway) -> None:
    body = (await gateway.http.post("/chat", json={"message": "Hi", "include_audio": False})).json()
    assert (body["has_audio"], body["audio_base64"], body["audio_format"]) == (False, None, None)
    assert body["latency_ms"] == body["timeline"]["total_ms"] > 0
    assert gateway.workers.synthesized == []


async def test_a_conversation_goes_on_and_keeps_the_whole_answer(gateway: RunningGateway) -> None:
    first = (await gateway.http.post("/chat", json={"message": "I am Ada"})).json()
    asked = {"message": "Who am I?", "session_id": first["session_id"], "voice": "amy"}
    second = (await gateway.http.post("/chat", json=asked)).json()
    assert second["turn_id"] == first["session_id"] + "-2"
    work = gateway.workers.generated[-1]
    assert [message.content for message in work.messages] == ["I am Ada", ANSWER, "Who am I?"]
    assert work.voice == "amy"


async def test_an_erased_conversation_is_forgotten(gateway: RunningGateway) -> None:
    session_id = (await gateway.http.post("/chat", json={"message": "I am Ada"})).json()["session_id"]
    assert (await gateway.http.delete(f"/sessions/{session_id}")).status_code == 204
    assert refusal(await gateway.http.delete(f"/sessions/{session_id}")) == (404, "not_found", None)
    response = await gateway.http.post("/chat", json={"message": "Who am I?", "session_id": session_id})
    assert (response.status_code, response.json()["turn_id"]) == (200, f"{session_id}-1")
    assert len(gateway.workers.generated[-1].messages) == 1


async def test_erasing_a_conversation_that_is_going_on_ends_it_for_good(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="start", session_id="kitchen")
        await client.send(type="message", text="I am Ada")
        await client.expect("turn_done")
        assert (await gateway.http.delete("/sessions/kitchen")).status_code == 204
        assert (await client.expect("error"))["code"] == "session_erased"
        assert await client.closed() == 1008
    async with gateway.client() as client:
        await client.send(type="start", session_id="kitchen")
        assert not (await client.next())["is_resumed"]


async def test_a_session_in_use_is_busy(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="start", session_id="kitchen")
        await client.expect("ready")
        response = await gateway.http.post("/chat", json={"message": "Hi", "session_id": "kitchen"})
        assert refusal(response) == (409, "session_busy", None)


BAD = [
    (b"", None),
    (b"{", None),
    (b"null", None),
    (b"[]", None),
    (b"{}", "message"),
    (b'{"message": 7}', "message"),
    (b'{"message": ""}', "message"),
    (b'{"message": " \\n"}', "message"),
    (b'{"message": "\\ud800"}', None),
    (b'{"message": "\xff"}', None),
    (b'{"message": "Hi", "format": "midi"}', "format"),
    (b'{"message": "Hi", "sample_rate_hz": 11025}', "sample_rate_hz"),
    (b'{"message": "Hi", "sample_rate_hz": NaN}', None),
    (b'{"message": "Hi", "include_audio": "yes"}', "include_audio"),
    (b'{"message": "Hi", "session_id": "../etc"}', "session_id"),
    (b'{"message": "Hi", "session_id": "a.>"}', "session_id"),
    (b'{"message": "' + b"x" * 5000 + b'"}', "message"),
    (b'{"x": ' + b"[" * 60_000, None),
]


async def test_bad_input_is_400_and_names_the_field(gateway: RunningGateway) -> None:
    for body, param in BAD:
        response = await gateway.http.post("/chat", content=body)
        assert refusal(response) == (400, "invalid_request", param), body[:60]
    assert (await gateway.http.post("/chat", json={"message": "Hi"})).status_code == 200


async def test_a_body_beyond_all_bounds_is_413(gateway: RunningGateway) -> None:
    body = b'{"message": "' + b"x" * 100_000 + b'"}'
    assert refusal(await gateway.http.post("/chat", content=body)) == (413, "too_large", None)
    depth = b'{"message": ' * 100_000
    assert refusal(await gateway.http.post("/chat", content=depth)) == (413, "too_large", None)


async def test_unknown_paths_and_methods_are_errors_of_the_same_shape(gateway: RunningGateway) -> None:
    assert refusal(await gateway.http.get("/nowhere")) == (404, "not_found", None)
    response = await gateway.http.get("/chat")
    assert refusal(response) == (405, "method_not_allowed", None)
    assert response.headers["allow"] == "POST"
    assert refusal(await gateway.http.delete("/sessions/a.b")) == (400, "invalid_request", "session_id")


async def test_a_foreign_web_page_may_not_post(gateway: RunningGateway) -> None:
    headers = {"origin": "https://evil.example"}
    response = await gateway.http.post("/chat", json={"message": "Hi"}, headers=headers)
    assert refusal(response) == (403, "forbidden_origin", None)
    assert gateway.workers.generated == []


@pytest.mark.parametrize(
    ("mind", "voice", "mute", "status", "code"),
    [
        ("engine_failed", "", False, 502, "llm_failed"),
        ("expired", "", False, 504, "turn_timeout"),
        ("", "engine_failed", False, 502, "tts_failed"),
        ("", "", True, 502, "no_audio"),
    ],
)
async def test_a_turn_that_fails_is_an_error_with_its_code(
    gateway: RunningGateway, mind: str, voice: str, mute: bool, status: int, code: str
) -> None:
    faults = gateway.workers.faults
    faults.mind_fails, faults.voice_fails, faults.mute = mind, voice, mute
    response = await gateway.http.post("/chat", json={"message": "Hi"})
    assert refusal(response) == (status, code, None)


async def test_a_client_that_leaves_has_its_turn_cancelled(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    request = asyncio.create_task(gateway.http.post("/chat", json={"message": "Hi"}))
    await gateway.until(lambda: len(gateway.workers.synthesized) > 0)
    request.cancel()
    async with asyncio.timeout(60):
        await gateway.workers.cancelled.wait()
    await gateway.until(lambda: gateway.door.sessions == 0)


async def test_without_a_broker_it_is_503_with_retry_after() -> None:
    async with running_gateway(is_reachable=False) as gateway:
        for response in (
            await gateway.http.post("/chat", json={"message": "Hi"}),
            await gateway.http.post("/tts", json={"text": "Hi"}),
            await gateway.http.delete("/sessions/a"),
        ):
            assert refusal(response) == (503, "broker_lost", None)
            assert response.headers["retry-after"] == "1"


async def test_as_many_requests_as_may_be_and_one_more_is_503() -> None:
    async with running_gateway(gateway_max_sessions=1) as gateway:
        gateway.workers.faults.gate.clear()
        first = asyncio.create_task(gateway.http.post("/chat", json={"message": "Hi"}))
        await gateway.until(lambda: gateway.door.sessions == 1)
        assert refusal(await gateway.http.post("/chat", json={"message": "Hi"})) == (503, "busy", None)
        gateway.workers.faults.gate.set()
        assert (await first).status_code == 200


async def test_a_request_in_flight_ends_before_the_gateway_stops() -> None:
    async with running_gateway(drain_s=5) as gateway:
        gateway.workers.faults.gate.clear()
        request = asyncio.create_task(gateway.http.post("/chat", json={"message": "Hi"}))
        await gateway.until(lambda: len(gateway.workers.synthesized) > 0)
        gateway.stop.set()
        gateway.workers.faults.gate.set()
        assert (await request).status_code == 200


async def test_a_request_that_does_not_end_in_time_is_given_up_when_the_gateway_stops() -> None:
    async with running_gateway(drain_s=0.1) as gateway:
        gateway.workers.faults.gate.clear()
        request = asyncio.create_task(gateway.http.post("/chat", json={"message": "Hi"}))
        await gateway.until(lambda: len(gateway.workers.synthesized) > 0)
        gateway.stop.set()
        assert refusal(await request) == (503, "draining", None)


async def test_the_interface_is_described_by_openapi(gateway: RunningGateway) -> None:
    described = json.loads((await gateway.http.get("/openapi.json")).content)
    paths = described["paths"]
    assert {"/chat", "/tts", "/health", "/readyz", "/livez", "/metrics"} <= set(paths)
    asked = paths["/chat"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    told = paths["/chat"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    validators = [
        Draft202012Validator({**schema, "components": described["components"]}) for schema in (asked, told)
    ]
    request = {"message": "Hi", "format": "pcm"}
    validators[0].validate(request)
    validators[1].validate((await gateway.http.post("/chat", json=request)).json())
    assert not validators[0].is_valid({"message": 7})


async def test_health_is_as_it_is_described(gateway: RunningGateway) -> None:
    described = (await gateway.http.get("/openapi.json")).json()
    schema = described["paths"]["/health"]["get"]["responses"]["503"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": described["components"]})
    validator.validate((await gateway.http.get("/health")).json())
