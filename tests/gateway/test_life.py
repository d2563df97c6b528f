"""The gateway's beginning and end, when its broker is not as it should be."""

import asyncio

from services.gateway.life import make_door, run_core
from services.gateway.settings import GatewaySettings
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
    async with asyncio.timeout(5):
        while door.core is None:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.001)
    assert (attempts, bus.refusals, bus.deaf) == (3, 0, 0)
    assert len(broker.interests) == 3, "no subscription stands twice"
    core.cancel()
    await asyncio.gather(core, return_exceptions=True)
    assert door.core is None
    assert not bus.is_up
