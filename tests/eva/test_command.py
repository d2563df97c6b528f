"""The command as an operator meets it: a process, its two outputs and its exit code."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eva.__main__ import first_error
from shared.errors import BadInput, BusDown

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def eva(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EVA_")}
        environment = {**kept, "PYTHONPATH": str(ROOT), "EVA_DATA_DIR": str(tmp_path / "data"), **variables}
        return subprocess.run(
            [sys.executable, "-m", "eva", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip

    return run


def test_help_loads_nothing_that_takes_long(eva: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = eva("--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "doctor" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"numpy", "nats", "httpx", "websockets", "fastapi", "openai", "groq", "pydantic"}


def test_a_command_that_does_not_exist_is_a_mistake_of_usage(
    eva: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert eva("dance").returncode == 2


def test_no_eva_is_one_line_and_exit_1(eva: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = eva("say", "hello", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "eva: EVA is not running at http://127.0.0.1:1: start it with `make run` or `eva up`\n"
    )


def test_a_file_that_is_not_there_is_one_line_and_exit_2(
    eva: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = eva("talk", "--wav", "nowhere.wav")
    assert done.returncode == 2
    assert done.stderr == "eva: nowhere.wav cannot be read: No such file or directory\n"


def test_a_setting_that_cannot_work_is_one_line_and_exit_2(
    eva: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = eva("up", EVA_TTS_DEVICE="banana")
    assert done.returncode == 2
    assert done.stderr.startswith("eva: EVA_TTS_DEVICE: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_port_in_use_is_said_and_nothing_is_started(
    eva: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = eva("up", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"eva: port {port} of 127.0.0.1 is in use"
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_written_is_said(
    eva: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = eva("up", "--port", "0", "--data-dir", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr.splitlines()[0]


def test_a_broker_that_is_not_there_is_said(eva: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = eva("up", "--port", "0", "--nats-url", "nats://u:secret@127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == "eva: no broker answers at nats://127.0.0.1:1\n"


def test_a_nats_server_that_is_too_old_is_said(
    eva: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho nats-server: v2.9.10\n")
    old.chmod(0o755)
    shadow = tmp_path / "sitecustomize.py"
    shadow.write_text(f"import sysconfig\nsysconfig.get_path = lambda name, *a, **k: {str(tmp_path)!r}\n")
    done = eva("up", "--port", "0", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert done.returncode == 1
    assert "is too old: 2.9.10" in done.stderr.splitlines()[0]


def test_settings_are_shown_redacted_as_json(eva: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = eva("config", "show", "--json", GROQ_API_KEY="gsk_open", EVA_TYPO="x")
    shown = json.loads(done.stdout)
    assert shown["GROQ_API_KEY"] == {"value": "********", "source": "environment"}
    assert done.stderr == "EVA_TYPO is no setting of EVA.\n"


def test_the_example_is_printed(eva: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert eva("config", "env-example").stdout == (ROOT / ".env.example").read_text()


def test_our_error_is_found_in_a_group_of_errors() -> None:
    ours = BusDown("gone")
    assert first_error(ExceptionGroup("", [ValueError(), ExceptionGroup("", [ours])])) is ours
    assert first_error(ExceptionGroup("", [ValueError()])) is None
    assert first_error(BadInput("x")) is not None
