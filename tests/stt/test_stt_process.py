from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.stt.whisper import cuda_devices
from shared import subjects
from shared.bus import Bus
from shared.errors import NoResponders
from shared.messages import AnyMessage, EarsAlive, EarsFailed, Facts, Final, SpeechStarted
from tests.fakes.speech import silence, speech
from tests.models.tiny_whisper import PHRASES, install
from tests.stt.rig import Person, until

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
SAID = "my name is john and i live in london"
HEARD = np.concatenate([silence(0.4), speech(SAID), silence(0.8)])


def environment(data_dir: Path, server: Any = None, **variables: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("EVA_")}
    broker = server.environment if server is not None else {}
    return clean | broker | {"EVA_DATA_DIR": str(data_dir), "EVA_STT_DEVICE": "cpu"} | variables


@contextlib.asynccontextmanager
async def stt_process(variables: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.stt", cwd=ROOT, env=variables, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(variables: dict[str, str]) -> tuple[int | None, str]:
    """Returns exit code and log of a process that gives up by itself."""
    async with stt_process(variables) as process, asyncio.timeout(60):
        _, log = await process.communicate()
    return process.returncode, log.decode()


async def facts_of(bus: Bus) -> list[Facts]:
    """Collects the facts that are published from now on."""
    seen: list[Facts] = []

    def take(_: str, message: AnyMessage) -> None:
        if isinstance(message, Facts):
            seen.append(message)

    await bus.subscribe(subjects.FACTS_ALL, take)
    return seen


def children_of(pid: int) -> list[int]:
    raw = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    found = [int(child) for child in raw.split()]
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return sorted(set(found))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_the_service_runs_from_its_variables_alone_and_ends_cleanly(
    nats_server: Any, tmp_path: Path
) -> None:
    install(tmp_path / "models")
    bus = await nats_server.connect("gateway")
    facts = await facts_of(bus)
    async with stt_process(environment(tmp_path, nats_server)) as process:
        await until(lambda: any(fact.state == "ready" for fact in facts))
        serving = facts[-1].engines[0]
        assert (serving.name, serving.model, serving.device) == ("whisper", "tiny-whisper", "cpu")
        assert facts[-1].pid == process.pid
        ann = Person(bus, "ann")
        await ann.claim(rate_hz=16000)
        await ann.say(HEARD)
        final = await ann.hears(Final)
        assert (final.text, final.engine) == (PHRASES[0], "whisper")
        process.send_signal(signal.SIGTERM)
        failed = await ann.hears(EarsFailed)
        assert (failed.code, failed.utterance) == ("draining", 0)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        with pytest.raises(NoResponders):
            await Person(bus, "bob").ask()
    await bus.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_another_worker_hears_the_whole_of_what_a_killed_one_had_begun_to_hear(
    nats_server: Any, tmp_path: Path
) -> None:
    bus = await nats_server.connect("gateway")
    facts = await facts_of(bus)
    ann = Person(bus, "ann")
    async with stt_process(environment(tmp_path, nats_server, EVA_WORKER_ID="first")) as first:
        await until(lambda: any(fact.state == "degraded" for fact in facts))
        recognisers = children_of(first.pid)
        assert recognisers
        await ann.claim()
        middle = len(HEARD) // 640 * 320
        await ann.say(HEARD[:middle])
        await ann.hears(SpeechStarted)
        await ann.hears(EarsAlive, count=len(ann.of(EarsAlive)) + 1)
        first.kill()
        await first.wait()
        await until(lambda: not any(is_alive(child) for child in recognisers))  # no orphan
    needed_seq = ann.of(EarsAlive)[-1].needed_seq
    facts.clear()
    async with stt_process(environment(tmp_path, nats_server, EVA_WORKER_ID="second")):
        # What the first one had told before its end may still be on its way.
        await until(lambda: any(fact.state == "degraded" and fact.worker == "second" for fact in facts))
        claimed = await ann.claim()
        assert claimed.worker == "second"
        for seq in range(needed_seq, ann.seq):
            await ann.send(seq)
        await ann.say(HEARD[middle:])
        final = await ann.hears(Final)
        assert (final.lease, final.engine) == (2, "sphinx")
        assert len(set(SAID.split()) & set(final.text.split())) > 5, final.text
    await bus.close()


async def test_a_model_that_was_asked_for_and_is_broken_is_refused_by_its_file(
    nats_server: Any, tmp_path: Path
) -> None:
    folder = install(tmp_path / "models", "mine")
    (folder / "model.bin").write_bytes(b"")
    code, log = await ended(environment(tmp_path, nats_server, EVA_STT_MODEL="mine"))
    assert code == 3
    assert "model.bin: is empty" in log


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has CUDA")
async def test_cuda_that_is_not_there_is_refused_at_start(nats_server: Any, tmp_path: Path) -> None:
    install(tmp_path / "models")
    code, log = await ended(environment(tmp_path, nats_server, EVA_STT_DEVICE="cuda"))
    assert code == 3
    assert "EVA_STT_DEVICE=cuda" in log
    assert "eva doctor" in log


async def test_a_setting_that_cannot_work_is_one_line_and_exit_2(tmp_path: Path) -> None:
    code, log = await ended(environment(tmp_path, EVA_STT_DEVICE="tpu"))
    assert code == 2
    assert log.startswith("EVA_STT_DEVICE")
    assert log.count("\n") == 1
