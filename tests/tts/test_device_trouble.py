from __future__ import annotations

import time

import pytest

from services.tts.chain import Chain
from services.tts.device import Device
from services.tts.device_health import Machine
from services.tts.device_watch import Reading
from services.tts.nvml import Watch
from services.tts.worker import TtsWorker, WorkerOptions
from tests.fakes.voices import engine


@pytest.fixture
def machine() -> Machine:
    return Machine([Device.of("cuda:0")])


async def ready(machine: Machine) -> TtsWorker:
    options = WorkerOptions(name="w", slots=1)
    worker = TtsWorker(options, lambda: Chain([engine("piper")], time.monotonic), machine)
    assert worker.facts().state == "starting"
    await worker.warm_up()
    assert (worker.facts().state, worker.facts().detail) == ("ready", "")
    return worker


async def test_a_worker_whose_gpu_is_lost_is_unready_and_says_why(machine: Machine) -> None:
    worker = await ready(machine)
    (device,) = machine.devices
    assert isinstance(device, Device)
    device.health.failed("CUDA failure 700: an illegal memory access was encountered")
    facts = worker.facts()
    assert facts.state == "failed"
    assert facts.detail.startswith("cuda:0 is lost: CUDA failure 700")


async def test_a_worker_without_memory_for_smaller_pieces_is_unready_until_a_run_succeeds(
    machine: Machine,
) -> None:
    worker = await ready(machine)
    (device,) = machine.devices
    assert isinstance(device, Device)
    device.health.failed("CUDA failure 2: out of memory")
    assert worker.facts().state == "ready"
    device.health.failed("CUDA failure 2: out of memory", is_retry=True)
    assert (worker.facts().state, "smaller" in worker.facts().detail) == ("failed", True)
    device.health.succeeded()
    assert worker.facts().state == "ready"


async def test_the_figures_of_the_card_are_among_the_worker_s_facts() -> None:
    seen: list[None] = []

    def look() -> Reading:
        seen.append(None)
        return Reading(utilisation=0.4, memory_bytes=5, process_bytes=3, celsius=50.0)

    now = [0.0]
    watch = Watch(look, clock=lambda: now[0])
    watch.look_once()
    assert seen
    worker = await ready(Machine([Device("cuda:0", card=watch)]))
    told = worker.facts().numbers
    assert {name: told[name] for name in told if name.startswith("gpu_")} == {
        "gpu_utilisation": 0.4,
        "gpu_memory_bytes": 5.0,
        "gpu_process_memory_bytes": 3.0,
        "gpu_temperature": 50.0,
    }
