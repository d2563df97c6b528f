"""The life of the gateway: it answers at once, looks for its broker, serves, and sees everybody out.

What needs the broker (sessions, memory, the canary) begins when the broker is there; the connection mends
itself afterwards.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from services.gateway.app import VERSION, make_app
from services.gateway.board import Board
from services.gateway.canary import Canary
from services.gateway.door import Core, Door
from services.gateway.hub import Hub
from services.gateway.memory import Memory
from services.gateway.metrics import Metrics
from services.gateway.server import make_server
from services.gateway.settings import GatewaySettings
from services.gateway.surroundings import Surroundings
from services.gateway.turn_io import TurnPolicy
from services.gateway.watch import Watch
from shared.bus import Bus
from shared.errors import EvaError
from shared.observe import Log
from shared.queues import LLM_WORK, TTS_WORK
from shared.subjects import new_token

log = Log("eva.gateway")

T = TypeVar("T")
Connect = Callable[[], Awaitable[Bus]]
AGAIN_S = 0.5


def make_door(settings: GatewaySettings) -> Door:
    """Returns the gateway without its core."""
    metrics = Metrics(version=VERSION)
    door = Door(settings, Watch(Board(version=VERSION), metrics), metrics)
    metrics.watch_sessions(lambda: door.sessions)
    return door


async def live(
    door: Door, listener: socket.socket, connect: Connect, stop: asyncio.Event, *, gw: str = ""
) -> None:
    """Serves on a listening socket until ``stop`` is set; turns in flight may end."""
    server = make_server(make_app(door))
    async with asyncio.TaskGroup() as tasks:
        core = tasks.create_task(run_core(door, connect, gw or new_token()), name="core")
        serving = tasks.create_task(server.run_on(listener), name="server")
        await server.accepting.wait()
        gc.collect()
        gc.freeze()  # a full collection stalls every turn in flight
        host, port = listener.getsockname()[:2]
        log.info("gateway.ready", host=host, port=port)
        await stop.wait()
        log.info("gateway.draining", clients=door.sessions)
        server.stop_accepting()
        await door.drain(door.settings.drain_s)
        server.should_exit = True
        await serving
        core.cancel()


async def run_core(door: Door, connect: Connect, gw: str, *, again_s: float = AGAIN_S) -> NoReturn:
    """Connects, opens for sessions, and proves every now and then that EVA is audible; until cancelled."""
    settings = door.settings
    bus = await _again_until_done(connect, "broker.not_reached", again_s)
    try:
        memory = Memory(bus, ttl_s=settings.session_ttl_s)
        policy = TurnPolicy(turn_s=settings.turn_s)
        around = Surroundings(bus=bus, gw=gw, memory=memory, observer=door.watch, policy=policy)
        hub = Hub(around)

        async def prepare() -> None:
            for queue in (LLM_WORK, TTS_WORK):
                await bus.declare(queue)

        await _again_until_done(prepare, "queues.not_declared", again_s)
        await _again_until_done(hub.subscribe, "events.not_subscribed", again_s)
        await _again_until_done(lambda: door.watch.listen(bus), "facts.not_subscribed", again_s)
        door.core = Core(hub, memory)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(door.watch.run(memory), name="watch")
            if settings.canary:
                canary = Canary(hub, door.watch, every_s=settings.canary_every_s)
                tasks.create_task(canary.run(), name="canary")
        raise AssertionError("the watch has ended")
    finally:
        door.core = None
        await bus.close()


async def _again_until_done(step: Callable[[], Awaitable[T]], event: str, again_s: float) -> T:
    was_told = False
    while True:
        try:
            return await step()
        except EvaError as error:
            if not was_told:
                log.warning(event, reason=str(error))
            was_told = True
        await asyncio.sleep(again_s)
