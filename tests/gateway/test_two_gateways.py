"""Two gateways at one real broker, asked for keys: what one of them knows holds at the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import openai
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.gateway.life import live, make_door
from services.gateway.limits import Tally
from services.gateway.purses import KEEP_S, LIMITS_BUCKET
from services.gateway.server import listen
from services.gateway.settings import GatewaySettings
from shared.bus import Bucket, Bus
from shared.bus.nats import NatsBus
from shared.keys import (
    KEY_PREFIX,
    KEYS_BUCKET,
    KeyLimits,
    KeyRecord,
    new_secret,
    pack_record,
    record_of,
)
from tests.conftest import NatsServer
from tests.fakes.gateway import PATIENT
from tests.fakes.workers import FakeWorkers

pytestmark = pytest.mark.process
WAIT_S = 60.0


class Gateway:
    """One of the two, with its own port and name."""

    def __init__(self, server: NatsServer, name: str, **settings: object) -> None:
        options = {**PATIENT, "canary": False, "drain_s": 1.0, "gateway_auth": "on", **settings}
        self.door = make_door(GatewaySettings(_env_file=None, **options))
        self.listener = listen("127.0.0.1", 0)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.http = httpx.AsyncClient(base_url=f"http://{self.address}", timeout=WAIT_S, trust_env=False)
        self.stop = asyncio.Event()
        self._server, self._name = server, name

    async def run(self) -> None:
        async def to_broker() -> Bus:
            return await self._server.connect(self._name)

        await live(self.door, self.listener, to_broker, self.stop, gw=self._name)

    async def chat(self, key: str) -> httpx.Response:
        return await self.http.post("/chat", json={"message": "Hi"}, headers=bearer(key))

    async def secret(self, key: str, **body: object) -> str:
        answer = await self.http.post("/v1/realtime/client_secrets", json=body, headers=bearer(key))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["value"])

    def socket(self, key: str, **options: object) -> connect:
        url = f"ws://{self.address}/ws/chat"
        return connect(url, proxy=None, additional_headers=bearer(key), **options)  # type: ignore[arg-type]

    async def refused(self, key: str, **options: object) -> tuple[int, str, str]:
        """Tries to open a socket; returns status, code and ``retry-after`` of the denial."""
        with pytest.raises(InvalidStatus) as refusal:
            async with self.socket(key, **options):
                pass
        response = refusal.value.response
        error = json.loads(response.body or b"")["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert key not in error["message"]
        return response.status_code, error["code"], response.headers.get("retry-after", "")


@dataclass
class Twins:
    one: Gateway
    two: Gateway
    keys: Bucket
    bus: Bus

    async def make(self, name: str = "test", **limits: float) -> tuple[str, KeyRecord]:
        """Makes a key, and waits until both gateways know it."""
        secret = new_secret(KEY_PREFIX)
        record = record_of(secret, name, limits=KeyLimits(**limits), now=time.time())  # type: ignore[arg-type]
        await self.keys.create(record.id, pack_record(record))
        for gateway in (self.one, self.two):
            await until(lambda: is_let_in(gateway, secret))  # noqa: B023 - awaited within the loop
        return secret, record

    async def revoke(self, record: KeyRecord) -> None:
        revoked = KeyRecord(id=record.id, name=record.name, digest=record.digest, revoked_at=time.time())
        await self.keys.put(record.id, pack_record(revoked))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def is_let_in(gateway: Gateway, key: str) -> bool:
    return (
        await gateway.http.get("/metrics", headers=bearer(key) | {"x-forwarded-for": "1.2.3.4"})
    ).is_success


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await holds():  # noqa: ASYNC110 - another party's state is polled
            await asyncio.sleep(0.02)


async def last_words(socket: ClientConnection) -> tuple[str, int]:
    """Reads to the end; returns the code of the last error, and the close code."""
    code = ""
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                event = json.loads(await socket.recv())
                code = event.get("code", code)
    assert socket.close_code is not None
    return code, socket.close_code


@pytest.fixture
async def twins(tmp_path: Path) -> AsyncIterator[Twins]:
    server = NatsServer(tmp_path / "nats")
    await server.start()
    one, two = Gateway(server, "one"), Gateway(server, "two")
    running = [asyncio.create_task(gateway.run()) for gateway in (one, two)]
    buses: list[NatsBus] = [await server.connect("workers"), await server.connect("test")]
    try:
        async with FakeWorkers(buses[0]).running():
            for gateway in (one, two):
                await until(lambda: is_ready(gateway))  # noqa: B023 - awaited within the loop
            yield Twins(one, two, await buses[1].bucket(KEYS_BUCKET, ttl_s=0), buses[1])
            for gateway in (one, two):
                gateway.stop.set()
            async with asyncio.timeout(WAIT_S):
                await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for gateway in (one, two):
            await gateway.http.aclose()
            gateway.listener.close()
        for bus in buses:
            await bus.close()
        await server.stop()


async def is_ready(gateway: Gateway) -> bool:
    return gateway.door.core is not None and gateway.door.watch.is_up("tts")


async def test_a_revoked_key_opens_nothing_any_more_and_what_it_opened_is_closed(twins: Twins) -> None:
    secret, record = await twins.make()
    kept, _ = await twins.make("other")
    async with (
        twins.one.socket(secret) as first,
        twins.two.socket(secret) as second,
        twins.two.socket(kept) as other,
    ):
        await twins.revoke(record)
        assert await last_words(first) == ("invalid_api_key", 1008)
        assert await last_words(second) == ("invalid_api_key", 1008)
        for gateway in (twins.one, twins.two):
            assert await gateway.refused(secret) == (401, "invalid_api_key", "")
            assert (await gateway.chat(secret)).status_code == 401
        await other.send('{"type": "ping"}')
        assert json.loads(await other.recv())["type"] == "pong"


async def test_sessions_at_a_time_are_counted_over_both(twins: Twins) -> None:
    secret, _ = await twins.make(sessions=2)
    async with twins.one.socket(secret), twins.two.socket(secret):
        for gateway in (twins.one, twins.two):
            assert await gateway.refused(secret) == (429, "rate_limit_exceeded", "1")
        answer = await twins.one.chat(secret)
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")

    async def is_free() -> bool:
        return (await twins.one.chat(secret)).status_code == 200

    await until(is_free)


async def test_sessions_that_are_opened_at_once_are_not_more_than_allowed(twins: Twins) -> None:
    secret, _ = await twins.make(sessions=3)
    async with contextlib.AsyncExitStack() as stack:

        async def enter(gateway: Gateway) -> bool:
            try:
                await stack.enter_async_context(gateway.socket(secret))
            except InvalidStatus:
                return False
            return True

        entered = await asyncio.gather(*(enter(gateway) for gateway in (twins.one, twins.two) * 5))
        assert sum(entered) == 3


async def test_sound_that_was_used_up_at_one_is_used_up_at_the_other(twins: Twins) -> None:
    secret, _ = await twins.make(audio_s_per_day=0.1)
    assert (await twins.one.chat(secret)).status_code == 200
    await twins.one.door.gate.purses.settle()
    answer = await twins.two.chat(secret)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(answer.headers["retry-after"]) <= 86_400
    status, code, _ = await twins.two.refused(secret)
    assert (status, code) == (429, "rate_limit_exceeded")


async def test_tokens_that_were_used_up_at_one_are_used_up_at_the_other(twins: Twins) -> None:
    secret, record = await twins.make(tokens_per_min=50)
    assert (await twins.one.chat(secret)).status_code == 200  # 109 tokens
    await twins.one.door.gate.purses.settle()
    answer = await twins.two.chat(secret)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 80
    [left] = twins.two.door.gate.purses.purse_of(record).limits()
    assert (left.name, left.limit, left.remaining) == ("tokens", 50.0, 0.0)


async def test_a_gateway_that_stops_charges_what_was_used_and_gives_back_what_it_had_reserved(
    twins: Twins,
) -> None:
    _, record = await twins.make(audio_s_per_day=1000)
    purse = twins.one.door.gate.purses.purse_of(record)
    await purse.admit()
    assert purse.limits()[0].remaining == 1000
    purse.spend_audio(12.5)
    twins.one.stop.set()
    limits = await twins.bus.bucket(LIMITS_BUCKET, ttl_s=KEEP_S)

    async def is_settled() -> bool:
        stored = await limits.get(f"audio_seconds-{record.id}")
        return stored is not None and msgspec.msgpack.decode(stored, type=Tally).left == 987.5

    await until(is_settled)


async def test_a_client_secret_made_at_one_opens_one_session_at_the_other(twins: Twins) -> None:
    key, _ = await twins.make()
    value = await twins.one.secret(key, session={"type": "realtime", "instructions": "Be brief."})
    assert value.startswith("ek_")
    async with twins.two.socket(value) as socket:
        await socket.send('{"type": "ping"}')
        assert json.loads(await socket.recv())["type"] == "pong"
        for gateway in (twins.one, twins.two):
            assert await gateway.refused(value) == (401, "client_secret_used", "")


async def test_the_realtime_api_takes_the_secrets_settings_and_ends_with_its_key(twins: Twins) -> None:
    key, record = await twins.make()
    value = await twins.one.secret(key, session={"type": "realtime", "instructions": "Be brief."})
    offered = ["realtime", f"openai-insecure-api-key.{value}"]
    url = f"ws://{twins.two.address}/v1/realtime"
    async with connect(url, proxy=None, subprotocols=offered) as socket:  # type: ignore[arg-type]
        assert socket.subprotocol == "realtime"
        created = json.loads(await socket.recv())
        assert created["type"] == "session.created"
        assert created["session"]["instructions"] == "Be brief."
        await twins.revoke(record)
        async with asyncio.timeout(WAIT_S):
            told = json.loads(await socket.recv())
            assert (told["type"], told["error"]["code"]) == ("error", "invalid_api_key")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert socket.close_code == 1008


async def test_of_many_who_use_one_secret_at_once_one_gets_in(twins: Twins) -> None:
    key, _ = await twins.make()
    value = await twins.one.secret(key)
    async with contextlib.AsyncExitStack() as stack:

        async def enter(gateway: Gateway) -> bool:
            try:
                await stack.enter_async_context(gateway.socket(value))
            except InvalidStatus:
                return False
            return True

        entered = await asyncio.gather(*(enter(gateway) for gateway in (twins.one, twins.two) * 4))
        assert sum(entered) == 1


async def test_a_client_secret_ends_with_the_key_that_made_it(twins: Twins) -> None:
    key, record = await twins.make()
    value, other = await twins.one.secret(key), await twins.one.secret(key)
    async with twins.two.socket(value) as socket:
        await twins.revoke(record)
        assert await last_words(socket) == ("invalid_api_key", 1008)
    status, code, _ = await twins.two.refused(other)
    assert (status, code) == (401, "invalid_api_key")


async def test_a_session_is_its_own_keys_at_both(twins: Twins) -> None:
    mine, _ = await twins.make("mine")
    theirs, _ = await twins.make("theirs")
    async with (
        twins.one.socket(mine) as first,
        twins.two.socket(theirs) as other,
        twins.two.socket(mine) as second,
    ):
        await first.send('{"type": "start", "session_id": "same"}')
        assert json.loads(await first.recv())["type"] == "ready"
        await first.send('{"type": "message", "text": "Hi", "include_audio": false}')
        while json.loads(await first.recv())["type"] != "turn_done":
            pass
        await other.send('{"type": "start", "session_id": "same"}')
        ready = json.loads(await other.recv())
        assert (ready["type"], ready["is_resumed"], ready["turns"]) == ("ready", False, 0)
        await first.send('{"type": "ping", "id": 7}')
        assert json.loads(await first.recv())["type"] == "pong", "nobody has taken it"
        await second.send('{"type": "start", "session_id": "same"}')
        ready = json.loads(await second.recv())
        assert (ready["type"], ready["is_resumed"], ready["turns"]) == ("ready", True, 1)
        assert (await last_words(first))[0] == "session_taken_over"


async def test_openais_own_client_raises_its_own_errors(twins: Twins) -> None:
    secret, _ = await twins.make(audio_s_per_day=0.1)

    def client(key: str) -> openai.AsyncOpenAI:
        http = httpx.AsyncClient(trust_env=False)
        return openai.AsyncOpenAI(
            api_key=key, base_url=f"http://{twins.one.address}/v1", max_retries=0, http_client=http
        )

    async with client("eva_sk_wrong") as wrong:
        with pytest.raises(openai.AuthenticationError) as denied:
            await wrong.models.list()
        assert denied.value.code == "invalid_api_key"
    async with client(secret) as right:
        made = await right.realtime.client_secrets.create(session={"type": "realtime"})
        assert made.value.startswith("ek_")
        assert made.session.type == "realtime"
        spoken = await right.audio.speech.create(
            model="tts-1", voice="alloy", input="Hello there.", response_format="pcm"
        )
        assert spoken.content
        await twins.one.door.gate.purses.settle()
        with pytest.raises(openai.RateLimitError) as limited:
            await right.audio.speech.create(model="tts-1", voice="alloy", input="Hello?")
        assert limited.value.code == "rate_limit_exceeded"
