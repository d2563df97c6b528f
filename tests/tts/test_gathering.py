"""A real voice whose listeners' windows are decoded together says what it says alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.tts import piper
from services.tts.engine import Line, Prosody
from services.tts.gathering import Gathering
from services.tts.piper_phones import ids_of
from services.tts.threads import Threads
from tests.models import tiny_vits

WAIT_S = 60.0
TEXTS = [f"This is what listener {name} is told, and it is long enough for two windows." for name in "abcdef"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vits.build(tmp_path_factory.mktemp("vits") / "en_US-vits-low.onnx", speakers=("anna", "ben"))


def said(voice: piper.PiperVoice, text: str) -> np.ndarray:
    line = Line(text=text, prosody=Prosody(noise=0.0, noise_w=0.0))
    return np.concatenate([sound.samples for sound in voice.speak(line)])


def test_what_is_decoded_together_is_what_each_says_alone(model: Path) -> None:
    voice = piper.load_voice(model, device="cpu", threads=1)
    voices = [voice, *voice.speakers()]
    assert voice.parts is not None
    assert voice.parts.batch == 1
    pairs = [(voices[number % len(voices)], text) for number, text in enumerate(TEXTS)]
    alone = [said(one, text) for one, text in pairs]
    voice.parts._gathering = Gathering(voice.parts, size=4)
    threads = Threads(len(TEXTS), "test")
    together = [threads.submit(said, one, text) for one, text in pairs]
    for expected, future in zip(alone, together, strict=True):
        sound = future.result(WAIT_S)
        assert len(sound) == len(expected)
        assert np.abs(sound - expected).max() <= 1e-5 * np.abs(expected).max()
    threads.shutdown()


def test_a_voice_is_measured_on_its_own_decoder(model: Path) -> None:
    """As on a card; what is found depends on the machine."""
    voice = piper.load_voice(model, device="cpu", threads=1)
    assert voice.parts is not None
    ids, _ = ids_of(list("hello"), voice.vits.config.phoneme_id_map)
    voice.parts.gather(ids)
    assert voice.parts.batch in {1, 2, 4, 8}
    assert len(said(voice, TEXTS[0])) > 0
