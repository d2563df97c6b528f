"""``WS /ws/chat`` through a real server: turns, mistakes, closings."""

import asyncio
import json
import socket

import pytest
from websockets.exceptions import InvalidStatus

from tests.fakes.gateway import RunningGateway, running_gateway

TERMINAL = {"turn_done", "interrupted"}


async def test_a_typed_turn_is_answered_with_text_and_gapless_sound(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="start", audio_out={"format": "pcm", "rate_hz": 16000})
        ready = await client.next()
        assert ready["type"] == "ready"
        await client.send(type="message", text="Hi")
        events = await client.until("turn_done")
        audio = [event for event in events if event["type"] == "audio"]
        assert [event["seq"] for event in audio] == list(range(len(audio)))
        assert sum(event["duration_ms"] for event in audio) == 400
        assert len(client.sound) == 2 * 16000 * 400 // 1000
        assert "".join(event["text"] for event in events if event["type"] == "token").split() == (
            ["Hello", "there.", "How", "are", "you?"]
        )
        done = events[-1]
        assert done["has_audio"]
        assert set(done["engines"]) == {"llm", "tts"}
        assert events[0]["turn_id"] == done["turn_id"] == f"{ready['session_id']}-1"


async def test_the_first_message_need_not_be_start(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="message", text="Hi")
        kinds = [event["type"] for event in await client.until("turn_done")]
        assert kinds[:2] == ["ready", "turn_started"]


async def test_the_first_message_may_be_sound(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.connection.send(bytes(640))
        assert (await client.next())["type"] == "ready"
        assert (await client.expect("error"))["code"] == "no_ears"  # these workers have none
        await client.send(type="ping", id=1)
        assert (await client.expect("pong"))["id"] == 1


async def test_text_only_costs_the_voice_nothing(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="start", audio_out=None)
        await client.send(type="message", text="Hi")
        assert not (await client.expect("turn_done"))["has_audio"]
    assert gateway.workers.synthesized == []


async def test_pings_and_matters_of_no_turn_open_no_session(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        for message in ({"type": "interrupt"}, {"type": "end_of_speech"}, {"type": "ping", "id": "a"}):
            await client.send(**message)
        assert await client.next() == {"type": "pong", "id": "a"}


async def test_stop_ends_the_conversation_with_1000(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="start")
        await client.send(type="stop")
        assert await client.closed() == 1000


async def test_an_interrupted_answer_sends_no_more_sound(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    async with gateway.client() as client:
        await client.send(type="start")
        await client.send(type="message", text="Hi")
        await client.expect("audio")
        await client.send(type="interrupt", played_ms=20)
        events = await client.until("interrupted")
        gateway.workers.faults.gate.set()
        await client.send(type="ping")
        events += await client.until("pong")
        assert [event["type"] for event in events if event["type"] in {"flush", "interrupted"}] == [
            "flush",
            "interrupted",
        ]
        flushed = [event["type"] for event in events].index("flush")
        assert "audio" not in [event["type"] for event in events[flushed:]]
    async with asyncio.timeout(60):
        await gateway.workers.cancelled.wait()


MISTAKES = [
    ("", None),
    ("hello", None),
    ("[]", None),
    ("{}", None),
    ('{"type":"dance"}', "type"),
    ('{"type":"message","text":""}', "text"),
    ('{"type":"message","text":1}', "text"),
    ('{"type":"message","text":"' + "x" * 5000 + '"}', "text"),
    ('{"type":"start","audio_in":{"rate_hz":1}}', "audio_in.rate_hz"),
    ('{"type":"start","session_id":"../x"}', "session_id"),
    ('{"type":"start","session_id":"a.b"}', "session_id"),
    ('{"type":"start","session_id":""}', "session_id"),
    ('{"type":"played","turn_id":"t","ms":NaN}', None),
    ('{"type":"played","turn_id":"t","ms":1e999}', "ms"),
    ("[" * 60_000, None),
    ("[" * 100_000, None),
    ("x" * 200_000, None),
    (b"", "audio"),
    (b"\0", "audio"),
    (bytes(641), "audio"),
    (bytes(100_000), "audio"),
]


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_mistake_is_answered_and_the_session_lives(gateway: RunningGateway, is_open: bool) -> None:
    async with gateway.client() as client:
        if is_open:
            await client.send(type="start")
            await client.expect("ready")
        for raw, param in MISTAKES:
            await client.connection.send(raw)
            error = await client.expect("error")
            where = repr(raw[:50])
            assert (error["code"], error["turn_id"]) == ("invalid_request", None), where
            assert error["param"] == param, where
        await client.send(type="message", text="Hi")
        assert (await client.expect("turn_done"))["has_audio"]


async def test_text_that_is_no_utf_8_closes_by_the_protocol(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.connection.send(b"\xff\xfe", text=True)
        assert await client.closed() == 1007


async def test_a_message_beyond_all_bounds_closes_with_1009(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.connection.send(bytes(300_000))
        assert await client.closed() == 1009


async def test_a_conversation_goes_on_with_its_session_id(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="start", session_id="kitchen")
        assert not (await client.next())["is_resumed"]
        await client.send(type="message", text="I am Ada")
        done = await client.expect("turn_done")
        await client.send(type="played", turn_id=done["turn_id"], ms=1000)
        await client.send(type="stop")
        await client.closed()
    async with gateway.client() as client:
        await client.send(type="start", session_id="kitchen")
        ready = await client.next()
        assert (ready["is_resumed"], ready["turns"]) == (True, 1)
        await client.send(type="message", text="Who am I?")
        await client.expect("turn_done")
    said = [message.content for message in gateway.workers.generated[-1].messages]
    assert said == ["I am Ada", "Hello there. How are you?", "Who am I?"]


async def test_of_two_sockets_with_one_session_the_newest_wins(gateway: RunningGateway) -> None:
    async with gateway.client() as first, gateway.client() as second:
        await first.send(type="start", session_id="kitchen")
        await first.expect("ready")
        await second.send(type="start", session_id="kitchen")
        await second.expect("ready")
        assert (await first.expect("error"))["code"] == "session_taken_over"
        assert await first.closed() == 1008
        await second.send(type="message", text="Hi")
        await second.expect("turn_done")


async def test_more_clients_than_allowed_are_refused_before_the_socket_is_open() -> None:
    async with running_gateway(gateway_max_sessions=1) as gateway, gateway.client() as first:
        await first.send(type="start")
        await first.expect("ready")
        with pytest.raises(InvalidStatus) as refused:
            async with gateway.client():
                pass
        response = refused.value.response
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert json.loads(response.body)["error"]["code"] == "busy"
        await first.send(type="stop")
        await first.closed()
        async with gateway.client() as third:
            await third.send(type="start")
            await third.expect("ready")


async def test_a_socket_on_which_nothing_is_said_is_closed() -> None:
    async with running_gateway(gateway_idle_s=0.05) as gateway, gateway.client() as client:
        assert (await client.next())["code"] == "idle_timeout"
        assert await client.closed() == 1000


async def test_a_foreign_web_page_is_refused_before_the_socket_is_open(gateway: RunningGateway) -> None:
    for origin in ("https://evil.example", "null", "http://[", "http://localhost.evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            async with gateway.client(origin=origin):
                pass
        assert refused.value.response.status_code == 403
        assert json.loads(refused.value.response.body)["error"]["code"] == "forbidden_origin"


async def test_pages_of_this_machine_and_of_its_own_host_are_welcome(gateway: RunningGateway) -> None:
    for origin in (
        "http://localhost:3000",
        "https://127.0.0.1",
        "http://[::1]:1",
        f"http://{gateway.address}",
    ):
        async with gateway.client(origin=origin) as client:
            await client.send(type="ping")
            await client.expect("pong")


async def test_an_origin_on_the_allow_list_is_welcome() -> None:
    async with running_gateway(gateway_allowed_origins="https://eva.example, https://b.example") as gateway:
        async with gateway.client(origin="https://EVA.example") as client:
            await client.send(type="ping")
            await client.expect("pong")
        headers = {"origin": "https://eva.example"}
        assert (await gateway.http.post("/chat", json={"message": "Hi"}, headers=headers)).status_code == 200


async def test_without_a_broker_the_socket_stands_and_is_told_so_until_it_is_there() -> None:
    async with running_gateway(is_reachable=False) as gateway, gateway.client() as client:
        for _ in range(2):
            await client.send(type="message", text="Hi")
            error = await client.next()
            assert (error["code"], error["retry_after_ms"]) == ("broker_lost", 1000)
        gateway.reachable.set()
        await gateway.until(lambda: gateway.door.watch.is_broker_up)
        await client.send(type="message", text="Hi")
        await client.expect("turn_done")


async def test_a_session_that_was_named_before_the_broker_was_there_keeps_its_name() -> None:
    async with running_gateway(is_reachable=False) as gateway, gateway.client() as client:
        await client.send(type="start", session_id="kitchen")
        assert (await client.next())["code"] == "broker_lost"
        gateway.reachable.set()
        await gateway.until(lambda: gateway.door.watch.is_broker_up)
        await client.send(type="message", text="Hi")
        assert (await client.expect("ready"))["session_id"] == "kitchen"
        await client.expect("turn_done")


async def test_a_client_that_does_not_read_is_let_go_and_its_turn_is_cancelled() -> None:
    async with running_gateway() as gateway:
        reader, writer = await asyncio.open_connection(*gateway.listener_address, limit=1024)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await _handshake(reader, writer)
        gateway.workers.answer = "A sentence. " * 20
        gateway.workers.sound_ms = 10_000
        writer.write(_masked(b'{"type":"start","audio_out":{"format":"pcm","rate_hz":48000}}'))
        writer.write(_masked(b'{"type":"message","text":"Hi"}'))
        async with asyncio.timeout(90):
            await gateway.until(lambda: gateway.door.sessions == 1)
            await gateway.until(lambda: gateway.door.sessions == 0, within_s=60)
        writer.close()
        assert 'eva_errors_total{code="slow_client"}' in (await gateway.http.get("/metrics")).text


async def test_a_gateway_that_stops_lets_the_turn_end_and_closes_with_1012() -> None:
    async with running_gateway(drain_s=5) as gateway:
        gateway.workers.faults.gate.clear()
        async with gateway.client() as client, gateway.client() as idle:
            await idle.send(type="start")
            await idle.expect("ready")
            await client.send(type="message", text="Hi")
            await client.expect("audio")
            gateway.stop.set()
            await gateway.until(lambda: not is_accepting(gateway))
            gateway.workers.faults.gate.set()
            assert (await client.expect("turn_done"))["has_audio"]
            assert await client.closed() == 1012
            assert await idle.closed() == 1012


async def test_a_session_taken_over_in_mid_turn_goes_on_with_the_new_client_alone(
    gateway: RunningGateway,
) -> None:
    gateway.workers.faults.gate.clear()
    async with gateway.client() as first, gateway.client() as second:
        await first.send(type="start", session_id="kitchen")
        await first.send(type="message", text="Hi")
        await first.expect("audio")
        await second.send(type="start", session_id="kitchen")
        turn = (await second.expect("ready"))["turn"]
        assert (turn["turn_id"], turn["question"]) == ("kitchen-1", "Hi")
        assert (await first.expect("error"))["code"] == "session_taken_over"
        gateway.workers.faults.gate.set()
        assert (await second.expect("turn_done"))["turn_id"] == "kitchen-1"
        await second.send(type="message", text="Hi")
        assert (await second.expect("turn_done"))["turn_id"] == "kitchen-2"


def is_accepting(gateway: RunningGateway) -> bool:
    try:
        socket.create_connection(gateway.listener_address, timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


async def _handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"GET /ws/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")


def _masked(text: bytes) -> bytes:
    """A text frame with a mask of zeros."""
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text
