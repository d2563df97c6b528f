"""``eva mind`` against a real gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from eva.chat_client import NotRunning
from eva.mind import mind
from shared.messages import EngineFact
from tests.fakes.gateway import RunningGateway, running_gateway

BIG = EngineFact(
    name="groq:big", state="standby", breaker="open", detail="8 of 20 turns slower than 500 ms",
    numbers={"first_token_ms_p50": 98.0, "limit_tokens_left": 0.25},
)  # fmt: skip
SMALL = EngineFact(name="groq:small", state="serving", breaker="closed")


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as running:
        running.workers.engines["llm"] = [BIG, SMALL]
        await running.until(
            lambda: (
                [route.route for route in running.door.watch.health().stages["llm"].routes]
                == ["groq:big", "groq:small"]
            )
        )
        yield running


def address(gateway: RunningGateway) -> str:
    return str(gateway.http.base_url).rstrip("/")


async def test_the_routes_are_shown_with_what_is_wrong(
    gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await mind(address(gateway)) == 0
    _, big, small = capsys.readouterr().out.splitlines()
    assert big.split()[:4] == ["groq:big", "standby", "open", "98"]
    assert big.endswith("25 %         8 of 20 turns slower than 500 ms")
    assert small.split()[:3] == ["groq:small", "serving", "closed"]


async def test_programs_get_the_routes_as_health_has_them(
    gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await mind(address(gateway), is_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(route["route"], route["breaker"]) for route in shown] == [
        ("groq:big", "open"),
        ("groq:small", "closed"),
    ]


async def test_what_is_watched_is_shown_again_and_again(
    gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = asyncio.create_task(mind(address(gateway), is_watched=True))
    shown = ""
    async with asyncio.timeout(60):
        while shown.count("groq:big") < 2:
            await asyncio.sleep(0.05)
            shown += capsys.readouterr().out
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert "\x1b" not in shown, "no terminal, no control characters"


async def test_without_a_worker_it_says_so_and_fails(
    gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.workers.silent.add("llm")
    await gateway.until(lambda: not gateway.door.watch.is_up("llm"))
    assert await mind(address(gateway)) == 1
    assert capsys.readouterr().err == "No worker of the mind has been heard of.\n"


async def test_where_nobody_listens_it_says_that() -> None:
    with pytest.raises(NotRunning):
        await mind("http://127.0.0.1:1")
