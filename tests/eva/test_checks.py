import subprocess
import sys
import time
from pathlib import Path

import onnxruntime
import pytest

from eva import checks
from eva.checks import Check, Devices
from eva.doctor import doctor


def test_python_and_packages_of_this_environment_are_enough() -> None:
    assert checks.python().ok
    assert [check.ok for check in checks.packages()] == [True]


def test_exactly_one_onnxruntime_is_installed() -> None:
    check = checks.onnxruntime_wheel(Devices())
    assert check.ok
    assert check.detail.startswith("onnxruntime")


def test_setup_ends_with_a_look_at_what_it_has_installed() -> None:
    def look(flavour: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "eva.checks", flavour]
        return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)

    assert (look("cpu").returncode, look("cpu").stderr) == (0, "")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert look("gpu").returncode == 1
        assert (
            "is built for the CPU, and cuda is asked for. Mend it with: make clean setup GPU=1"
            in look("gpu").stderr
        )


def test_a_data_directory_that_is_not_there_yet_is_fine_and_a_file_in_its_place_is_not(
    tmp_path: Path,
) -> None:
    assert checks.directory(tmp_path / "new" / "data").ok
    (tmp_path / "file").write_text("")
    check = checks.directory(tmp_path / "file" / "data")
    assert not check.ok
    assert check.hint == "Set EVA_DATA_DIR"


def test_settings_that_cannot_work_fail_and_unknown_ones_warn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVA_TTS_DEVICE", "cuda:1")
    monkeypatch.setenv("EVA_TYPO", "x")
    check, devices = checks.read_settings()
    assert check.ok
    assert "EVA_TYPO" in check.detail
    assert devices.wants_cuda
    monkeypatch.setenv("EVA_TTS_DEVICE", "banana")
    check, devices = checks.read_settings()
    assert not check.ok
    assert "EVA_TTS_DEVICE" in check.detail
    assert not devices.wants_cuda


def test_no_model_is_a_warning_and_a_broken_one_a_failure_that_names_the_file(tmp_path: Path) -> None:
    assert all(check.ok and check.hint for check in checks.models(tmp_path))
    voice = tmp_path / "tts" / "mine"
    voice.mkdir(parents=True)
    (voice / "mine.onnx").write_bytes(b"")
    broken = list(checks.models(tmp_path))[1]
    assert not broken.ok
    assert "mine.onnx" in broken.detail
    assert "is empty" in broken.detail


def test_it_is_said_which_turn_model_is_used_or_why_none(tmp_path: Path) -> None:
    none = checks.turn_model(tmp_path)
    assert (none.ok, none.hint) == (True, "")
    assert none.detail == f"none in {tmp_path / 'turn'}: the melody of the voice serves"
    folder = tmp_path / "turn" / "mine"
    folder.mkdir(parents=True)
    (folder / "mine.onnx").write_bytes(b"")
    broken = checks.turn_model(tmp_path)
    assert not broken.ok
    assert "mine.onnx: is empty" in broken.detail
    (folder / "mine.onnx").write_bytes(b"a graph")
    assert checks.turn_model(tmp_path) == Check("turn model", ok=True, detail="mine is whole")


def test_the_offline_engines_are_here() -> None:
    assert checks.offline_ears().ok
    assert checks.offline_voice().ok


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="this machine has an NVIDIA driver")
def test_cuda_asked_for_without_a_driver_is_a_failure_with_the_command_that_mends_it() -> None:
    check = checks.gpu(Devices(tts="cuda"))
    assert not check.ok
    assert "GPU=1" in check.hint
    assert checks.gpu(Devices()).ok


def test_a_clock_that_is_years_off_is_a_failure() -> None:
    assert checks.clock(time.time()).ok
    assert not checks.clock(0.0).ok


def test_missing_sound_is_no_failure() -> None:
    assert checks.sound().ok


async def test_the_doctor_shows_each_check_and_fails_when_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVA_LLM_DISCOVER", "off")
    (tmp_path / "file").write_text("")
    assert await doctor("http://127.0.0.1:1", tmp_path / "file" / "data", is_json=False) == 1
    shown = capsys.readouterr().out
    assert "FAIL  data directory" in shown
    assert "Failed: data directory" in shown
    assert "ok    broker          the embedded nats-server" in shown


def test_a_check_is_plain_data() -> None:
    assert Check("a", ok=True, detail="b").hint == ""
