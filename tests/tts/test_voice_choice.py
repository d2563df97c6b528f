from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.tts import device
from services.tts.choose import choose, devices, idle_gpu, preferred
from services.tts.device_health import Machine
from services.tts.engine import Line
from services.tts.lanes import Listener
from services.tts.settings import TtsSettings
from shared.errors import ConfigError, EngineRefused
from shared.messages import EngineFact

NO_CUDA = pytest.mark.skipif(device.cuda_is_listed(), reason="this machine has CUDA")


def settings(data_dir: Path, **values: object) -> TtsSettings:
    return TtsSettings.read(data_dir=data_dir, tts_threads=1, **values)


def test_without_voices_espeak_serves_and_the_mending_command_is_said(tmp_path: Path) -> None:
    chain = choose(settings(tmp_path))
    absent, english, french = chain.facts()
    assert (absent.name, absent.state, absent.hint) == ("piper", "absent", "eva models pull")
    assert str(tmp_path) in absent.detail
    assert [(fact.name, fact.model, fact.state) for fact in (english, french)] == [
        ("espeak-ng", "en-us", "serving"),
        ("espeak-ng", "fr", "serving"),
    ]
    assert chain.trouble() == "espeak-ng serves"


@NO_CUDA
def test_voices_serve_their_languages_and_espeak_stands_by(tiny_voices: Path) -> None:
    chain = choose(settings(tiny_voices))
    facts = [(fact.name, fact.model, fact.device, fact.state) for fact in chain.facts()]
    assert facts[:2] == [
        ("piper", "en_US-tiny-low", "cpu", "serving"),
        ("piper", "fr_FR-tiny-low", "cpu", "serving"),
    ]
    assert {state for *_, state in facts[2:]} == {"standby"}
    assert all(len(fact.model_sha256) == 64 for fact in chain.facts()[:2])
    assert chain.trouble() == ""


@pytest.mark.parametrize("name", ["fr_FR-tiny-low", "FR_fr-Tiny-low"])
def test_the_default_voice_comes_first(tiny_voices: Path, name: str) -> None:
    chain = choose(settings(tiny_voices, tts_voice=name, tts_device="cpu"))
    assert chain.facts()[0].model == "fr_FR-tiny-low"
    assert chain.language("", "") == "fr"


def broken_copy(tiny_voices: Path, tmp_path: Path, content: bytes) -> Path:
    """A data folder with a whole French voice and an English one whose model is ``content``."""
    shutil.copytree(tiny_voices, tmp_path / "data")
    for record in (tmp_path / "data").rglob(".eva-model.json"):
        record.unlink()
    model = tmp_path / "data" / "models" / "tts" / "en_US-tiny-low" / "en_US-tiny-low.onnx"
    model.write_bytes(content)
    return tmp_path / "data"


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html>", b"\x08\x08", b"version https://git-lfs.github.com/spec/v1"]
)
def test_a_broken_model_is_named_and_the_rest_serves(
    tiny_voices: Path, tmp_path: Path, content: bytes
) -> None:
    chain = choose(settings(broken_copy(tiny_voices, tmp_path, content), tts_device="cpu"))
    broken = chain.facts()[0]
    assert (broken.name, broken.state, broken.model) == ("piper", "failed", "en_US-tiny-low")
    assert "en_US-tiny-low.onnx" in broken.detail
    assert broken.hint
    serving = {fact.model for fact in chain.facts() if fact.state == "serving"}
    assert serving == {"fr_FR-tiny-low", "en-us"}
    assert "en_US-tiny-low" in chain.trouble()
    pieces = chain.speak(Line(text="Hello."), Listener(), language="en", wanted="en_US-tiny-low", asked=[])
    assert next(pieces).engine.name == "espeak-ng"


def test_a_model_without_graph_is_refused_with_the_runtime_s_words(tiny_voices: Path, tmp_path: Path) -> None:
    chain = choose(settings(broken_copy(tiny_voices, tmp_path, b"\x08\x08"), tts_device="cpu"))
    assert "No graph was found in the protobuf" in chain.facts()[0].detail


@NO_CUDA
def test_cuda_that_is_not_there_is_refused_with_a_hint(tiny_voices: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="no CUDA") as refused:
        choose(settings(tiny_voices, tts_device="cuda"))
    assert "eva doctor" in refused.value.hint
    with pytest.raises(EngineRefused, match="cuda:1 was asked for") as refused:
        choose(settings(tmp_path, tts_device="cuda:1"))
    assert refused.value.hint == "eva models pull"


def test_piper_alone_without_a_voice_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="no voice in"):
        choose(settings(tmp_path, tts_engines="piper"))


def test_the_order_of_engines_can_be_set(tiny_voices: Path) -> None:
    chain = choose(settings(tiny_voices, tts_engines="espeak,piper", tts_device="cpu"))
    assert chain.facts()[0].name == "espeak-ng"


@pytest.mark.parametrize(
    "values",
    [{"tts_device": "gpu"}, {"tts_engines": "piper,festival"}, {"tts_slots": -1}, {"tts_chunk_ms": 10}],
)
def test_a_setting_that_cannot_work_is_named(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"EVA_{next(iter(values)).upper()}"):
        TtsSettings.read(**values)


def test_threads_are_bounded_by_the_machine() -> None:
    assert 1 <= TtsSettings.read().threads <= 4
    assert TtsSettings.read(tts_threads=7).threads == 7


@pytest.mark.parametrize(
    ("wanted", "can_try", "chosen"),
    [
        ("auto", True, ["cuda:0", "cpu"]),
        ("auto", False, ["cpu"]),
        ("cuda", False, ["cuda:0"]),
        ("cuda:1", True, ["cuda:1"]),
        ("cpu", True, ["cpu"]),
    ],
)
def test_auto_takes_cuda_first_and_a_named_device_is_taken_alone(
    wanted: str, can_try: bool, chosen: list[str]
) -> None:
    assert devices(wanted, can_try=can_try) == chosen


def test_a_gpu_stays_first_unless_the_cpu_is_faster_and_that_is_said() -> None:
    said: list[EngineFact] = []
    assert preferred({}, said) == []
    assert preferred({"cpu": 100.0}, said) == ["cpu"]
    assert preferred({"cuda:0": 120.0, "cpu": 100.0}, said) == ["cuda:0", "cpu"]
    assert said == []
    assert preferred({"cuda:0": 300.0, "cpu": 100.0}, said) == ["cpu", "cuda:0"]
    assert said[0].detail == "cuda:0 took 300 ms for what the cpu makes in 100 ms"
    assert (said[0].state, said[0].hint) == ("standby", "EVA_TTS_DEVICE=cpu")


def test_each_link_tells_how_long_its_voice_took_at_several_lengths(tiny_voices: Path) -> None:
    machine = Machine()
    facts = choose(settings(tiny_voices, tts_device="cpu"), machine).facts()
    for fact in facts:
        for length in ("short", "medium"):
            assert fact.numbers[f"warm_up_ms_{length}"] > 0
            assert fact.numbers[f"real_time_factor_{length}"] > 0
    assert [device.trouble() for device in machine.devices] == [""]


def test_a_gpu_that_nothing_uses_is_a_complaint_unless_the_cpu_was_asked_for() -> None:
    (complaint,) = idle_gpu("auto", has_cuda=False, has_gpu=True)
    assert complaint.state == "failed"
    assert "make setup" in complaint.hint
    assert idle_gpu("cpu", has_cuda=False, has_gpu=True) == []
    assert idle_gpu("auto", has_cuda=True, has_gpu=True) == []
    assert idle_gpu("auto", has_cuda=False, has_gpu=False) == []
