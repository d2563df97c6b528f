"""`make run` itself: started, used, stopped, as somebody does who has just cloned the repository."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.house import PATIENT, POLL_S
from tests.fakes.eva_process import READY_WITHIN_S, ROOT, EvaProcess, children_of, is_alive

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        shutil.which("make") is None or sys.platform != "linux", reason="needs make and /proc"
    ),
]


def installed(folder: Path) -> Path:
    """Returns what `make setup` leaves behind, made of the environment that runs the tests."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    command = folder / "bin" / "eva"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m eva "$@"\n')
    command.chmod(0o755)
    (folder / ".eva-cpu").touch()
    return folder


def test_make_run_is_started_used_and_stopped(tmp_path: Path) -> None:
    venv = installed(tmp_path / "venv")
    eva = EvaProcess(
        tmp_path / "data",
        ["make", "--no-print-directory", "run", f"VENV={venv}", "ARGS=--port 0 --json"],
        EVA_HUB_URL="http://127.0.0.1:1",
        MAKEFLAGS="",
        **PATIENT,
    )
    try:
        eva.wait_ready()
        ends_s = time.monotonic() + READY_WITHIN_S
        while not any("hub cannot be reached" in line for line in eva.progress):  # a thread reads them
            assert time.monotonic() < ends_s, eva.progress
            time.sleep(POLL_S)
        done = subprocess.run(
            [venv / "bin" / "eva", "say", "What can you do?", "--out", tmp_path / "reply.wav", "--json"],
            env={**os.environ, "EVA_URL": eva.url}, cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["has_audio"]
        family = children_of(eva.process.pid)
        os.killpg(eva.process.pid, signal.SIGINT)  # what Ctrl-C in a terminal does
        eva.process.wait(READY_WITHIN_S)
        ends_s = time.monotonic() + READY_WITHIN_S
        while alive := [pid for pid in family if is_alive(pid)]:
            assert time.monotonic() < ends_s, alive
            time.sleep(POLL_S)
    finally:
        eva.close()
    assert (venv / ".eva-models").exists()


def test_make_says_what_can_be_done() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"setup", "run", "demo", "test"} <= {line.split()[1] for line in shown.splitlines()}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('[ "$1" = --version ] && { echo Python 3.9.1; exit 0; }\nexit 1', "Python 3.9.1 is too old"),
        ('[ "$2" = "import ensurepip, venv" ] && exit 1\nexit 0', "cannot make virtual environments"),
    ],
)
def test_a_python_that_is_of_no_use_is_said_in_one_line(tmp_path: Path, script: str, said: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert said in done.stderr.splitlines()[0]
    assert not (tmp_path / "venv").exists()
