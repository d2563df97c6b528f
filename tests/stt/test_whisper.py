from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from services.stt.engine import RATE_HZ, Pcm
from services.stt.whisper import WINDOW, WhisperEngine, is_speech, load_whisper, windows
from shared.errors import EngineRefused
from tests.fakes.speech import speech, tone
from tests.models.tiny_whisper import PHRASES, build_tiny_whisper, tone_hz


def load(folder: Path, device: str = "cpu") -> WhisperEngine:
    return load_whisper(folder, device=device, compute_type="int8", threads=2, parallel=2, sha256="cafe")


@pytest.fixture(scope="module")
def engine(tiny_whisper: Path) -> WhisperEngine:
    return load(tiny_whisper)


def floats(pcm: np.ndarray) -> Pcm:
    return pcm.astype(np.float32) / 32768


def test_speech_is_transcribed_and_its_language_detected_in_one_pass(engine: WhisperEngine) -> None:
    transcript = engine.transcribe(floats(speech("my name is john")), None)
    assert transcript.text == PHRASES[0]
    assert transcript.language == "en"
    assert transcript.language_probability > 0.9


def test_a_given_language_is_not_detected_again(engine: WhisperEngine) -> None:
    transcript = engine.transcribe(floats(speech("bonjour", voice="fr")), "fr")
    assert (transcript.language, transcript.language_probability) == ("fr", 1.0)


@pytest.mark.parametrize("phrase", [1, 2, 3, 4])
def test_what_is_heard_decides_what_is_said(engine: WhisperEngine, phrase: int) -> None:
    assert engine.transcribe(floats(tone(tone_hz(phrase), 1.0)), "en").text == PHRASES[phrase]


def test_audio_longer_than_a_window_is_transcribed_to_its_end(engine: WhisperEngine) -> None:
    pcm = np.concatenate([tone(tone_hz(1), 28), np.zeros(16000, np.int16), tone(tone_hz(2), 12)])
    assert engine.transcribe(floats(pcm), "en").text == f"{PHRASES[1]} {PHRASES[2]}"


def test_windows_are_cut_where_it_is_quiet_and_lose_nothing() -> None:
    pcm = np.ones(WINDOW * 2, np.float32)
    pcm[28 * RATE_HZ : 28 * RATE_HZ + 800] = 0.0
    pieces = list(windows(pcm))
    assert len(pieces[0]) == pytest.approx(28 * RATE_HZ, abs=800)
    assert sum(len(piece) for piece in pieces) == len(pcm)
    assert all(len(piece) <= WINDOW for piece in pieces)


def test_the_engine_says_what_it_is(engine: WhisperEngine, tiny_whisper: Path) -> None:
    info = engine.info
    assert (info.name, info.model, info.device, info.model_sha256) == (
        "whisper",
        tiny_whisper.name,
        "cpu",
        "cafe",
    )
    assert {"en", "fr"} <= set(info.languages)
    assert not info.is_degraded


def test_an_english_only_model_serves_english_only(tmp_path: Path) -> None:
    engine = load(build_tiny_whisper(tmp_path / "tiny.en", is_multilingual=False))
    assert engine.info.languages == ("en",)
    transcript = engine.transcribe(floats(tone(tone_hz(3), 1.0)), None)
    assert (transcript.text, transcript.language) == (PHRASES[3], "en")


def test_a_language_that_is_unsure_gives_way_to_the_likely_one(engine: WhisperEngine) -> None:
    class Unsure:
        is_multilingual = True

        def detect_language(self, encoded: object) -> list[list[tuple[str, float]]]:
            return [[("<|cy|>", 0.4), ("<|en|>", 0.3)]]

    class Model:
        model = Unsure()

    unsure = WhisperEngine(engine.info, Model())  # type: ignore[arg-type]
    assert unsure._detect(None, "fr") == ("fr", 0.4)
    assert unsure._detect(None, "") == ("cy", 0.4)


def test_invented_text_is_told_from_what_was_said() -> None:
    assert is_speech("what time is it", no_speech=0.1, logprob=-0.2)
    assert is_speech("what time is it", no_speech=0.9, logprob=-0.2)
    assert is_speech("mumbled words", no_speech=0.3, logprob=-1.4)
    assert not is_speech("thank you for watching", no_speech=0.9, logprob=-1.4)
    assert not is_speech("and then " * 40, no_speech=0.0, logprob=-0.1)


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json"])
def test_a_model_that_cannot_be_loaded_is_refused_by_name(
    tiny_whisper: Path, tmp_path: Path, file: str
) -> None:
    broken = shutil.copytree(tiny_whisper, tmp_path / "broken")
    (broken / file).write_bytes(b"{}")
    with pytest.raises(EngineRefused, match="broken"):
        load(broken)


def test_cuda_that_is_not_there_is_refused(tiny_whisper: Path) -> None:
    from services.stt.whisper import cuda_devices  # noqa: PLC0415 - beside the question that it answers

    if cuda_devices():
        pytest.skip("this machine has CUDA")
    with pytest.raises(EngineRefused, match="cuda:0"):
        load(tiny_whisper, "cuda:0")
