"""What a worker tells whoever looks after its process."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from eva.place import free_port
from shared.bus.memory import MemoryBroker
from shared.messages import Facts, State
from shared.probe import PortTaken, probed, verdict

WAIT_S = 30.0


def facts(state: State = "ready") -> Facts:
    return Facts(stage="tts", worker="w", state=state, pid=1)


def figures(accept: str) -> tuple[bytes, str]:
    return f"# {accept}\n".encode(), "text/figures"


async def ask(port: int, request: bytes) -> tuple[int, dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(WAIT_S):
        said = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("state", "is_up", "status"),
    [
        ("ready", True, 200),
        ("degraded", True, 200),
        ("starting", True, 503),
        ("failed", True, 503),
        ("draining", True, 503),
        ("ready", False, 503),
    ],
)
def test_ready_is_who_serves_and_reaches_the_broker(state: State, *, is_up: bool, status: int) -> None:
    told, body = verdict("/readyz", facts(state), is_up=is_up)
    assert (told, body["ready"]) == (status, status == 200)
    assert bool(body["reasons"]) is (status != 200)


def test_alive_is_who_answers_and_elsewhere_is_nothing() -> None:
    assert verdict("/livez", facts("failed"), is_up=False)[0] == 200
    assert verdict("/", facts(), is_up=True)[0] == 404


async def test_a_worker_is_asked_over_http_and_its_state_is_that_of_the_moment() -> None:
    bus, port, states = MemoryBroker().connect(), free_port("127.0.0.1", 0), ["ready", "starting"]
    async with probed(port, lambda: facts(states.pop()), bus, figures):
        request = b"GET /readyz?verbose HTTP/1.1\r\nHost: x\r\n\r\n"
        assert await ask(port, request) == (
            503,
            {"ready": False, "stage": "tts", "reasons": ["This worker is starting."]},
        )
        assert await ask(port, request) == (200, {"ready": True, "stage": "tts", "reasons": []})
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await bus.close()


async def test_whoever_speaks_no_http_is_left_and_others_are_still_answered() -> None:
    bus, port = MemoryBroker().connect(), free_port("127.0.0.1", 0)
    async with probed(port, facts, bus, figures):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 10_000 + b"\r\n\r\n")
        async with asyncio.timeout(WAIT_S):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        writer.close()
        assert (await ask(port, b"GET /livez HTTP/1.0\r\n\r\n"))[0] == 200
    await bus.close()


async def test_a_port_that_is_taken_is_said_with_its_variable_and_without_a_port_nobody_listens() -> None:
    bus = MemoryBroker().connect()
    with socket.create_server(("0.0.0.0", 0)) as taken, pytest.raises(PortTaken, match="EVA_METRICS_PORT"):
        async with probed(taken.getsockname()[1], facts, bus, figures):
            pass
    async with probed(0, facts, bus, figures):
        pass
    await bus.close()
