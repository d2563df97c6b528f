from __future__ import annotations

import logging
from pathlib import Path

import pytest

from services.stt.turn_models import load_turn_model
from shared.models import directory
from tests.models import tiny_turn


def folder(models_dir: Path, name: str = "mine") -> Path:
    path = directory(models_dir, "turn", name)
    path.mkdir(parents=True)
    return path


def test_without_a_model_the_melody_of_the_voice_serves(tmp_path: Path) -> None:
    model = load_turn_model(tmp_path)
    assert (model.info.name, model.info.is_degraded) == ("melody", True)


def test_a_model_that_is_there_and_proves_itself_serves(tmp_path: Path) -> None:
    tiny_turn.build(folder(tmp_path) / "any.onnx")
    model = load_turn_model(tmp_path)
    assert (model.info.name, model.info.model) == ("smart-turn", "any")
    assert len(model.info.model_sha256) == 64


@pytest.mark.parametrize("content", [b"", b"<html>not here</html>", b"not a model at all"])
def test_a_broken_model_is_named_and_the_next_one_serves(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (folder(tmp_path, "a-broken-one") / "a.onnx").write_bytes(content)
    with caplog.at_level(logging.WARNING, "eva.stt"):
        assert load_turn_model(tmp_path).info.name == "melody"
    (record,) = caplog.records
    fields = vars(record)["fields"]
    assert record.message == "stt.turn_model_refused"
    assert fields["model"] == "a-broken-one"
    assert "a.onnx" in fields["reason"]
    assert fields["hint"]
    tiny_turn.build(folder(tmp_path, "b-good-one") / "b.onnx")
    assert load_turn_model(tmp_path).info.model == "b"
