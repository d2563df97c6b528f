import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from eva.process import Child, Program, last_words
from eva.supervisor import Supervisor, programs

ROOT = Path(__file__).resolve().parents[2]
OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"


def program(code: str, *, name: str = "one", stage: str = "tts") -> Program:
    return Program(name=name, stage=stage, argv=(sys.executable, "-c", code), environment=dict(os.environ))


async def until(changed: asyncio.Event, is_true: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not is_true():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), 0.05)
            changed.clear()


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def test_a_process_that_is_killed_is_started_again_and_says_how_it_ended(tmp_path: Path) -> None:
    changed = asyncio.Event()
    child = Child(program(OBEDIENT), tmp_path, on_change=changed.set)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(child.run())
        await until(changed, lambda: child.log.exists() and b"up" in child.log.read_bytes())
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(changed, lambda: child.state == "running" and child.pid not in {None, first})
        assert child.deaths.total == 1
        assert child.reason.startswith("killed by SIGKILL")
        child.stop()
        await asyncio.wait_for(running, 60)
    assert child.state == "stopped"
    assert child.pid is None


async def test_a_process_that_refuses_to_start_shows_its_last_error(tmp_path: Path) -> None:
    changed = asyncio.Event()
    said = "12:00:00.000 ERROR   worker.refused reason=piper: no voice"
    code = f"import sys; print({said!r}, file=sys.stderr); sys.exit(3)"
    child = Child(program(code), tmp_path, on_change=changed.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.run())
        await until(changed, lambda: child.state == "waiting")
        assert child.reason == "no engine can serve: piper: no voice"
        child.stop()


async def test_the_log_of_the_last_start_is_kept(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("before\n")
    changed = asyncio.Event()
    child = Child(program(OBEDIENT), tmp_path, on_change=changed.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.run())
        await until(changed, lambda: child.log.exists() and b"up" in child.log.read_bytes())
        child.stop()
    assert (tmp_path / "one.log.1").read_text() == "before\n"
    assert "before" not in child.log.read_text()


async def test_stopping_drains_the_gateway_before_the_workers_and_kills_who_is_late(tmp_path: Path) -> None:
    changed = asyncio.Event()
    order: list[str] = []
    what = [program(OBEDIENT, name="gateway", stage="gateway"), program(STUBBORN, name="tts")]

    def note() -> None:
        order.extend(
            child.program.name
            for child in supervisor.children
            if child.state == "stopped" and child.program.name not in order
        )
        changed.set()

    supervisor = Supervisor(what, tmp_path, on_change=note)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.run())
        await until(
            changed, lambda: all(c.log.exists() and b"up" in c.log.read_bytes() for c in supervisor.children)
        )
        began_s = time.monotonic()
        await supervisor.stop()
    assert time.monotonic() - began_s < 30  # not the minute that the stubborn one would take
    assert order == ["gateway", "tts"]


async def test_the_second_wish_kills_at_once(tmp_path: Path) -> None:
    changed = asyncio.Event()
    supervisor = Supervisor([program(STUBBORN)], tmp_path, on_change=changed.set)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(supervisor.run())
        await until(
            changed,
            lambda: supervisor.children[0].log.exists() and b"up" in supervisor.children[0].log.read_bytes(),
        )
        supervisor.kill()
        await asyncio.wait_for(running, 30)


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can promise it")
def test_no_process_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, os, sys
from pathlib import Path
argv = (sys.executable, "-c", {STUBBORN!r})
from eva.process import Program
from eva.supervisor import Supervisor
stubborn = Program(name="one", stage="tts", argv=argv, environment=dict(os.environ))
tell = lambda: print(supervisor.children[0].pid, flush=True)
supervisor = Supervisor([stubborn], Path({str(tmp_path)!r}), on_change=tell)
asyncio.run(supervisor.run())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        parent.wait()
        deadline_s = time.monotonic() + 30
        while is_alive(pid) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        assert not is_alive(pid)


def test_several_processes_of_a_service_are_numbered() -> None:
    what = programs({"gateway": 1, "stt": 0, "tts": 2}, {"EVA_PORT": "1"})
    assert [one.name for one in what] == ["gateway", "tts-1", "tts-2"]
    assert what[1].argv == (sys.executable, "-P", "-m", "services.tts")
    assert what[1].environment["EVA_PORT"] == "1"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("one\n\ntwo\n", "two"),
        ("12:00:00.000 ERROR   a reason=x: y hint=z\n12:00:00.001 INFO    b\n", "x: y → z"),
        ("12:00:00.000 ERROR   a reason=x: y hint=\n", "x: y"),
        ("12:00:00.000 ERROR   worker.lost\n", "worker.lost"),
        ('{"level": "ERROR", "event": "a", "reason": "why"}\n', "why"),
        ('{"level": "ERROR", "event": "a", "reason": "why", "hint": "do"}\n', "why → do"),
        ('{"level": "ERROR", "event": "a"}\n', "a"),
        ('{"level": "ERROR", broken\n', '{"level": "ERROR", broken'),
    ],
)
def test_the_last_words_of_a_log_are_its_last_error_or_its_last_line(log: str, said: str) -> None:
    assert last_words(log) == said
