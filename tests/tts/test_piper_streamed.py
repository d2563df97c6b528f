"""What a streamed voice tells with its sound, how it takes a line's prosody, and its place in the chain."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from services.tts import piper
from services.tts.choose import choose
from services.tts.engine import NEUTRAL, Line, Phone, Prosody, Sound
from services.tts.lanes import Listener
from services.tts.settings import TtsSettings
from services.tts.split_store import FOLDER
from tests.models import tiny_vits

SHORT = "Hello there."
LONG = (
    "When the evening comes, and the lights begin to shine over the water, we like to sit on the old bench "
    "near the bridge and talk about all that happened."
)
NAME = "en_US-vits-low"


def installed(data_dir: Path, **options: object) -> Path:
    return tiny_vits.build(data_dir / "models" / "tts" / NAME / f"{NAME}.onnx", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    installed(folder)
    return folder


@pytest.fixture(scope="module")
def voice(data_dir: Path) -> piper.PiperVoice:
    return piper.load_voice(data_dir / "models" / "tts" / NAME / f"{NAME}.onnx", device="cpu", threads=1)


def said(voice: piper.PiperVoice, text: str, prosody: Prosody = NEUTRAL, speed: float = 1.0) -> list[Sound]:
    return list(voice.speak(Line(text=text, prosody=prosody, speed=speed)))


def seconds(sounds: list[Sound]) -> float:
    return sum(len(sound.samples) for sound in sounds) / 22050


def spoken(phones: tuple[Phone, ...]) -> str:
    return "".join(phone.symbol for phone in phones).strip()


@pytest.mark.parametrize("text", [SHORT, "One. Two, three!"])
def test_the_first_piece_tells_every_sound_of_the_line_and_its_time(
    voice: piper.PiperVoice, text: str
) -> None:
    sounds = said(voice, text)
    assert len(sounds) > 1
    phones = next(sound.phones for sound in reversed(sounds) if sound.phones)
    symbols = [symbol for sentence in voice.vits.phonemize(text) for symbol in sentence]
    assert spoken(phones).replace(" ", "") == "".join(symbols).replace(" ", "")
    assert spoken(sounds[0].phones) == spoken(phones)
    assert phones[0].start_s == 0.0
    assert phones[-1].end_s == pytest.approx(seconds(sounds), abs=1e-6)
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(phones))


def test_of_a_long_line_later_times_are_guessed_first_and_told_when_they_are_known(
    voice: piper.PiperVoice,
) -> None:
    sounds = said(voice, LONG)
    told = [(index, sound.phones) for index, sound in enumerate(sounds) if sound.phones]
    assert told[0][0] == 0
    assert len(told) > 1
    assert {spoken(phones) for _, phones in told} == {spoken(told[0][1])}
    first, last = told[0][1], told[-1][1]
    assert last[-1].end_s == pytest.approx(seconds(sounds), abs=1e-6)
    assert first[:10] == last[:10]
    assert first[-1].end_s == pytest.approx(last[-1].end_s, rel=0.5)


def test_prosody_is_taken_as_factors_of_the_voice_s_own_way_and_bounded(voice: piper.PiperVoice) -> None:
    usual = seconds(said(voice, SHORT))
    assert seconds(said(voice, SHORT, Prosody(length=2.0))) == pytest.approx(2 * usual, rel=0.1)
    assert seconds(said(voice, SHORT, Prosody(length=50.0))) == pytest.approx(2 * usual, rel=0.1)
    assert seconds(said(voice, SHORT, speed=0.5)) == pytest.approx(2 * usual, rel=0.1)
    wild = piper.bounded(Prosody(length=0.0, noise=-1.0, noise_w=9.0, pitch=3.0, gain_db=2.0))
    assert wild == Prosody(length=0.5, noise=0.0, noise_w=2.0, pitch=3.0, gain_db=2.0)


def test_noise_makes_a_voice_lively_only_where_it_is_so_itself(tmp_path: Path) -> None:
    path = tiny_vits.build(tmp_path / f"{NAME}.onnx")
    lively = piper.load_voice(path, device="cpu", threads=1)
    lively.vits.config.noise_scale = 0.667
    one, other = (np.concatenate([it.samples for it in said(lively, SHORT)]) for _ in range(2))
    assert np.abs(one - other).max() > 0.001
    calm = Prosody(noise=0.0)
    one, other = (np.concatenate([it.samples for it in said(lively, SHORT, calm)]) for _ in range(2))
    assert np.array_equal(one, other)


def test_the_chain_has_the_streamed_voice_then_the_whole_one_then_the_offline_engine(data_dir: Path) -> None:
    chain = choose(TtsSettings.read(data_dir=data_dir, tts_threads=1, tts_device="cpu"))
    facts = [(fact.name, fact.model, fact.state) for fact in chain.facts()]
    assert facts[:2] == [("piper", NAME, "serving"), ("piper-whole", NAME, "standby")]
    assert facts[2][0] == "espeak-ng"
    assert chain.trouble() == ""
    pieces = chain.speak(Line(text=SHORT), Listener(), language="en", wanted="", asked=[])
    assert {piece.engine.name for piece in pieces} == {"piper"}


def test_a_models_folder_that_is_read_only_has_its_parts_in_the_data_folder_s_cache(tmp_path: Path) -> None:
    path = installed(tmp_path)
    (path.parent / FOLDER).write_text("a file where the folder would be")
    chain = choose(TtsSettings.read(data_dir=tmp_path, tts_threads=1, tts_device="cpu"))
    assert chain.facts()[0].name == "piper"
    assert list((tmp_path / "cache" / FOLDER).glob(f"{NAME}-*/decoder.onnx"))
