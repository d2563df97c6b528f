"""A whole EVA on this machine: broker, services, and what the gateway says about them.

``running`` is the one way to start it, so that it is also the one place where it ends: gateway, workers,
broker, in this order, within 5 s where turns may take 2 s to end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from eva.broker import Broker
from eva.broker_keeper import BrokerKeeper
from eva.chat_client import NotRunning
from eva.gateway_client import Gateway, GatewayRefused
from eva.place import free_port, held, url_of
from eva.remote_broker import probe
from eva.status import ProcessState, is_whole
from eva.supervisor import DRAIN_S, Supervisor, programs
from services.gateway.health import Health

LOOK_EVERY_S = 1.0
LOOK_EARLY_S = 0.2
"""How often the gateway is asked, before and after EVA is ready."""


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """What is to be started, and where."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8000
    nats_url: str = ""
    """Empty: an embedded broker."""
    drain_s: float = DRAIN_S
    """How long turns may take to end when EVA is stopped."""
    workers: dict[str, int] = field(default_factory=lambda: {"stt": 1, "llm": 1, "tts": 1})
    environment: dict[str, str] = field(default_factory=dict)
    instead: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What runs a stage in place of its service: the words behind ``python -m``."""


class Stack:
    """A running EVA."""

    def __init__(
        self, url: str, supervisor: Supervisor, broker: BrokerKeeper | None, *, on_change: Callable[[], None]
    ) -> None:
        self.url = url
        self.health: Health | None = None
        self.first_turn_ms: float | None = None
        self.is_ready = asyncio.Event()
        """Set when a whole turn has been audible."""
        self._supervisor, self._broker = supervisor, broker
        self._on_change = on_change

    def processes(self) -> list[ProcessState]:
        """Returns what is known of each process, the broker's first."""
        services = [
            ProcessState(
                name=child.program.name,
                stage=child.program.stage,
                pid=child.pid,
                state=child.state,
                restarts=child.deaths.total,
                reason=child.reason,
            )
            for child in self._supervisor.children
        ]
        return [self._broker.state(), *services] if self._broker is not None else services

    async def watch(self) -> None:
        """Asks the gateway how EVA is, until cancelled."""
        async with Gateway(self.url) as gateway:
            while True:
                await self._look(gateway)
                self._on_change()
                await asyncio.sleep(LOOK_EVERY_S if self.is_ready.is_set() else LOOK_EARLY_S)

    async def _look(self, gateway: Gateway) -> None:
        try:
            self.health = await gateway.health()
        except (NotRunning, GatewayRefused):
            self.health = None
            return
        if not self.is_ready.is_set() and is_whole(self.health):
            self.first_turn_ms = self.health.turn.last_response_ms
            self.is_ready.set()

    def kill(self) -> None:
        """Ends all services at once."""
        self._supervisor.kill()


@contextlib.asynccontextmanager
async def running(options: StackOptions, *, on_change: Callable[[], None]) -> AsyncIterator[Stack]:
    """Starts EVA, and stops it behind the caller.

    Raises:
        CannotStart: the port, the data directory or the broker cannot be used.
    """
    port = free_port(options.host, options.port)
    url = url_of(options.host, port)
    environment = {
        **options.environment,
        "EVA_HOST": options.host,
        "EVA_PORT": str(port),
        "EVA_DATA_DIR": str(options.data_dir),
        "EVA_DRAIN_S": str(options.drain_s),
    }
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(held(options.data_dir, url))
        keeper = None
        if options.nats_url:
            await probe(options.nats_url)
            environment["EVA_NATS_URL"] = options.nats_url
        else:
            keeper = BrokerKeeper(Broker(options.data_dir), on_change=on_change)
            environment |= await keeper.start()
            stack.push_async_callback(keeper.stop)
        what = programs({"gateway": 1, **options.workers}, environment, options.instead)
        logs = options.data_dir / "logs"
        supervisor = Supervisor(what, logs, on_change=on_change, drain_s=options.drain_s)
        eva = Stack(url, supervisor, keeper, on_change=on_change)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervisor.run(), name="supervisor")
            watching = [tasks.create_task(eva.watch(), name="watch")]
            if keeper is not None:
                watching.append(tasks.create_task(keeper.run(), name="broker"))
            try:
                yield eva
            finally:
                await supervisor.stop()
                for task in watching:
                    task.cancel()
