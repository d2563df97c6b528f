from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.tts import espeak, piper
from services.tts.engine import Line
from shared.audio import Samples, rms
from shared.errors import EngineFailed
from tests.models import tiny_voice

ENGLISH = "Hello there, this is a test of the voice today."
FRENCH = "Bonjour tout le monde, ceci est un essai."


@pytest.fixture(scope="module")
def engine() -> espeak.Espeak:
    return espeak.load()


def samples(engine: espeak.Espeak, language: str, text: str, speed: float = 1.0) -> Samples:
    voice = engine.voice(language, "")
    assert voice is not None
    return np.concatenate([sound.samples for sound in voice.speak(Line(text=text, speed=speed))])


@pytest.mark.parametrize(
    ("language", "text"), [("en", ENGLISH), ("fr", FRENCH), ("de", "Guten Tag, wie geht es?")]
)
def test_it_speaks_at_a_sane_pace_and_level(engine: espeak.Espeak, language: str, text: str) -> None:
    audio = samples(engine, language, text)
    assert 0.03 < len(audio) / 22050 / len(text) < 0.12
    assert 0.03 < rms(audio) < 0.3
    assert np.abs(audio).max() <= 1.0


def test_french_and_english_sound_different(engine: espeak.Espeak) -> None:
    text = "six table place"
    english, french = (samples(engine, language, text) for language in ("en", "fr"))
    assert abs(len(english) - len(french)) > 1000


def test_its_pieces_are_short(engine: espeak.Espeak) -> None:
    voice = engine.voice("en", "")
    assert voice is not None
    pieces = [sound.samples for sound in voice.speak(Line(text=ENGLISH))]
    assert len(pieces) > 20
    assert max(map(len, pieces)) <= 22050 * espeak.PIECE_MS / 1000 + 1


def test_speed_is_heard_and_bounded(engine: espeak.Espeak) -> None:
    usual, fast, wild = (len(samples(engine, "en", ENGLISH, speed)) for speed in (1.0, 2.0, 1000.0))
    assert fast < 0.7 * usual
    assert wild > 0.1 * usual


def test_a_language_that_it_has_not_is_none_and_no_path_is_looked_up(engine: espeak.Espeak) -> None:
    for language in ("xx", "../fr", "fr/../en", "a" * 99, "é"):
        assert engine.voice(language, "") is None


def test_without_a_language_it_speaks_its_first(engine: espeak.Espeak) -> None:
    voice = engine.voice("", "en_US-lessac-medium")
    assert voice is not None
    assert voice.language == "en"
    assert [known.language for known in engine.voices()] == ["en", "fr"]
    assert engine.is_degraded


def test_an_unknown_voice_fails_by_name(engine: espeak.Espeak) -> None:
    known = engine.voices()[0]
    with pytest.raises(EngineFailed, match="no voice nobody"):
        list(espeak.EspeakVoice(known.library, "nobody", "en").speak(Line(text="Hello.")))


def test_speaking_and_piper_s_phonemizing_do_not_disturb_each_other(
    engine: espeak.Espeak, tiny_voices: Path
) -> None:
    folder = tiny_voices / "models" / "tts"
    voices = [
        piper.load_voice(folder / name / f"{name}.onnx", device="cpu", threads=1)
        for name in ("en_US-tiny-low", "fr_FR-tiny-low")
    ]
    texts = [ENGLISH, FRENCH]
    wanted = [
        tiny_voice.sounding([phoneme for sentence in voice.vits.phonemize(text) for phoneme in sentence])
        for voice, text in zip(voices, texts, strict=True)
    ]
    lengths = [len(samples(engine, language, text)) for language, text in (("en", ENGLISH), ("fr", FRENCH))]

    def phonemes(which: int) -> bool:
        audio = np.concatenate([sound.samples for sound in voices[which].speak(Line(text=texts[which]))])
        return tiny_voice.decode(audio, voices[which].rate_hz) == wanted[which]

    def speech(which: int) -> bool:
        made = len(samples(engine, ("en", "fr")[which], texts[which], speed=1.0))
        return abs(made - lengths[which]) < 400  # it varies by some samples from call to call

    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(do, which) for _ in range(8) for do in (phonemes, speech) for which in (0, 1)]
        assert all(job.result() for job in jobs)


def test_a_variant_is_another_voice_and_a_default_is_the_languages(engine: espeak.Espeak) -> None:
    plain, other = engine.voice("en", ""), engine.voice("fr", "en-us+f3")
    assert plain is not None
    assert other is not None
    assert (other.name, other.language) == ("en-us+f3", "en")
    line = Line(text="Hello there.")
    said, varied = (np.concatenate([s.samples for s in voice.speak(line)]) for voice in (plain, other))
    assert len(said) != len(varied) or not np.allclose(said, varied, atol=0.05)
    default = engine.voice("en", "eva-fr")
    assert default is not None
    assert default.language == "fr"
