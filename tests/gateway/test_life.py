"""The gateway's beginning and end, when its broker is not as it should be."""

import asyncio
from pathlib import Path

import httpx
import pytest

from services.gateway.life import live, make_door, run_core
from services.gateway.server import listen
from services.gateway.settings import GatewaySettings
from services.gateway.siblings import Siblings
from shared.bus import Bus, Handler, Subscription, WorkQueue
from shared.bus.memory import MemoryBroker, MemoryBus
from shared.errors import BusDown


class LateBus(MemoryBus):
    """Refuses the first attempts to declare a queue, and the first to read the work along."""

    refusals = 2
    deaf = 1

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        if ".work." in subject and self.deaf:
            self.deaf -= 1
            raise BusDown("gone again")
        return await super().subscribe(subject, handler, queue=queue)

    async def declare(self, queue: WorkQueue) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BusDown("the store is not ready")
        await super().declare(queue)


async def test_it_tries_again_until_the_broker_and_its_store_are_there() -> None:
    broker = MemoryBroker()
    bus = LateBus(broker, "gateway", None)
    attempts = 0

    async def connect() -> Bus:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise BusDown("nobody listens")
        return bus

    door = make_door(GatewaySettings(_env_file=None, canary=False))
    core = asyncio.create_task(run_core(door, connect, "gw", again_s=0.001))
    async with asyncio.timeout(60):
        while door.core is None:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.001)
    assert (attempts, bus.refusals, bus.deaf) == (3, 0, 0)
    assert len(broker.interests) == 6, "no subscription stands twice"
    core.cancel()
    await asyncio.gather(core, return_exceptions=True)
    assert door.core is None
    assert not bus.is_up


async def test_one_of_several_lets_nobody_in_before_it_can_serve_them(tmp_path: Path) -> None:
    broker, is_there, stop = MemoryBroker(), asyncio.Event(), asyncio.Event()

    async def connect() -> Bus:
        await is_there.wait()
        return MemoryBus(broker, "gateway", None)

    settings = GatewaySettings(_env_file=None, canary=False)
    door = make_door(settings, siblings=Siblings(tmp_path, "0", ["0", "1"]))
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    life = asyncio.create_task(live(door, listener, connect, stop))
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = asyncio.create_task(http.get(f"{url}/v1/models"))
        await asyncio.sleep(0)
        assert not door.opened.is_set()
        is_there.set()
        assert (await answer).status_code == 200
        assert door.opened.is_set()
    stop.set()
    await life


async def test_one_of_several_answers_although_there_is_no_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.life.OPEN_WITHIN_S", 0.01)
    stop = asyncio.Event()

    async def connect() -> Bus:
        raise BusDown("nobody listens")

    door = make_door(
        GatewaySettings(_env_file=None, canary=False), siblings=Siblings(tmp_path, "0", ["0", "1"])
    )
    listener = listen("127.0.0.1", 0)
    life = asyncio.create_task(live(door, listener, connect, stop))
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/health")
    assert answer.json()["reasons"] == [
        "The broker is not reachable.",
        "Gateway process 0 is not ready.",
        "Gateway process 1 does not answer.",
    ]
    stop.set()
    await life
