"""``python -m services.gateway`` as an operator starts it."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

pytestmark = pytest.mark.process
STARTUP_S = 60.0
NOBODY = "nats://127.0.0.1:1"


@asynccontextmanager
async def process(port: int, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.gateway"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "EVA_PORT": str(port), "EVA_NATS_URL": NOBODY, **env},
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def until_ready(running: asyncio.subprocess.Process) -> int:
    """Returns the port that the kernel chose, as the log tells it."""
    assert running.stderr is not None
    async with asyncio.timeout(STARTUP_S):
        while "gateway.ready host=127.0.0.1 port=" not in (
            line := (await running.stderr.readline()).decode()
        ):
            assert line, "it ended without being ready"
        return int(line.rpartition("port=")[2])


async def test_without_a_broker_it_starts_answers_and_ends_with_0_on_sigterm() -> None:
    async with process(0) as running:
        port = await until_ready(running)
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=STARTUP_S, trust_env=False) as http:
            assert (await http.get("/livez")).status_code == 200
            health = await http.get("/health")
            assert health.status_code == 503
            assert health.json()["reasons"] == ["The broker is not reachable."]
            assert (await http.post("/chat", json={"message": "Hi"})).json()["error"]["code"] == "broker_lost"
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            out, err = await running.communicate()
        assert (running.returncode, out) == (0, b"")
        assert "Traceback" not in err.decode()


async def test_a_port_in_use_is_one_clear_line_and_exit_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with process(port) as running, asyncio.timeout(STARTUP_S):
            out, err = await running.communicate()
    assert (running.returncode, out) == (1, b"")
    assert err.decode().splitlines() == [
        f"cannot listen on 127.0.0.1:{port}: Address already in use; EVA_PORT sets another port"
    ]


async def test_a_setting_that_cannot_work_is_one_line_that_names_it_and_exit_2() -> None:
    async with process(0, EVA_TURN_S="soon") as running, asyncio.timeout(STARTUP_S):
        out, err = await running.communicate()
    assert (running.returncode, out) == (2, b"")
    (line,) = err.decode().splitlines()
    assert line.startswith("EVA_TURN_S: ")
