from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.stt.engine import Pcm
from services.stt.smart_turn import SAMPLES, SmartTurn, load_smart_turn
from shared.errors import EngineFailed, EngineRefused
from tests.fakes.speech import silence, speech, tone
from tests.models import tiny_turn


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmartTurn:
    path = tiny_turn.build(tmp_path_factory.mktemp("turn") / "tiny.onnx")
    return load_smart_turn(path, sha256="abc", slowest_s=30)


def pcm(*pieces: np.ndarray) -> Pcm:
    return np.concatenate(pieces).astype(np.float32) / 32768


def test_it_says_what_it_is(model: SmartTurn) -> None:
    assert (model.info.name, model.info.model, model.info.device) == ("smart-turn", "tiny", "cpu")
    assert model.info.model_sha256 == "abc"


def test_it_hears_the_end_of_what_was_said(model: SmartTurn) -> None:
    said = speech("turn off the lights")
    assert model.probability(pcm(said, silence(0.3))) > 0.9
    assert model.probability(pcm(said[:-2000])) < 0.2


def test_how_loud_the_microphone_is_does_not_matter(model: SmartTurn) -> None:
    said = pcm(speech("turn off the lights"), silence(0.1))
    assert model.probability(said) == pytest.approx(model.probability(0.1 * said), abs=0.02)


def test_only_the_last_eight_seconds_count(model: SmartTurn) -> None:
    tail = pcm(tone(300, 7), silence(1))
    before = pcm(tone(2000, 5))
    assert len(tail) == SAMPLES
    assert model.probability(np.concatenate([before, tail])) == model.probability(tail)


def test_a_short_clip_stands_at_the_end_of_the_window(model: SmartTurn) -> None:
    features = model.features(pcm(tone(440, 0.5)))
    assert features.shape == (80, 800)
    assert features.dtype == np.float32
    assert features[:, -40:].max() > features[:, :700].max() + 0.5


def test_nothing_at_all_is_no_failure(model: SmartTurn) -> None:
    assert 0.0 <= model.probability(pcm(silence(0))) <= 1.0
    assert 0.0 <= model.probability(pcm(silence(10))) <= 1.0


def test_audio_that_it_cannot_take_is_a_failure_with_its_name(model: SmartTurn) -> None:
    with pytest.raises(EngineFailed, match="smart-turn"):
        model.probability(np.zeros((2, 2, 2), np.float32))


def test_a_probability_that_is_none_is_a_failure(model: SmartTurn) -> None:
    with pytest.raises(EngineFailed, match="nan is no probability"):
        model.probability(np.full(1600, np.nan, np.float32))


def test_a_broken_file_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(EngineRefused, match=r"broken\.onnx") as refused:
        load_smart_turn(path)
    assert refused.value.hint == "eva models pull"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"name": "audio"}, "audio"),
        ({"mels": 128}, "128"),
        ({"outputs": 2}, r"\[2\]"),
        ({"is_probability": False}, "is no probability"),
    ],
)
def test_another_model_under_its_name_is_refused(
    tmp_path: Path, other: dict[str, object], reason: str
) -> None:
    path = tiny_turn.build(tmp_path / "other.onnx", **other)  # type: ignore[arg-type]
    with pytest.raises(EngineRefused, match=reason) as refused:
        load_smart_turn(path, slowest_s=30)
    assert refused.value.hint == "eva models pull"


def test_a_model_that_is_too_slow_here_is_refused(tmp_path: Path) -> None:
    path = tiny_turn.build(tmp_path / "slow.onnx")
    with pytest.raises(EngineRefused, match=r"takes \d+ ms here"):
        load_smart_turn(path, slowest_s=0.0)
