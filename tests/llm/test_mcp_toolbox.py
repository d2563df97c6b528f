"""Functions of real servers of the Model Context Protocol, by standard streams and by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.llm.mcp_config import ServerSpec
from services.llm.mcp_toolbox import McpToolbox
from shared.messages import ToolUse
from tests.fakes.eva_process import is_alive
from tests.fakes.provider import refusing_port

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0
KEY = {"x-key": "s3cret"}

pytestmark = pytest.mark.process


def spec(name: str, tools: str = "weather", *, timeout_s: float = 10.0) -> ServerSpec:
    args = ("-m", "tests.fakes.mcp_server", "--tools", tools)
    return ServerSpec(
        name=name,
        command=sys.executable,
        args=args,
        cwd=str(ROOT),
        env={"OF_ITS_OWN": "1"},
        timeout_s=timeout_s,
    )


@contextlib.asynccontextmanager
async def opened(*specs: ServerSpec) -> AsyncIterator[McpToolbox]:
    toolbox = McpToolbox(specs, check_every_s=0.1)
    opening = asyncio.create_task(toolbox.open())
    try:
        yield toolbox
    finally:
        opening.cancel()
        await asyncio.wait({opening}, timeout=WAIT_S)
        await toolbox.close()
        assert opening.done()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - another process's state is polled
            await asyncio.sleep(0.02)


async def has(toolbox: McpToolbox, *names: str) -> None:
    await until(lambda: [tool.name for tool in toolbox.specs] == list(names))


async def call(toolbox: McpToolbox, name: str, arguments: str = "{}") -> str:
    return await toolbox.call(ToolUse(id="c", name=name, arguments=arguments))


@contextlib.asynccontextmanager
async def http_server(port: int, tools: str = "weather") -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.mcp_server", "--tools", tools, "--port", str(port), cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_functions_of_a_program_are_offered_and_run_and_it_ends_with_the_toolbox() -> None:
    async with opened(spec("a", "weather,pid,fail,blocks,long,environment")) as toolbox:
        assert toolbox.specs == (), "nothing waits for it"
        await has(toolbox, "weather", "pid", "fail", "blocks", "long", "environment")
        weather = toolbox.specs[0]
        assert weather.description == "Tells the weather."
        assert weather.parameters["properties"]["city"]["type"] == "string"
        assert await call(toolbox, "weather", '{"city": "Paris"}') == "It is sunny in Paris."
        assert await call(toolbox, "fail") == "Failed: Error executing tool fail"
        assert await call(toolbox, "blocks") == "one\n[image]\ntwo"
        assert (await call(toolbox, "long")).endswith("é … (cut)")
        assert "city" in await call(toolbox, "weather", "{}"), "what is wrong with its call the model is told"
        assert await call(toolbox, "weather", "[]") == "The arguments are no JSON object."
        assert await call(toolbox, "other") == "There is no function other."
        pid = int(await call(toolbox, "pid"))
        assert is_alive(pid)
    await until(lambda: not is_alive(pid))


async def test_a_program_sees_none_of_evas_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk")
    monkeypatch.setenv("EVA_NATS_PASSWORD", "pw")
    async with opened(spec("a", "environment")) as toolbox:
        await has(toolbox, "environment")
        seen = set((await call(toolbox, "environment")).split())
    assert "OF_ITS_OWN" in seen
    assert seen <= {"HOME", "LC_CTYPE", "LOGNAME", "OF_ITS_OWN", "PATH", "SHELL", "TERM", "USER"}


async def test_a_call_has_a_time_limit_and_others_go_on_beside_it() -> None:
    async with opened(spec("a", "sleep", timeout_s=1.0), spec("b")) as toolbox:
        await until(lambda: len(toolbox.specs) == 2)
        slow = asyncio.create_task(call(toolbox, "sleep", '{"seconds": 60}'))
        assert await call(toolbox, "weather", '{"city": "Rome"}') == "It is sunny in Rome."
        assert await slow == "The function gave no result within 1 s."


async def test_a_program_that_dies_is_started_again() -> None:
    async with opened(spec("a", "pid,die")) as toolbox:
        await has(toolbox, "pid", "die")
        first = await call(toolbox, "pid")
        assert await call(toolbox, "die") == "The function is not available now."
        await has(toolbox)
        assert await call(toolbox, "pid") == "The function is not available now."
        await has(toolbox, "pid", "die")
        assert await call(toolbox, "pid") != first


async def test_it_can_be_closed_in_the_moment_in_which_a_program_dies() -> None:
    async with opened(spec("a", "die")) as toolbox:
        await has(toolbox, "die")
        await call(toolbox, "die")


async def test_functions_by_http_come_when_the_server_does_and_go_with_it() -> None:
    port = refusing_port()
    there = ServerSpec(name="h", url=f"http://127.0.0.1:{port}/mcp", headers=KEY, timeout_s=10.0)
    async with opened(there, spec("a", "pid")) as toolbox:
        await has(toolbox, "pid")
        async with http_server(port, "weather,pid") as server:
            await has(toolbox, "weather", "pid", "a_pid")
            assert await call(toolbox, "weather", '{"city": "Paris"}') == "It is sunny in Paris."
            assert await call(toolbox, "pid") == str(server.pid)
            assert await call(toolbox, "a_pid") != str(server.pid)
        await has(toolbox, "a_pid")
        assert (await call(toolbox, "weather", '{"city": "Paris"}')).startswith("The function")


async def test_a_server_that_does_not_let_it_in_or_does_not_exist_costs_only_its_functions() -> None:
    port = refusing_port()
    locked = ServerSpec(name="h", url=f"http://127.0.0.1:{port}/mcp")
    absent = ServerSpec(name="x", command="/nonexistent/program")
    async with http_server(port), opened(locked, absent, spec("a")) as toolbox:
        await has(toolbox, "weather")
        assert await call(toolbox, "weather", '{"city": "Paris"}') == "It is sunny in Paris."
