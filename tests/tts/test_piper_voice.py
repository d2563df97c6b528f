from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from services.tts import device, piper
from services.tts.engine import Line
from shared.audio import Samples, is_audible
from shared.errors import EngineFailed, EngineRefused
from tests.models import tiny_voice

ENGLISH = "Hello there, this is a test of the voice today."
FRENCH = "Bonjour tout le monde, ceci est un essai."


def model_path(data_dir: Path, name: str) -> Path:
    return data_dir / "models" / "tts" / name / f"{name}.onnx"


def load(data_dir: Path, name: str = "en_US-tiny-low") -> piper.PiperVoice:
    return piper.load_voice(model_path(data_dir, name), device="cpu", threads=1, sha256="ab")


def samples(voice: piper.PiperVoice, text: str, speed: float = 1.0) -> Samples:
    return np.concatenate([sound.samples for sound in voice.speak(Line(text=text, speed=speed))])


@pytest.mark.parametrize(
    ("name", "language", "rate_hz", "text"),
    [("en_US-tiny-low", "en", 22050, ENGLISH), ("fr_FR-tiny-low", "fr", 16000, FRENCH)],
)
def test_the_audio_says_the_words(
    tiny_voices: Path, name: str, language: str, rate_hz: int, text: str
) -> None:
    voice = load(tiny_voices, name)
    assert (voice.name, voice.language, voice.rate_hz, voice.device) == (name, language, rate_hz, "cpu")
    phonemes = [phoneme for sentence in voice.vits.phonemize(text) for phoneme in sentence]
    assert tiny_voice.decode(samples(voice, text), rate_hz) == tiny_voice.sounding(phonemes)


def test_two_sentences_are_two_pieces_and_speed_shortens_them(tiny_voices: Path) -> None:
    voice = load(tiny_voices)
    assert len(list(voice.speak(Line(text="One. Two.")))) == 2
    assert len(samples(voice, ENGLISH, 2.0)) == pytest.approx(len(samples(voice, ENGLISH)) / 2, rel=0.1)


def test_nothing_to_say_gives_no_piece(tiny_voices: Path) -> None:
    assert list(load(tiny_voices).speak(Line(text=""))) == []


def test_a_voice_is_found_by_name_then_by_language(tiny_voices: Path) -> None:
    english, french = load(tiny_voices), load(tiny_voices, "fr_FR-tiny-low")
    engine = piper.Piper("cpu", (english, french))
    assert engine.voices() == (english, french)
    assert engine.voice("fr", "") is french
    assert engine.voice("fr", "en_US-tiny-low") is english
    assert engine.voice("fr", "unknown") is french
    assert engine.voice("", "") is english
    assert engine.voice("de", "") is None


def graphless() -> bytes:
    """What is left when a download breaks off behind the header: a model that has no graph."""
    return onnx.ModelProto(ir_version=8, producer_name="x").SerializeToString()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "No graph was found in the protobuf"),
        (graphless(), "No graph was found in the protobuf"),
        (b"<!DOCTYPE html><html></html>", "Protobuf parsing failed"),
        (None, "Protobuf parsing failed"),
    ],
    ids=["empty", "graphless", "web page", "truncated"],
)
def test_a_broken_model_is_refused_by_the_name_of_its_file(
    tiny_voices: Path, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    whole = model_path(tiny_voices, "en_US-tiny-low")
    broken = tmp_path / "en_US-broken-low.onnx"
    broken.write_bytes(whole.read_bytes()[:3000] if content is None else content)
    broken.with_name(broken.name + ".json").write_bytes(whole.with_name(whole.name + ".json").read_bytes())
    with pytest.raises(EngineRefused, match=reason) as refused:
        piper.load_voice(broken, device="cpu", threads=1)
    assert str(broken) in refused.value.reason
    assert refused.value.hint == "eva models pull"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (None, "No such file"),
        ("{", "Expecting"),
        ("[]", "is no Piper configuration"),
        ("{}", "is no Piper configuration"),
        ({"phoneme_type": "pinyin"}, "phonemizer that is not installed"),
        ({"phoneme_type": "riddle"}, "is no Piper configuration"),
    ],
)
def test_a_broken_configuration_is_refused_by_the_name_of_its_file(
    tiny_voices: Path, tmp_path: Path, config: object, reason: str
) -> None:
    whole = model_path(tiny_voices, "en_US-tiny-low")
    model = tmp_path / "en_US-odd-low.onnx"
    model.write_bytes(whole.read_bytes())
    if isinstance(config, dict):
        settings = json.loads(whole.with_name(whole.name + ".json").read_text())
        config = json.dumps(settings | config)
    if isinstance(config, str):
        model.with_name(model.name + ".json").write_text(config)
    with pytest.raises(EngineRefused, match=reason) as refused:
        piper.load_voice(model, device="cpu", threads=1)
    assert "en_US-odd-low.onnx" in refused.value.reason


@pytest.mark.skipif(device.cuda_is_listed(), reason="this machine has CUDA")
def test_cuda_is_never_quietly_the_cpu(tiny_voices: Path) -> None:
    with pytest.raises(EngineRefused, match="has no CUDA") as refused:
        piper.load_voice(model_path(tiny_voices, "en_US-tiny-low"), device="cuda:0", threads=1)
    assert "eva doctor" in refused.value.hint


def test_a_session_that_fails_is_an_engine_that_failed(tiny_voices: Path) -> None:
    voice = load(tiny_voices)
    voice.vits.config.phoneme_id_map["h"] = [100_000]  # beyond the model's table
    with pytest.raises(EngineFailed, match="en_US-tiny-low"):
        samples(voice, ENGLISH)


def test_the_voice_is_heard(tiny_voices: Path) -> None:
    audio = samples(load(tiny_voices), ENGLISH)
    assert is_audible(audio)
    assert np.abs(audio).max() < 1.0


def test_a_session_that_quietly_took_the_cpu_is_refused() -> None:
    device.require_cuda([device.CUDA, "CPUExecutionProvider"], "cuda:0")
    for used in (["CPUExecutionProvider"], ["CPUExecutionProvider", device.CUDA], []):
        with pytest.raises(EngineRefused, match="the CPU would have served"):
            device.require_cuda(used, "cuda:0")
