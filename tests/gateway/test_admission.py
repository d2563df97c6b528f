"""Who is let in, seen from outside: a real server that asks for keys, or does not."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from services.gateway.settings import GatewaySettings
from shared.errors import ConfigError
from shared.keys import KEYS_BUCKET, KeyLimits, pack_record, record_of
from tests.fakes.gateway import RunningGateway, running_gateway

FILE_KEY = "0123456789abcdef0123456789abcdef-of-a-file"
KEY = {"authorization": f"Bearer {FILE_KEY}"}
AWAY = {"x-forwarded-for": "203.0.113.7"}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"# for the container\n{FILE_KEY}\n")
    return file


def error_of(body: bytes) -> dict[str, object]:
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


async def denial(gateway: RunningGateway, **options: object) -> tuple[int, dict[str, object], dict[str, str]]:
    """Tries to open a socket; returns status, error and headers of the answer to its handshake."""
    with pytest.raises(InvalidStatus) as refused:
        async with gateway.client(**options):
            pass
    response = refused.value.response
    return response.status_code, error_of(bytes(response.body or b"")), dict(response.headers.raw_items())


async def test_without_a_key_one_sees_that_it_lives_and_the_page_and_no_more(keys_file: Path) -> None:
    async with running_gateway(gateway_auth="on", api_keys_file=keys_file) as gateway:
        for path in ("/livez", "/readyz", "/health", "/"):
            assert (await gateway.http.get(path)).status_code in {200, 503}, path
        for method, path in (
            ("POST", "/chat"),
            ("POST", "/tts"),
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/realtime/client_secrets"),
            ("DELETE", "/sessions/a"),
            ("GET", "/openapi.json"),
            ("GET", "/nowhere"),
            ("GET", "/livez/"),
            ("POST", "/livez"),
        ):
            answer = await gateway.http.request(method, path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
            error = error_of(answer.content)
            assert (error["code"], error["type"]) == ("invalid_api_key", "authentication_error")
        assert gateway.workers.generated == []


async def test_with_a_key_of_the_file_everything_is_there(keys_file: Path) -> None:
    async with running_gateway(gateway_auth="on", api_keys_file=keys_file) as gateway:
        answer = await gateway.http.post("/chat", json={"message": "Hi"}, headers=KEY)
        assert answer.status_code == 200
        async with gateway.client(additional_headers=KEY) as client:
            await client.send(type="message", text="Hi")
            await client.expect("turn_done")


async def test_a_socket_without_a_key_is_told_so_instead_of_being_accepted(keys_file: Path) -> None:
    async with running_gateway(gateway_auth="on", api_keys_file=keys_file) as gateway:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eA=="}):
            status, error, answered = await denial(gateway, additional_headers=headers)
            assert (status, error["code"]) == (401, "invalid_api_key")
            assert answered["www-authenticate"] == "Bearer"
            assert answered["content-type"] == "application/json"


async def test_a_browser_brings_its_key_in_a_subprotocol_and_only_realtime_is_selected(
    keys_file: Path,
) -> None:
    async with running_gateway(gateway_auth="on", api_keys_file=keys_file) as gateway:
        offered = ["realtime", f"openai-insecure-api-key.{FILE_KEY}", "openai-agents-sdk.0.1"]
        async with gateway.client(subprotocols=offered) as client:
            assert client.connection.subprotocol == "realtime"
            response = client.connection.response
            assert response is not None
            assert FILE_KEY not in str(response.headers)
        async with gateway.client(subprotocols=offered[1:]) as client:
            assert client.connection.subprotocol is None
        status, error, _ = await denial(gateway, subprotocols=["realtime", "openai-insecure-api-key.wrong"])
        assert (status, error["code"]) == (401, "invalid_api_key")
        assert "wrong" not in str(error)


async def test_a_key_in_the_url_opens_nothing(keys_file: Path) -> None:
    async with running_gateway(gateway_auth="on", api_keys_file=keys_file) as gateway:
        for query in (f"api_key={FILE_KEY}", f"token={FILE_KEY}", "x=eva_sk_a"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(
                    f"ws://{gateway.address}/ws/chat?{query}", proxy=None, additional_headers=KEY
                ):
                    pass
            error = error_of(bytes(refused.value.response.body or b""))
            assert refused.value.response.status_code == 401
            assert "ends in logs" in str(error["message"])
            assert FILE_KEY not in str(error)


async def test_figures_are_for_this_machine_or_for_who_has_a_key(keys_file: Path) -> None:
    async with running_gateway(gateway_auth="on", api_keys_file=keys_file) as gateway:
        assert (await gateway.http.get("/metrics")).status_code == 200
        assert (await gateway.http.get("/metrics", headers=AWAY)).status_code == 401
        assert (await gateway.http.get("/metrics", headers=AWAY | KEY)).status_code == 200


async def test_keys_stand_in_no_log(keys_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running_gateway(gateway_auth="on", api_keys_file=keys_file) as gateway:
        made = await gateway.http.post("/v1/realtime/client_secrets", json={}, headers=KEY)
        value = made.json()["value"]
        async with gateway.client(subprotocols=["realtime", f"openai-insecure-api-key.{value}"]) as client:
            await client.send(type="message", text="Hi")
            await client.expect("turn_done")
        await denial(gateway, additional_headers={"authorization": f"Bearer {value}"})
        await gateway.http.get(
            f"/v1/models?api_key={FILE_KEY}", headers={"authorization": "Bearer eva_sk_lost"}
        )
    ours = [record for record in caplog.records if record.name.startswith(("eva", "uvicorn"))]
    assert ours
    text = "".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    for secret in (FILE_KEY, value, "eva_sk_lost"):
        assert secret not in text


async def test_a_full_gateway_says_so_before_it_accepts() -> None:
    async with running_gateway(gateway_max_sessions=1) as gateway, gateway.client() as first:
        await first.send(type="start")
        await first.expect("ready")
        status, error, headers = await denial(gateway)
        assert (status, error["code"], error["type"]) == (503, "busy", "server_error")
        assert int(headers["retry-after"]) >= 1
        assert headers["x-request-id"].startswith("req_")
        assert 'eva_errors_total{code="busy"} 1.0' in (await gateway.http.get("/metrics")).text


async def test_a_gateway_that_is_about_to_stop_lets_nobody_in_any_more() -> None:
    async with running_gateway() as gateway:
        await gateway.door.drain(0.0)
        status, error, headers = await denial(gateway)
        assert (status, error["code"]) == (503, "draining")
        assert "retry-after" in headers


async def test_keys_of_the_store_count_as_soon_as_it_is_there_and_go_on_without_it() -> None:
    async with running_gateway(is_reachable=False, gateway_auth="on") as gateway:
        secret = {"authorization": "Bearer eva_sk_of_the_store"}
        early = await gateway.http.get("/metrics", headers=AWAY | secret)
        assert (early.status_code, error_of(early.content)["code"]) == (503, "broker_lost")
        assert "retry-after" in early.headers
        record = record_of("eva_sk_of_the_store", "one")
        bus = gateway.broker.connect("test")
        await (await bus.bucket(KEYS_BUCKET, ttl_s=0)).put(record.id, pack_record(record))
        gateway.reachable.set()
        await gateway.until(lambda: gateway.door.gate.knows(record.id))
        assert (await gateway.http.get("/metrics", headers=AWAY | secret)).status_code == 200
        gateway.broker.go_down()
        assert (await gateway.http.get("/metrics", headers=AWAY | secret)).status_code == 200
        gateway.broker.come_up()


async def test_damage_in_the_store_opens_nothing_and_hurts_no_other_key() -> None:
    async with running_gateway(gateway_auth="on") as gateway:
        keys = await gateway.broker.connect("test").bucket(KEYS_BUCKET, ttl_s=0)
        good, stolen = record_of("eva_sk_good", "good"), record_of("eva_sk_stolen", "stolen")
        await keys.put(stolen.id, b"\xc1 no record")
        await keys.put("key_0000000000000000", pack_record(stolen))  # a record in another's place
        await keys.put(good.id, pack_record(good))
        await gateway.until(lambda: gateway.door.gate.knows(good.id))
        for key, status in (("eva_sk_good", 200), ("eva_sk_stolen", 401)):
            headers = AWAY | {"authorization": f"Bearer {key}"}
            assert (await gateway.http.get("/metrics", headers=headers)).status_code == status


async def test_each_answer_says_what_its_key_may_still_use(keys_file: Path) -> None:
    async with running_gateway(gateway_auth="on", api_keys_file=keys_file) as gateway:
        record = record_of("eva_sk_limited", "one", limits=KeyLimits(tokens_per_min=5))
        keys = await gateway.broker.connect("test").bucket(KEYS_BUCKET, ttl_s=0)
        await keys.put(record.id, pack_record(record))
        await gateway.until(lambda: gateway.door.gate.knows(record.id))
        limited = {"authorization": "Bearer eva_sk_limited"}
        before = await gateway.http.get("/v1/models", headers=limited)
        assert limits_in(before.headers) == {"limit": "5", "remaining": "5", "reset": "0s"}
        statuses = []
        for _ in range(2):  # the first one takes 109 tokens: what is missing then comes back in 22 minutes
            answer = await gateway.http.post("/chat", json={"message": "Hi"}, headers=limited)
            statuses.append(answer.status_code)
            left = limits_in(answer.headers)
            assert (left["limit"], left["remaining"]) == ("5", "0")
            assert re.fullmatch(r"2\dm\d+s", left["reset"])
        assert statuses == [200, 429]
        status, _, headers = await denial(gateway, additional_headers=limited)
        assert (status, limits_in(headers)["remaining"]) == (429, "0")
        for unlimited in (KEY, {"authorization": "Bearer wrong"}):
            assert limits_in((await gateway.http.get("/v1/models", headers=unlimited)).headers) == {}


def limits_in(headers: Mapping[str, str]) -> dict[str, str]:
    """What is told of limits, all of it of tokens."""
    found = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
    assert all(name.endswith("-tokens") for name in found)
    return {name.split("-")[2]: value for name, value in found.items()}


async def test_a_limited_key_waits_for_a_store_that_is_away() -> None:
    async with running_gateway(gateway_auth="on") as gateway:
        record = record_of("eva_sk_limited", "one", limits=KeyLimits(sessions=1, tokens_per_min=5))
        keys = await gateway.broker.connect("test").bucket(KEYS_BUCKET, ttl_s=0)
        await keys.put(record.id, pack_record(record))
        await gateway.until(lambda: gateway.door.gate.knows(record.id))
        gateway.broker.go_down()
        status, error, _ = await denial(
            gateway, additional_headers={"authorization": "Bearer eva_sk_limited"}
        )
        assert (status, error["code"]) == (503, "broker_lost")
        gateway.broker.come_up()


async def test_where_no_key_is_asked_for_any_key_will_do(gateway: RunningGateway) -> None:
    headers = {"authorization": "Bearer sk-whatever"}
    assert (await gateway.http.post("/chat", json={"message": "Hi"}, headers=headers)).status_code == 200
    async with gateway.client(subprotocols=["realtime", "openai-insecure-api-key.x"]) as client:
        assert client.connection.subprotocol == "realtime"


async def test_a_client_secret_is_bound_to_its_origin_and_its_time(gateway: RunningGateway) -> None:
    async def make(**body: object) -> str:
        return str((await gateway.http.post("/v1/realtime/client_secrets", json=body)).json()["value"])

    value = await make(origin="https://127.0.0.1:9000")
    secret = {"additional_headers": {"authorization": f"Bearer {value}"}}
    for origin in (None, "https://localhost:9000", "http://127.0.0.1:9000"):
        status, error, _ = await denial(gateway, origin=origin, **secret)
        assert (status, error["code"]) == (401, "client_secret_wrong_origin")
    async with gateway.client(origin="https://127.0.0.1:9000", **secret):
        pass
    status, error, _ = await denial(gateway, origin="https://127.0.0.1:9000", **secret)
    assert (status, error["code"]) == (401, "client_secret_used")
    answer = await gateway.http.post("/chat", json={"message": "Hi"}, headers=secret["additional_headers"])
    assert (answer.status_code, "WebSocket" in answer.text) == (401, True)
    never = {"additional_headers": {"authorization": "Bearer ek_never"}}
    assert (await denial(gateway, **never))[1]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "now"}}, "expires_after.anchor"),
        ({"session": {"type": "chat"}}, "session.type"),
        ({"session": 5}, "session"),
        ({"session": {"voice": "alloy"}}, "session.voice"),
        ({"session": {"audio": {"output": {"speed": "fast"}}}}, "session.audio.output.speed"),
        ({"origin": "evil"}, "origin"),
    ],
)
async def test_a_wish_for_a_secret_that_cannot_be_is_named(
    gateway: RunningGateway, body: dict[str, object], param: str
) -> None:
    answer = await gateway.http.post("/v1/realtime/client_secrets", json=body)
    assert (answer.status_code, error_of(answer.content)["param"]) == (400, param)


async def test_where_the_betas_endpoints_were_the_new_one_is_named(gateway: RunningGateway) -> None:
    for path in ("/v1/realtime/sessions", "/v1/realtime/transcription_sessions"):
        answer = await gateway.http.post(path, json={})
        assert answer.status_code == 404
        assert "/v1/realtime/client_secrets" in answer.text


@pytest.mark.parametrize(
    ("options", "is_asked"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": "192.168.1.2"}, True),
        ({"host": "eva.home"}, True),
        ({"gateway_auth": "on"}, True),
        ({"gateway_auth": "off"}, False),
        ({"host": "0.0.0.0", "gateway_open_to_all": True}, False),
        ({"host": "0.0.0.0", "gateway_open_to_all": True, "gateway_auth": "off"}, False),
        ({"host": "0.0.0.0", "gateway_open_to_all": True, "gateway_auth": "on"}, True),
    ],
)
def test_a_key_is_asked_for_unless_only_this_machine_can_come(
    options: dict[str, object], is_asked: bool
) -> None:
    assert GatewaySettings(_env_file=None, **options).asks_for_key is is_asked


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"EVA_HOST": "0.0.0.0", "EVA_GATEWAY_AUTH": "off"}, "eva keys add"),
        ({"EVA_HOST": "eva.home", "EVA_GATEWAY_AUTH": "off"}, "EVA_GATEWAY_OPEN_TO_ALL"),
        ({"EVA_GATEWAY_AUTH": "maybe"}, "EVA_GATEWAY_AUTH"),
        ({"EVA_GATEWAY_ALLOWED_ORIGINS": "*"}, "no key is asked for"),
        ({"EVA_GATEWAY_ALLOWED_ORIGINS": "*", "EVA_GATEWAY_AUTH": "off"}, "no key is asked for"),
        ({"EVA_GATEWAY_ALLOWED_ORIGINS": "null"}, "is no origin"),
        ({"EVA_API_KEYS_FILE": "/nowhere"}, "EVA_API_KEYS_FILE: .*cannot be read"),
    ],
)
def test_what_would_open_the_gateway_by_mistake_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], reason: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=reason):
        GatewaySettings.read()


def test_a_file_of_keys_that_could_be_guessed_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("hunter2\n")
    monkeypatch.setenv("EVA_API_KEYS_FILE", str(file))
    with pytest.raises(ConfigError, match="line 1") as refused:
        GatewaySettings.read()
    assert "hunter2" not in str(refused.value)
