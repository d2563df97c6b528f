"""The life of a worker: warm-up, facts, drain, exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared import subjects
from shared.bus.memory import MemoryBroker
from shared.errors import EngineRefused
from shared.messages import AnyMessage, Facts
from shared.service import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, live
from tests.conftest import NatsServer
from tests.fakes.lives import IdleWorker
from tests.fakes.virtual_time import virtual_time


@virtual_time
async def test_facts_come_each_second_and_whenever_the_state_changes() -> None:
    broker = MemoryBroker()
    said: list[tuple[float, str]] = []
    loop = asyncio.get_running_loop()

    def hear(_subject: str, message: AnyMessage) -> None:
        assert isinstance(message, Facts)
        assert message.numbers["loop_lag_s"] == 0.0
        said.append((loop.time(), message.state))

    await broker.connect("gw").subscribe(subjects.FACTS_ALL, hear)
    worker, stop = IdleWorker("slow"), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(live(worker, broker.connect("w"), stop=stop, drain_s=5))
        await asyncio.sleep(2.5)
        worker.may_warm_up.set()
        await asyncio.sleep(2)
        stop.set()
    assert said == [
        (0, "starting"), (1, "starting"), (2, "starting"), (2.5, "ready"), (3, "ready"), (4, "ready"),
        (4.5, "draining"),
    ]  # fmt: skip
    assert worker.did == ["warm-up", "serve", "drain", "served"]


@virtual_time
async def test_facts_go_on_after_an_outage_of_the_broker() -> None:
    broker = MemoryBroker()
    said: list[float] = []
    loop = asyncio.get_running_loop()
    await broker.connect("gw").subscribe(subjects.FACTS_ALL, lambda _s, _m: said.append(loop.time()))
    worker, stop = IdleWorker(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(live(worker, broker.connect("w"), stop=stop, drain_s=5))
        await asyncio.sleep(0.5)
        broker.go_down()
        await asyncio.sleep(2)
        broker.come_up()
        await asyncio.sleep(1)
        stop.set()
    assert said == [0, 0, 3, 3.5]


@virtual_time
async def test_a_worker_takes_no_work_before_it_is_warm_and_can_be_stopped_while_it_warms() -> None:
    worker, stop = IdleWorker("slow"), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(live(worker, MemoryBroker().connect("w"), stop=stop, drain_s=5))
        await asyncio.sleep(10)
        assert worker.did == ["warm-up"]
        stop.set()
    assert "serve" not in worker.did


@virtual_time
async def test_work_in_hand_is_cancelled_when_the_time_to_drain_is_over() -> None:
    worker, stop = IdleWorker("holds"), asyncio.Event()
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(live(worker, MemoryBroker().connect("w"), stop=stop, drain_s=5))
        await asyncio.sleep(1)
        stop.set()
    assert worker.did == ["warm-up", "serve", "drain", "gave back"]
    assert loop.time() == pytest.approx(6)


@virtual_time
async def test_a_worker_without_a_usable_engine_ends() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await live(IdleWorker("refuses"), MemoryBroker().connect("w"), stop=asyncio.Event(), drain_s=5)
    assert caught.group_contains(EngineRefused)


# ---------------------------------------------------------------- real processes

ROOT = Path(__file__).parents[2]


class Started:
    """A service's process and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def until(self, word: str) -> None:
        """Reads its log until a line holds ``word``."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while word not in self.said:
                line = await self.process.stderr.readline()
                assert line, f"it ended without saying {word}: {self.said}"
                self.said += line.decode()

    async def code(self) -> int:
        """Waits for its end."""
        async with asyncio.timeout(60):
            _, rest = await self.process.communicate()
        self.said += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode


@pytest_asyncio.fixture
async def started() -> AsyncIterator[list[Started]]:
    """Processes that a test adds here do not outlive it."""
    all_started: list[Started] = []
    yield all_started
    for one in all_started:
        if one.process.returncode is None:
            one.process.kill()
            await one.process.communicate()


async def start(started: list[Started], server: NatsServer, **environment: str) -> Started:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.fakes.lives",
        cwd=ROOT,
        env={**os.environ, **server.environment, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    started.append(Started(process))
    return started[-1]


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_a_worker_and_it_ends_with_0(
    nats_server: NatsServer, started: list[Started], number: signal.Signals
) -> None:
    worker = await start(started, nats_server)
    await worker.until("worker.ready")
    worker.process.send_signal(number)
    assert await worker.code() == EXIT_OK
    assert "worker.draining" in worker.said


@pytest.mark.process
async def test_a_worker_that_is_refused_its_engine_ends_with_3_and_says_which(
    nats_server: NatsServer, started: list[Started]
) -> None:
    worker = await start(started, nats_server, EVA_TEST_MODE="refuses")
    assert await worker.code() == EXIT_REFUSED
    assert "voice.onnx is broken" in worker.said
    assert "eva models pull" in worker.said
    assert "Traceback" not in worker.said


@pytest.mark.process
async def test_a_worker_whose_settings_cannot_work_ends_with_2(
    nats_server: NatsServer, started: list[Started]
) -> None:
    worker = await start(started, nats_server, EVA_DRAIN_S="never")
    assert await worker.code() == EXIT_CONFIG
    assert worker.said.startswith("EVA_DRAIN_S: ")
    assert worker.said.count("\n") == 1


@pytest.mark.process
async def test_a_worker_that_the_broker_refuses_ends_with_1_in_one_line(
    nats_server: NatsServer, started: list[Started]
) -> None:
    worker = await start(started, nats_server, EVA_NATS_PASSWORD="geheim")
    assert await worker.code() == EXIT_FAILED
    assert "refuses these credentials" in worker.said
    assert "geheim" not in worker.said
    assert "Traceback" not in worker.said


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
async def test_a_supervised_worker_dies_with_its_parent(
    nats_server: NatsServer, started: list[Started]
) -> None:
    parent = await start(started, nats_server, EVA_TEST_MODE="parent", EVA_SUPERVISED="1")
    await parent.until("worker.ready")
    assert parent.process.stdout is not None
    child = int(await parent.process.stdout.readline())
    os.kill(child, 0)
    parent.process.kill()
    try:
        await parent.code()  # the child holds the same stderr: the end of it is the end of both
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    assert "worker.draining" in parent.said
