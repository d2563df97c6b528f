"""`eva up` with everything real: broker, four services, the offline engines."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.eva_process import ROOT, EvaProcess, children_of, is_alive
from tests.fakes.speech import RATE_HZ, speech

pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvaProcess]:
    eva = EvaProcess(tmp_path_factory.mktemp("eva") / "data")
    try:
        eva.wait_ready()
        yield eva
    finally:
        eva.close()


def command(eva: EvaProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "EVA_DATA_DIR": str(eva.data_dir),
        "EVA_URL": eva.url,
    }
    return subprocess.run(
        [sys.executable, "-m", "eva", *arguments],
        env=environment, cwd=eva.data_dir.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def is_whole(eva: EvaProcess) -> bool:
    """Whether all stages are ready and turns are audible; refused or 503 while they are not."""
    try:
        with urllib.request.urlopen(f"{eva.url}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def until(is_true: Callable[[], bool], within_s: float) -> float:
    began_s = time.monotonic()
    while not is_true():
        assert time.monotonic() - began_s < within_s, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - began_s


def write_speech(path: Path, text: str) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        wav.writeframes(speech(text).tobytes())
    return path


def test_ready_means_that_a_turn_was_audible_and_says_what_serves(running: EvaProcess) -> None:
    assert running.ready["first_turn_ms"] > 0
    assert {stage: of["engine"] for stage, of in running.ready["stages"].items()} == {
        "stt": "sphinx", "llm": "companion", "tts": "espeak-ng",
    }  # fmt: skip
    assert all(of["is_degraded"] and of["hint"] for of in running.ready["stages"].values())
    assert set(running.pids()) == {"broker", "gateway", "stt", "llm", "tts"}


def test_say_is_answered_with_audible_sound(running: EvaProcess, tmp_path: Path) -> None:
    done = command(running, "say", "Hello EVA!", "--out", str(tmp_path / "reply.wav"))
    assert done.returncode == 0, done.stderr
    assert "EVA" in done.stdout
    assert " ms" in done.stderr
    assert "voice espeak-ng" in done.stderr
    with wave.open(str(tmp_path / "reply.wav")) as wav:
        assert wav.getnframes() > wav.getframerate()


def test_a_session_goes_on_where_it_was(running: EvaProcess) -> None:
    first = json.loads(command(running, "say", "My name is Victoria.", "--json").stdout)
    second = json.loads(
        command(running, "say", "What is my name?", "--json", "--session", first["session_id"]).stdout
    )
    assert "Victoria" in second["text"]


def test_speech_from_a_file_is_understood_and_answered_aloud(running: EvaProcess, tmp_path: Path) -> None:
    spoken = write_speech(tmp_path / "in.wav", "what is my name")
    done = command(running, "talk", "--wav", str(spoken), "--out", str(tmp_path / "out.wav"), "--json")
    assert done.returncode == 0, done.stderr
    (turn,) = json.loads(done.stdout)["turns"]
    assert turn["heard"] == "what is my name"
    assert turn["has_audio"]
    assert turn["timeline"]["endpoint_ms"] > 0


def test_the_doctor_sees_the_running_eva(running: EvaProcess) -> None:
    done = command(running, "doctor", "--json")
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert found["eva"]["detail"].startswith(f"degraded at {running.url}")


def test_the_broker_cannot_be_joined_without_its_password(running: EvaProcess) -> None:
    conf = running.data_dir / "broker" / "nats.conf"
    assert conf.stat().st_mode & 0o777 == 0o600


def test_a_second_eva_on_the_same_data_directory_is_refused(running: EvaProcess) -> None:
    done = command(running, "up", "--port", "0")
    assert done.returncode == 1
    assert f"EVA already runs on the data directory {running.data_dir}" in done.stderr
    assert running.url in done.stderr


@pytest.mark.parametrize("name", ["stt", "llm", "tts", "gateway", "broker"])
def test_a_process_that_is_killed_is_replaced_and_the_next_turn_is_audible(
    running: EvaProcess, tmp_path: Path, name: str
) -> None:
    victim = int(running.pids()[name])
    os.kill(victim, signal.SIGKILL)
    until(lambda: any(line.startswith(name) and "restarts 1" in line for line in running.progress), 10)
    spoken = write_speech(tmp_path / "in.wav", "what is my name")

    def answers() -> bool:
        done = command(running, "talk", "--wav", str(spoken), "--json")
        return done.returncode == 0 and json.loads(done.stdout)["turns"][0]["has_audio"]

    until(answers, 30)
    until(lambda: is_whole(running), 15)


def test_ctrl_c_drains_within_5_seconds_and_leaves_nobody(tmp_path: Path) -> None:
    eva = EvaProcess(tmp_path / "data")
    try:
        eva.wait_ready()
        family = children_of(eva.process.pid)
        assert len(family) >= 5
        code, took_s = eva.stop()
        assert code == 0, "\n".join(eva.progress)
        assert took_s < 5
        assert [pid for pid in family if is_alive(pid)] == []
    finally:
        eva.close()


def test_nobody_outlives_an_eva_that_was_killed_and_the_next_one_starts(tmp_path: Path) -> None:
    eva = EvaProcess(tmp_path / "data")
    try:
        eva.wait_ready()
        family = children_of(eva.process.pid)
        assert len(family) >= 5
        eva.process.kill()
        eva.process.wait()
        until(lambda: not any(map(is_alive, family)), 3)
    finally:
        eva.close()
    again = EvaProcess(tmp_path / "data")
    try:
        again.wait_ready()
    finally:
        again.close()


def test_a_port_that_was_given_is_used(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    eva = EvaProcess(
        tmp_path / "data",
        [sys.executable, "-m", "eva", "up", "--port", str(port), "--tts", "2", "--json", "--verbose"],
    )
    try:
        assert eva.wait_ready()["url"] == f"http://127.0.0.1:{port}"
        assert {"tts-1", "tts-2"} <= set(eva.pids())
        assert any("worker.ready" in line for line in eva.progress)
    finally:
        eva.close()


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="this machine has an NVIDIA driver")
def test_an_eva_that_cannot_get_ready_says_which_part_and_why_and_goes_on(tmp_path: Path) -> None:
    script = f"""
import asyncio
from pathlib import Path
from eva.stack import StackOptions
from eva.up import UpOptions, up
stack = StackOptions(data_dir=Path({str(tmp_path / "data")!r}), port=0)
raise SystemExit(asyncio.run(up(UpOptions(stack=stack, ready_within_s=4))))
"""
    eva = EvaProcess(tmp_path / "data", [sys.executable, "-c", script], EVA_TTS_DEVICE="cuda")
    try:
        until(lambda: "  No turn has been audible yet." in eva.progress, 20)
        (said,) = [line for line in eva.progress if line.startswith("  tts does not stay up")]
        assert "no engine can serve: piper: cuda was asked for" in said
        code, took_s = eva.stop()
        assert (code, took_s < 5) == (0, True)
    finally:
        eva.close()
