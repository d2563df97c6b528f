"""The voice that is measured, installed where EVA looks for voices, and what it says.

Cost does not depend on the values of weights: a voice with the true architecture and random weights takes as
long as a real one, once its ``length_scale`` lets it say as many sounds a second as people do.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
from piper import PiperVoice
from piper.config import PiperConfig

from services.tts.chain import Chain
from services.tts.choose import choose
from services.tts.settings import TtsSettings
from shared.errors import EngineRefused
from tests.models import tiny_voice

TEXTS = {
    3: "Good morning, everybody.",
    12: "The train to the coast leaves at seven, so we should hurry.",
    40: (
        "When the rain had stopped at last, the children ran down the narrow road to the river, where an old "
        "man in a yellow coat was already waiting with his little boat, two oars and a basket full of apples."
    ),
}
"""One sentence each, by its words."""
USUAL_PHONES_A_SECOND = 14.0
UNUSUAL = (12.0, 16.0)
"""Beyond it a voice is brought to the usual."""
CALIBRATIONS = 8
"""Times that it is heard for that: its durations differ from time to time."""


@dataclass(frozen=True)
class Model:
    """A voice in a folder of its own."""

    name: str
    data_dir: Path
    """As ``EVA_DATA_DIR``."""
    threads: int
    """Of one synthesis; the same for everybody."""
    note: str = ""
    """What is unusual about it."""

    @property
    def path(self) -> Path:
        """The ``.onnx`` file."""
        return self.data_dir / "models" / "tts" / self.name / f"{self.name}.onnx"

    def chain(self) -> Chain:
        """Returns EVA's chain, loaded and proven as at the start of the service.

        Raises:
            EngineRefused: it would not begin with this voice.
        """
        settings = TtsSettings.model_validate(
            {"data_dir": self.data_dir, "tts_device": "cpu", "tts_threads": self.threads}
        )
        chain = choose(settings)
        if not any(voice.name == self.name for voice in chain.engines[0].voices()):
            raise EngineRefused("piper", "; ".join(fact.detail for fact in chain.facts() if fact.detail))
        return chain

    def piper(self) -> PiperVoice:
        """Returns piper-tts's own voice on the same file with as many threads, else as it is delivered."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        session = onnxruntime.InferenceSession(
            str(self.path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        config = json.loads(self.path.with_name(self.path.name + ".json").read_text(encoding="utf-8"))
        return PiperVoice(session=session, config=PiperConfig.from_dict(config))


def find(folder: Path) -> Path | None:
    """Returns the largest voice that lies in a folder or below it: the dearest one."""
    found = [path for path in folder.rglob("*.onnx") if path.with_name(path.name + ".json").is_file()]
    return max(found, key=lambda path: path.stat().st_size, default=None)


def install(folder: Path, data_dir: Path, *, threads: int, name: str = "") -> Model:
    """Copies the voice called ``name``, else the largest, into ``data_dir``; a tiny one where there is none.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    if name:
        source = next(folder.rglob(f"{name}.onnx"), None)
        if source is None:
            raise FileNotFoundError(f"{folder} has no {name}.onnx")
    else:
        source = find(folder)
    if source is None:
        path = tiny_voice.install(data_dir / "models")
        note = (
            "There was no voice: a tiny one of the tests was measured, whose times are not those of voices."
        )
        return Model(path.stem, data_dir, threads, note)
    model = Model(source.stem, data_dir, threads)
    model.path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, model.path)
    shutil.copyfile(source.with_name(source.name + ".json"), model.path.with_name(model.path.name + ".json"))
    return Model(model.name, data_dir, threads, _calibrate(model))


def factor(phones: int, seconds: float) -> float:
    """Returns by what a voice's length is to be multiplied; 1 for one that speaks as people do."""
    a_second = phones / seconds
    return 1.0 if UNUSUAL[0] <= a_second <= UNUSUAL[1] else a_second / USUAL_PHONES_A_SECOND


def _calibrate(model: Model) -> str:
    voice = model.piper()
    phonemes = [phoneme for sentence in voice.phonemize(TEXTS[40]) for phoneme in sentence]
    phones = sum(phoneme.isalpha() for phoneme in phonemes)
    samples = sum(
        len(chunk.audio_float_array) for _ in range(CALIBRATIONS) for chunk in voice.synthesize(TEXTS[40])
    )
    by = factor(CALIBRATIONS * phones, samples / voice.config.sample_rate)
    if by == 1.0:
        return ""
    path = model.path.with_name(model.path.name + ".json")
    config = json.loads(path.read_text(encoding="utf-8"))
    config["inference"]["length_scale"] = by * config["inference"].get("length_scale", 1.0)
    path.write_text(json.dumps(config), encoding="utf-8")
    return f"Its length_scale was multiplied by {by:.2f}, to {USUAL_PHONES_A_SECOND:.0f} sounds a second."


def now_ms() -> float:
    """Returns a clock, ms."""
    return 1000 * time.perf_counter()
