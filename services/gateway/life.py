"""The life of the gateway: it answers at once, looks for its broker, serves, and sees everybody out.

What needs the broker (sessions, memory, the canary) begins when the broker is there; the connection mends
itself afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NoReturn, TypeVar

from services.gateway.admission import full
from services.gateway.app import make_app
from services.gateway.board import Board
from services.gateway.broker_watch import BrokerWatch
from services.gateway.canary import Canary
from services.gateway.chat_protocol import AudioOut
from services.gateway.door import Core, Door
from services.gateway.hub import Hub
from services.gateway.lobby import Lobby
from services.gateway.loudspeaker import voice_format
from services.gateway.memory import Memory
from services.gateway.metrics import Metrics
from services.gateway.phrases import Fillers, read_fillers
from services.gateway.probes import told_by
from services.gateway.server import make_server
from services.gateway.settings import GatewaySettings
from services.gateway.siblings import Siblings
from services.gateway.stock import Stock
from services.gateway.surroundings import Surroundings
from services.gateway.turn_io import TurnPolicy
from services.gateway.watch import Watch
from shared.bus import Bus
from shared.errors import EvaError
from shared.garbage import collect, seldom
from shared.instruments import make_tracer
from shared.observe import Log
from shared.queues import LLM_WORK, TTS_WORK
from shared.subjects import new_token
from shared.version import VERSION

log = Log("eva.gateway")

T = TypeVar("T")
Connect = Callable[[], Awaitable[Bus]]
AGAIN_S = 0.5
OPEN_WITHIN_S = 1.0
"""Behind that whoever comes is answered, and told that the broker is not reachable."""


def make_door(settings: GatewaySettings, *, siblings: Siblings | None = None) -> Door:
    """Returns the gateway without its core; ``siblings``: where it is one of several processes."""
    metrics = Metrics()
    watch = Watch(Board(version=VERSION), metrics, tracer=make_tracer("gateway"))
    door = Door(settings, watch, metrics)
    metrics.watch_sessions(lambda: door.sessions)
    door.siblings = siblings
    return door


@contextlib.asynccontextmanager
async def telling(door: Door) -> AsyncIterator[None]:
    """Tells the gateway's other processes, if there are any, how this one is."""
    async with contextlib.AsyncExitStack() as stack:
        if door.siblings is not None:
            await stack.enter_async_context(door.siblings.telling(lambda: told_by(door)))
        yield


async def live(
    door: Door, listener: socket.socket, connect: Connect, stop: asyncio.Event, *, gw: str = ""
) -> None:
    """Serves on a listening socket until ``stop`` is set; turns in flight may end."""
    server = make_server(make_app(door), Lobby(door.metrics.error, refuse=lambda: full(door)))
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        core = tasks.create_task(run_core(door, connect, gw or new_token()), name="core")
        broker = tasks.create_task(watch_broker(door), name="broker's figures")
        if door.siblings is not None:
            await _opened(door)
        serving = tasks.create_task(server.run_on(listener), name="server")
        await server.accepting.wait()
        stack.enter_context(seldom())
        garbage = tasks.create_task(collect(), name="garbage")
        host, port = listener.getsockname()[:2]
        log.info("gateway.ready", host=host, port=port)
        await stop.wait()
        log.info("gateway.draining", clients=door.sessions)
        server.stop_accepting()
        await door.drain(door.settings.drain_s)
        server.should_exit = True
        await serving
        for task in (core, broker, garbage):
            task.cancel()
    door.watch.tracer.close()


async def _opened(door: Door) -> None:
    """Waits a moment for the broker: a sibling might serve whom this one would have to refuse."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(OPEN_WITHIN_S):
            await door.opened.wait()


async def watch_broker(door: Door) -> None:
    """Keeps the broker's figures, where it is told where they are; of several processes the first does."""
    urls = door.settings.nats_monitors
    if urls and (door.siblings is None or door.siblings.name == "0"):
        watch = BrokerWatch(urls)
        door.metrics.watch_broker(watch.told)
        await watch.run()


async def run_core(
    door: Door,
    connect: Connect,
    gw: str,
    *,
    again_s: float = AGAIN_S,
    clock: Callable[[], float] = time.monotonic,
) -> NoReturn:
    """Connects, opens for sessions, and proves every now and then that EVA is audible; until cancelled.

    ``clock``: of turns, seconds; the loop's own where its time is virtual.
    """
    settings = door.settings
    bus = await _again_until_done(connect, "broker.not_reached", again_s)
    hub: Hub | None = None
    try:
        memory = Memory(bus, ttl_s=settings.session_ttl_s)
        policy = TurnPolicy(
            turn_s=settings.turn_s,
            take_up_s=settings.gateway_take_up_s,
            speculations=settings.gateway_speculation,
            filler_s=settings.gateway_filler_ms / 1000,
            filler_again_s=settings.gateway_filler_again_ms / 1000,
            apology_s=settings.gateway_apology_s,
        )
        fillers = read_fillers(settings.gateway_fillers) if settings.gateway_filler_ms else Fillers.none()
        stock = Stock(bus, gw, fillers)
        stock.want(voice_format(AudioOut()))
        around = Surroundings(
            bus=bus,
            gw=gw,
            memory=memory,
            observer=door.watch,
            policy=policy,
            stock=stock,
            clock=clock,
            grace_s=settings.gateway_grace_s,
            tracer=door.watch.tracer,
            ears_outlook=door.watch.ears_outlook,
        )
        hub = Hub(around)

        async def prepare() -> None:
            for queue in (LLM_WORK, TTS_WORK):
                await bus.declare(queue)

        await _again_until_done(prepare, "queues.not_declared", again_s)
        await _again_until_done(hub.subscribe, "events.not_subscribed", again_s)
        await _again_until_done(stock.listen, "stock.not_subscribed", again_s)
        await _again_until_done(lambda: door.watch.listen(bus), "facts.not_subscribed", again_s)
        door.core = Core(hub, memory)
        door.opened.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(door.watch.run(memory), name="watch")
            tasks.create_task(door.gate.run(bus, gw), name="gate")
            tasks.create_task(stock.run(), name="stock")
            if settings.canary:
                canary = Canary(hub, door.watch, every_s=settings.canary_every_s)
                tasks.create_task(canary.run(), name="canary")
        raise AssertionError("the watch has ended")
    finally:
        door.core = None
        if hub is not None:
            await hub.close()
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
