"""Voices of the true size in parts; only where such voices lie beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from services.tts.device import Device
from services.tts.piper_model import LazyModel, SplitModel, Voicing
from services.tts.piper_phones import ids_of
from services.tts.piper_stream import Sentence
from services.tts.split_graph import find, parts
from services.tts.split_store import Split

MODEL = Path(__file__).resolve().parents[3] / "shared" / "models" / "random_piper_low.onnx"
BOUND = 1e-5


@pytest.mark.skipif(not MODEL.is_file(), reason="no voice of the true size lies beside this checkout")
def test_a_voice_of_the_true_size_is_the_same_in_parts() -> None:
    config = json.loads(MODEL.with_name(MODEL.name + ".json").read_text())
    loaded = onnx.load(MODEL)
    cut = find(loaded)
    made = Split(cut=cut, parts={name: part.SerializeToString() for name, part in parts(loaded, cut).items()})
    assert cut.flow is not None
    assert (cut.decoder.margin, cut.flow.margin, cut.decoder.hop) == (12, 32, 256)
    device, quiet = Device.of("cpu", threads=2), Voicing(noise=0.0, length=1.0, noise_w=0.0)
    phonemes = list("həlˈoʊ ðˈɛɹ, ðˈɪs ɪz ɐ tˈɛst")
    ids, _ = ids_of(phonemes, config["phoneme_id_map"])
    expected = LazyModel(MODEL, device).open().sound(ids, quiet)
    sentence = Sentence(SplitModel(made, device), phonemes, config["phoneme_id_map"], quiet)
    sound = np.concatenate(list(sentence.pieces()))
    assert len(sound) == len(expected)
    assert np.abs(sound - expected).max() <= BOUND * np.abs(expected).max()
