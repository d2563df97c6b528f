"""What deploy/verify decides without an engine, and the health check that images carry."""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.verification.engine import EngineFailed, read
from deploy.verification.gpu_images import builds, told
from deploy.verification.main import Verification, shown
from deploy.verification.report import MARK, Report, Step, placed
from deploy.verification.turns import AUDIBLE_RMS, Answer, loudness, words_of

ROOT = Path(__file__).resolve().parents[2]


class NoStack:
    """An engine on which nothing is started."""

    how = "nothing"

    def build(self) -> None:
        raise AssertionError

    def up(self, scale: dict[str, int]) -> None:
        raise EngineFailed(f"nothing starts {scale}")

    def containers(self, service: str) -> list[str]:
        raise AssertionError(service)

    def down(self) -> None:
        raise AssertionError


def report() -> Report:
    return Report(date="2026-01-01", engine="Docker 1", how="hands", base=("base", 100.0))


def test_a_stack_that_does_not_come_up_fails_the_verification_and_nothing_further_is_tried() -> None:
    told = report()
    Verification(NoStack(), told, "http://127.0.0.1:1").run()
    assert [(step.name, step.ok) for step in told.steps] == [("bring it up, all healthy", False)]
    assert "FAILED" in told.markdown()
    assert not told.ok


def test_nothing_seen_is_no_success() -> None:
    assert not report().ok


def test_the_report_replaces_the_last_one_and_leaves_what_stands_before_it() -> None:
    told = report()
    told.sizes_mb = {"eva-tts:1": 150.0}
    told.steps = [Step(name="a turn", ok=True, took_s=1.25, detail="said | heard\nagain")]
    once = placed("# Head\n\ntext\n", told)
    assert once.startswith("# Head\n\ntext\n" + MARK)
    assert "| eva-tts:1 | 150 | 50 |" in once
    assert "| a turn | ok | 1.2 | said / heard again |" in once
    assert "passed" in once
    assert placed(once, told) == once


def test_the_images_for_a_gpu_are_built_as_the_override_says() -> None:
    made = dict(builds(ROOT, read(ROOT, {}), {"EVA_TAG": "7"}))
    assert list(made) == ["eva-stt:7-gpu", "eva-tts:7-gpu"]
    for image, words in made.items():
        flags = dict(pairwise(words))
        service = image[4:7]
        assert (flags["--tag"], flags["--target"]) == (image, "gpu")
        assert flags["--build-arg"] == f"SERVICE={service}"
        assert Path(flags["--file"]).is_file()
        assert "onnxruntime-gpu==" in (ROOT / "requirements" / f"{service}-gpu.txt").read_text()
        assert words[-1] == str(ROOT)


def test_an_image_for_a_gpu_that_has_no_cuda_in_it_is_refused() -> None:
    good = {"onnxruntime": "1.9", "providers": ["CUDAExecutionProvider", "CPUExecutionProvider"]}
    line = json.dumps(good | {"ctranslate2": "4.2"})
    assert (
        told("i", f"some warning\n{line}")
        == "i: ONNX Runtime 1.9 with CUDAExecutionProvider, CTranslate2 4.2"
    )
    with pytest.raises(EngineFailed, match="without CUDA"):
        told("i", json.dumps(good | {"providers": ["CPUExecutionProvider"]}))


def test_the_committed_report_is_of_a_run_that_passed() -> None:
    committed = (ROOT / "docs" / "verify.md").read_text()
    last = committed.partition(MARK)[2]
    assert "passed." in last
    assert "FAILED" not in last
    for step in (
        "build all images",
        "a typed turn",
        "a spoken turn",
        "kill nats",
        "two voices",
        "take it down",
    ):
        assert f"| {step} | ok |" in last


def test_silence_is_not_audible_and_speech_is() -> None:
    assert loudness(b"") == 0
    assert loudness(bytes(2000)) < AUDIBLE_RMS
    assert loudness(array.array("h", [2000, -2000] * 100).tobytes()) == 2000


def test_words_are_compared_without_case_and_marks() -> None:
    assert words_of("I'm well, WELL!") == {"i'm", "well"}


def test_a_mute_turn_is_a_failure_that_says_why() -> None:
    with pytest.raises(EngineFailed, match="RMS 0"):
        shown(Answer(problem="outcome done, 10 characters, RMS 0"))
    assert "“hello” answered by “hi”" in shown(Answer(problem="", text="hi", heard="hello"))


def answer_once(listener: socket.socket, status: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(("status", "code"), [(b"200 OK", 0), (b"503 Service Unavailable", 1), (None, 1)])
@pytest.mark.parametrize(("service", "variable"), [("gateway", "EVA_PORT"), ("tts", "EVA_METRICS_PORT")])
def test_the_health_check_is_the_readiness_of_its_own_process(
    service: str, variable: str, status: bytes | None, code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        answering = threading.Thread(target=answer_once, args=(listener, status or b""))
        if status is None:
            listener.close()
        else:
            answering.start()
        script = [sys.executable, "-I", "-S", str(ROOT / "deploy" / "ready.py")]
        told = {**os.environ, "SERVICE": service, variable: str(port)}
        assert subprocess.run(script, env=told, check=False, timeout=60).returncode == code
        if status is not None:
            answering.join(60)
