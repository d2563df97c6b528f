"""The life of a worker process: settings, bus, warm-up, facts each second, drain, exit code.

Exit codes: 0 drained after SIGTERM or SIGINT; 1 failed while running (the supervisor starts it anew);
2 the settings cannot work; 3 no engine of the chain is usable here, which is said by name.

A worker publishes facts from its first moment (``starting``), takes work only once it is warm, and
freezes the garbage collector's oldest generation then: one full collection on a heap of 110 MB was
measured to stall the loop for 60 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown, ConfigError, EngineRefused, EvaError
from shared.garbage import collect, seldom
from shared.instruments import Instruments
from shared.messages import Facts, Stage
from shared.observe import Log, configure_logging
from shared.probe import probed
from shared.settings import CommonSettings

log = Log("eva.service")

EXIT_OK, EXIT_FAILED, EXIT_CONFIG, EXIT_REFUSED = 0, 1, 2, 3
FACTS_EVERY_S = 1.0


class Worker(Protocol):
    """What a service brings; ``run`` does the rest."""

    stage: Stage
    instruments: Instruments

    async def warm_up(self) -> None:
        """Loads and proves the engines, off the event loop. Raises ``EngineRefused`` if none can serve."""

    async def serve(self, bus: Bus) -> None:
        """Takes work until drained."""

    def drain(self) -> None:
        """Takes no new work; ``serve`` returns when what is in hand is done."""

    def facts(self) -> Facts:
        """Returns what is true now; must not block."""


async def publish_facts(bus: Bus, worker: Worker, *, every_s: float = FACTS_EVERY_S) -> NoReturn:
    """Publishes the worker's facts each second, with how late the loop was in doing so."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        worker.instruments.meter.lag_s = lag_s = max(0.0, loop.time() - due)
        await tell_facts(bus, worker, lag_s=lag_s)
        due = loop.time() + every_s
        await asyncio.sleep(every_s)


async def tell_facts(bus: Bus, worker: Worker, *, lag_s: float = 0.0) -> None:
    """Publishes the worker's facts now."""
    facts = worker.facts()
    facts.numbers["loop_lag_s"] = lag_s
    with contextlib.suppress(BusDown):  # the gateway sees the silence; it is the truth
        await bus.publish(subjects.fact(facts.stage, facts.worker), facts)


async def live(worker: Worker, bus: Bus, *, stop: asyncio.Event, drain_s: float) -> None:
    """Runs a worker on a connected bus until ``stop`` is set and its work in hand is done."""
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        facts = tasks.create_task(publish_facts(bus, worker), name="facts")
        warm = tasks.create_task(worker.warm_up(), name="warm-up")
        stopped = tasks.create_task(stop.wait(), name="stop")
        await asyncio.wait({warm, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            warm.cancel()
        else:
            await warm
            stack.enter_context(seldom())
            garbage = tasks.create_task(collect(), name="garbage")
            log.info("worker.ready", stage=worker.stage, worker=worker.facts().worker)
            serving = tasks.create_task(worker.serve(bus), name="serve")
            await tell_facts(bus, worker)
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            worker.drain()
            log.info("worker.draining", stage=worker.stage)
            await tell_facts(bus, worker)  # a farewell: who goes in order is not taken for lost
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(serving, drain_s)
            garbage.cancel()
        stopped.cancel()
        facts.cancel()


def die_with_parent() -> None:
    """Asks the kernel (Linux) to end this process when the one that started it dies, however it dies.

    Only where ``EVA_SUPERVISED`` is set: who starts a service from a shell may want to leave.
    """
    if not os.environ.get("EVA_SUPERVISED") or sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - only where it is needed

    parent = os.getppid()
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the request
        sys.exit(EXIT_OK)


async def main(
    make: Callable[[], Worker],
    connect: Callable[[], Awaitable[Bus]],
    drain_s: float,
    *,
    probe_port: int = 0,
) -> int:
    """Connects, lives and disconnects; returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    worker = make()
    instruments = worker.instruments
    instruments.meter.watch(worker.facts)
    try:
        bus = await connect()
    except EvaError as error:
        log.error("worker.no_broker", reason=str(error))
        return EXIT_FAILED
    code = EXIT_OK
    try:
        async with probed(probe_port, worker.facts, bus, instruments.meter.page):
            await live(worker, bus, stop=stop, drain_s=drain_s)
    except* EngineRefused as refusals:
        for refused in _leaves(refusals):
            log.error("worker.refused", reason=str(refused), hint=getattr(refused, "hint", ""))
        code = EXIT_REFUSED
    except* EvaError as failures:
        for failure in _leaves(failures):
            log.error("worker.failed", reason=str(failure))
        code = EXIT_FAILED
    finally:
        await bus.close()
        instruments.tracer.close()
    return code


def _leaves(group: BaseExceptionGroup[Exception]) -> list[BaseException]:
    """Returns the errors of a group and of the groups in it."""
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Returns uvloop's loop where it exists (it saves 10-40 % on the bus), else asyncio's."""
    try:
        import uvloop  # noqa: PLC0415 - absent on Windows
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(
    read_settings: Callable[[], CommonSettings],
    make: Callable[[CommonSettings], Worker],
    connect: Callable[[CommonSettings], Awaitable[Bus]],
) -> NoReturn:
    """The whole of a service's ``__main__``."""
    die_with_parent()
    try:
        settings = read_settings()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_CONFIG)
    configure_logging(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        life = main(
            lambda: make(settings),
            lambda: connect(settings),
            settings.drain_s,
            probe_port=settings.metrics_port,
        )
        sys.exit(runner.run(life))
