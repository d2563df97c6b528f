"""``POST /stt`` through a real server, on a worker that only pretends to listen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import Request
from jsonschema import Draft202012Validator

from services.gateway import http_transcribe, problems
from services.gateway.http_body import Patience
from services.gateway.http_routes import RECORDINGS_AT_ONCE
from services.gateway.problems import Stalled
from shared.messages import FileFailed
from tests.fakes.file_ears import FakeFileEars
from tests.fakes.gateway import RunningGateway

DATA = bytes(range(256)) * 1200  # three chunks
TEXT = "Hello there. Bye."


@pytest.fixture
async def ears(gateway: RunningGateway) -> FakeFileEars:
    fake = FakeFileEars(gateway.broker.connect("filer"))
    await fake.listen()
    await gateway.until(lambda: gateway.door.watch.is_up("stt"))
    return fake


def refusal(response: httpx.Response) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    "kind", ["audio/wav", "audio/webm;codecs=opus", "video/mp4", "application/octet-stream"]
)
async def test_a_body_that_is_a_recording_is_transcribed(
    gateway: RunningGateway, ears: FakeFileEars, kind: str
) -> None:
    response = await gateway.http.post("/stt", content=DATA, headers={"content-type": kind})
    assert response.status_code == 200
    assert response.json()["text"] == TEXT
    assert ears.received == [DATA]
    assert (ears.opened[0].language, ears.opened[0].has_words) == (None, False)
    assert (response.headers["x-eva-engine"], response.headers["x-eva-device"]) == ("whisper", "cpu")
    assert response.headers["server-timing"].startswith("decode;dur=0.0, transcribe;dur=0.0, total;dur=")
    assert len(ears.closed) == 1


async def test_a_file_of_a_form_is_transcribed_whatever_its_name(
    gateway: RunningGateway, ears: FakeFileEars
) -> None:
    for number, file in enumerate([("a.wav", DATA, "audio/wav"), ("../x", DATA), ("", DATA, "text/html")]):
        files = {"file": file} if file[0] else {"file": ("x.txt", *file[1:])}
        response = await gateway.http.post("/stt", files=files, data={"language": "fr-CA", "words": "true"})
        assert response.status_code == 200, response.text
        assert ears.received[number] == DATA
        assert (ears.opened[number].language, ears.opened[number].has_words) == ("fr-ca", True)
        assert len(response.json()["segments"][0]["words"]) == 2


async def test_wishes_may_stand_in_the_query_and_the_form_goes_first(
    gateway: RunningGateway, ears: FakeFileEars
) -> None:
    await gateway.http.post("/stt?language=en&words=1", content=DATA)
    await gateway.http.post("/stt?language=en", files={"file": DATA}, data={"language": "de"})
    await gateway.http.post(
        "/stt", files={"file": DATA}, data={"timestamp_granularities[]": "word", "model": "whisper-1"}
    )
    assert [(one.language, one.has_words) for one in ears.opened] == [
        ("en", True), ("de", False), (None, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "mime", "start"),
    [
        ("json", "application/json", b'{"text":"Hello there. Bye."'),
        ("verbose_json", "application/json", b'{"task":"transcribe"'),
        ("text", "text/plain; charset=utf-8", b"Hello there. Bye.\n"),
        ("srt", "application/x-subrip; charset=utf-8", b"1\n00:00:00,100 --> 00:00:00,900\nHello there."),
        ("vtt", "text/vtt; charset=utf-8", b"WEBVTT\n\n1\n00:00:00.100 --> 00:00:00.900"),
    ],
)
async def test_the_answer_has_the_asked_format(
    gateway: RunningGateway, ears: FakeFileEars, form: str, mime: str, start: bytes
) -> None:
    response = await gateway.http.post(f"/stt?response_format={form}", content=DATA)
    assert (response.status_code, response.headers["content-type"]) == (200, mime)
    assert response.content.startswith(start)
    assert ears.opened[0].has_words == (form in {"srt", "vtt"})


BAD: list[tuple[dict[str, Any], tuple[int, str, str | None]]] = [
    ({"content": b""}, (400, "invalid_request", "file")),
    ({"files": {"file": b""}}, (400, "invalid_request", "file")),
    ({"files": {"sound": DATA}}, (400, "invalid_request", "file")),
    ({"files": {"other": DATA}, "data": {"file": "no file"}}, (400, "invalid_request", "file")),
    ({"files": [("file", DATA), ("file", DATA)]}, (400, "invalid_request", "file")),
    ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, (400, "invalid_request", "file")),
    (
        {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=a"}},
        (400, "invalid_request", "file"),
    ),
    ({"json": {"file": "x"}}, (415, "unsupported_media_type", None)),
    ({"content": DATA, "headers": {"content-type": "text/plain"}}, (415, "unsupported_media_type", None)),
    ({"content": DATA, "params": {"language": "english!"}}, (400, "invalid_request", "language")),
    ({"content": DATA, "params": {"words": "maybe"}}, (400, "invalid_request", "words")),
    ({"content": DATA, "params": {"response_format": "docx"}}, (400, "invalid_request", "response_format")),
]


async def test_bad_requests_are_refused_by_name_and_no_worker_is_bothered(
    gateway: RunningGateway, ears: FakeFileEars
) -> None:
    for request, expected in BAD:
        assert refusal(await gateway.http.post("/stt", **request)) == expected, request
    assert ears.opened == []
    assert (await gateway.http.post("/stt", content=DATA)).status_code == 200


@pytest.mark.parametrize("is_form", [False, True])
@pytest.mark.parametrize("is_declared", [False, True])
async def test_more_than_25_mib_are_refused(
    gateway: RunningGateway, ears: FakeFileEars, *, is_form: bool, is_declared: bool
) -> None:
    large = bytes(http_transcribe.MAX_BYTES + 1)
    request = httpx.Request("POST", "http://x/stt", files={"file": large} if is_form else None,
                            content=None if is_form else large)  # fmt: skip
    body = request.read()

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1 << 20):
            yield body[at : at + (1 << 20)]

    headers = {"content-type": request.headers.get("content-type", "audio/wav")}
    content: Any = body if is_declared else pieces()
    response = await gateway.http.post("/stt", content=content, headers=headers)
    assert refusal(response) == (413, "too_large", None)
    assert ears.opened == []


async def test_the_largest_recording_passes(gateway: RunningGateway, ears: FakeFileEars) -> None:
    largest = bytes(http_transcribe.MAX_BYTES)
    response = await gateway.http.post("/stt", files={"file": largest})
    assert response.status_code == 200
    assert [len(data) for data in ears.received] == [http_transcribe.MAX_BYTES]


async def test_where_nobody_listens_the_answer_comes_before_the_body_is_read(gateway: RunningGateway) -> None:
    gateway.workers.silent.add("stt")
    await gateway.until(lambda: not gateway.door.watch.is_up("stt"))
    reader, writer = await asyncio.open_connection(*gateway.listener_address)
    writer.write(
        b"POST /stt HTTP/1.1\r\nhost: x\r\ncontent-type: audio/wav\r\ncontent-length: 1000000\r\n\r\n"
    )
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in head
    writer.close()


async def test_where_nobody_has_room_the_answer_is_503_with_a_hint(gateway: RunningGateway) -> None:
    response = await gateway.http.post("/stt", content=DATA)  # no worker subscribes to claims
    assert refusal(response) == (503, "no_ears", None)
    assert response.headers["retry-after"] == "1"


async def test_another_worker_is_asked_when_one_refuses(gateway: RunningGateway, ears: FakeFileEars) -> None:
    ears.faults = ["busy", "busy"]
    assert (await gateway.http.post("/stt", content=DATA)).status_code == 200
    ears.faults = ["busy"] * 10
    assert refusal(await gateway.http.post("/stt", content=DATA)) == (503, "no_ears", None)


@pytest.mark.parametrize("fault", ["silent", "mute", "gap"])
async def test_a_worker_that_is_lost_is_replaced_once_and_the_next_one_gets_all_of_it(
    gateway: RunningGateway, ears: FakeFileEars, fault: str
) -> None:
    ears.faults = [fault]
    response = await gateway.http.post("/stt", content=DATA)
    assert (response.status_code, response.json()["text"]) == (200, TEXT)
    assert ears.received[-1] == DATA
    assert len({opened.sid for opened in ears.opened}) == 2
    ears.faults = [fault, fault]
    response = await gateway.http.post("/stt", content=DATA)
    assert refusal(response) == (503, "lost", None)
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unreadable_audio", 422),
        ("too_long", 413),
        ("unsupported_language", 422),
        ("engine_failed", 502),
        ("internal", 500),
    ],
)
async def test_what_the_worker_says_is_wrong_has_its_status(
    gateway: RunningGateway, ears: FakeFileEars, code: str, status: int
) -> None:
    ears.answer = [FileFailed(code=code, message="so it is")]
    assert refusal(await gateway.http.post("/stt", content=DATA)) == (status, code, None)
    metrics = (await gateway.http.get("/metrics")).text
    assert f'eva_errors_total{{code="{code}"}} 1.0' in metrics
    assert len(ears.opened) == 1


async def test_a_client_that_leaves_frees_the_worker(gateway: RunningGateway, ears: FakeFileEars) -> None:
    ears.faults = ["slow"]
    request = asyncio.create_task(gateway.http.post("/stt", content=DATA))
    await gateway.until(lambda: len(ears.received) == 1)
    request.cancel()
    await gateway.until(lambda: ears.closed == [ears.opened[0].sid])
    await gateway.until(lambda: gateway.door.sessions == 0)
    ears.may_answer.set()


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_no_trace(
    gateway: RunningGateway, ears: FakeFileEars
) -> None:
    _, writer = await asyncio.open_connection(*gateway.listener_address)
    writer.write(
        b"POST /stt HTTP/1.1\r\nhost: x\r\ncontent-type: audio/wav\r\ncontent-length: 1000\r\n\r\nRIFF"
    )
    await writer.drain()
    await gateway.until(lambda: gateway.door.sessions == 1)
    writer.close()
    await gateway.until(lambda: gateway.door.sessions == 0)
    assert ears.opened == []


@pytest.mark.parametrize("patience", [Patience(stalled_s=0.05), Patience(body_s=0.05)])
@pytest.mark.parametrize("kind", ["audio/wav", "multipart/form-data; boundary=a"])
async def test_a_body_that_does_not_come_is_given_up(kind: str, patience: Patience) -> None:
    parts = [{"type": "http.request", "body": b"--a\r\n", "more_body": True}]

    async def receive() -> Any:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()
        return None

    scope = {
        "type": "http",
        "method": "POST",
        "query_string": b"",
        "headers": [(b"content-type", kind.encode())],
    }
    with pytest.raises(Stalled) as raised:
        await http_transcribe.read(Request(scope, receive), patience)
    assert problems.of_error(raised.value).status_code == 408


async def test_a_bounded_number_of_recordings_is_held_at_a_time(
    gateway: RunningGateway, ears: FakeFileEars
) -> None:
    ears.faults = ["slow"] * RECORDINGS_AT_ONCE
    requests = [
        asyncio.create_task(gateway.http.post("/stt", content=DATA)) for _ in range(RECORDINGS_AT_ONCE)
    ]
    await gateway.until(lambda: len(ears.received) == RECORDINGS_AT_ONCE)
    assert refusal(await gateway.http.post("/stt", content=DATA)) == (503, "busy", None)
    ears.may_answer.set()
    assert {response.status_code for response in await asyncio.gather(*requests)} == {200}
    assert (await gateway.http.post("/stt", content=DATA)).status_code == 200


async def test_a_gateway_that_stops_says_so(gateway: RunningGateway, ears: FakeFileEars) -> None:
    ears.faults = ["slow"]
    request = asyncio.create_task(gateway.http.post("/stt", content=DATA))
    await gateway.until(lambda: len(ears.received) == 1)
    gateway.stop.set()
    assert refusal(await request) == (503, "draining", None)
    assert ears.closed == [ears.opened[0].sid]


async def test_the_endpoint_is_described_and_its_answers_are_as_described(
    gateway: RunningGateway, ears: FakeFileEars
) -> None:
    described = json.loads((await gateway.http.get("/openapi.json")).content)
    operation = described["paths"]["/stt"]["post"]
    assert {"multipart/form-data", "audio/*"} <= set(operation["requestBody"]["content"])
    assert {one["name"] for one in operation["parameters"]} == {"language", "words", "response_format"}
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": described["components"]})
    for form in ("json", "verbose_json"):
        validator.validate(
            (await gateway.http.post(f"/stt?words=true&response_format={form}", content=DATA)).json()
        )
    assert not validator.is_valid({"text": 7})
