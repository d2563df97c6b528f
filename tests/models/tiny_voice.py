"""A Piper voice of 8 KB, built by the tests: the exact contract of a VITS export, tones instead of a voice.

Every phoneme has its own length and its own pair of tones, so ``decode`` reads the phonemes back from the
audio: a test hears *which words were spoken*, without a recognizer and without a download. Deterministic.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

HOP = 256
N_IDS = 256
CARRIER_HZ = 118.0
CLICK_FILTER = 33

SYMBOLS = [
    *"_^$ !'(),-.:;?",
    *"abcdefhijklmnopqrstuvwxyz",
    *"æçðøħŋœɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢʲ",
    *"ˈˌːˑ˞βθχᵻⱱ",
    *"0123456789",
    *'\u0327\u0303\u032a\u032f\u0329ʰˤε↓#"↑\u033a\u033bgʦX\u031d\u030aɝʷ',
]
VOWELS_HZ = {  # the first two formants
    "i": (280, 2250), "ɪ": (400, 1920), "e": (400, 2100), "ɛ": (550, 1770), "æ": (690, 1660),
    "a": (730, 1300), "ɑ": (710, 1100), "ɐ": (650, 1300), "ɔ": (590, 880), "o": (450, 800),
    "ʊ": (450, 1030), "u": (310, 870), "ʌ": (640, 1190), "ə": (500, 1400), "ɜ": (490, 1350),
    "ɚ": (490, 1350), "y": (270, 2100), "ø": (400, 1650), "œ": (550, 1600), "ᵻ": (400, 1800),
    "ɒ": (600, 900), "ɨ": (350, 1800), "ɝ": (490, 1350),
}  # fmt: skip
PAUSE_FRAMES = {"_": 0, "^": 2, "$": 2, " ": 3, ".": 14, "!": 14, "?": 14} | dict.fromkeys("',-:;()\"#", 8)
MARKS = set("ˈˌˑ˞↓↑")


def _sound(index: int, symbol: str) -> tuple[float, float, float, float]:
    """Returns frames, amplitude and two frequencies in Hz of a phoneme."""
    if symbol in PAUSE_FRAMES:
        return PAUSE_FRAMES[symbol], 0.0, 0.0, 0.0
    if symbol in MARKS:
        return 0.0, 0.0, 0.0, 0.0
    if symbol == "ː":
        return 4.0, 0.0, 0.0, 0.0
    if symbol in VOWELS_HZ:
        return 8.0, 1.0, *VOWELS_HZ[symbol]
    return 5.0, 0.45, 250.0 + 37 * (index % 17), 1500.0 + 61 * (index % 29)


def _table() -> npt.NDArray[np.float32]:
    """Returns, for each id, frames, amplitude and two frequencies in Hz."""
    table = np.zeros((N_IDS, 4), np.float32)
    table[: len(SYMBOLS)] = [_sound(index, symbol) for index, symbol in enumerate(SYMBOLS)]
    return table


class _Graph:
    """Collects nodes and constants; each node's output bears the name that it is given."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def const(self, name: str, value: npt.ArrayLike, dtype: Any) -> None:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))

    def op(self, kind: str, inputs: str, outputs: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs.split(), outputs.split(), **attributes))


def _add_constants(g: _Graph, rate_hz: int) -> None:
    table = _table()
    g.const("frames_of", table[:, 0], np.float32)
    g.const("amp_of", table[:, 1], np.float32)
    g.const("f1_of", table[:, 2] / rate_hz, np.float32)
    g.const("f2_of", table[:, 3] / rate_hz, np.float32)
    for number in (0, 1, 2):
        g.const(f"i{number}", number, np.int64)
    for name, axes in {"ax0": [0], "ax1": [1], "ax12": [1, 2], "last": [-1]}.items():
        g.const(name, axes, np.int64)
    g.const("one", 1, np.float32)
    g.const("turn", 2 * math.pi, np.float32)
    g.const("hold", np.ones((1, 1, 1, HOP)), np.float32)
    g.const("three_rows", [0, 3, -1], np.int64)
    g.const("flat_shape", [-1, 1], np.int64)
    g.const("rows_shape", [-1, 3], np.int64)
    g.const("box", np.full((1, 1, CLICK_FILTER), 1 / CLICK_FILTER), np.float32)
    g.const("f0", CARRIER_HZ / rate_hz, np.float64)
    g.const("depth", 0.75, np.float32)
    g.const("gain1", 0.42, np.float32)
    g.const("gain2", 0.22, np.float32)
    g.const("gain_noise", 0.01, np.float32)


def _add_durations(g: _Graph) -> None:
    """Phonemes [B, P] to frames and, for each frame, the phoneme that sounds in it [B, P, F]."""
    g.op("Gather", "scales i0", "noise_scale", axis=0)
    g.op("Gather", "scales i1", "length_scale", axis=0)
    g.op("Shape", "input", "input_shape")
    g.op("Gather", "input_shape i1", "phoneme_count", axis=0)
    g.op("Range", "i0 phoneme_count i1", "position")
    g.op("Unsqueeze", "position ax0", "position_row")
    g.op("Unsqueeze", "input_lengths ax1", "lengths_column")
    g.op("Less", "position_row lengths_column", "is_inside")
    g.op("Cast", "is_inside", "inside", to=TensorProto.FLOAT)
    g.op("Gather", "frames_of input", "w_plain", axis=0)
    g.op("Mul", "w_plain length_scale", "w_scaled")
    g.op("Mul", "w_scaled inside", "w_masked")
    g.op("Unsqueeze", "w_masked ax1", "w_row")
    g.op("Ceil", "w_row", "w_ceil")  # the one Ceil by which Piper finds the alignments, as in VITS
    g.op("Squeeze", "w_ceil ax1", "w")
    g.op("CumSum", "w i1", "w_end")
    g.op("Sub", "w_end w", "w_start")
    g.op("ReduceSum", "w_ceil ax12", "frame_sum", keepdims=0)
    g.op("Max", "frame_sum one", "frame_count")
    g.op("ReduceMax", "frame_count", "frame_most", keepdims=0)
    g.op("Cast", "frame_most", "frame_most_i", to=TensorProto.INT64)
    g.op("Range", "i0 frame_most_i i1", "frame_i")
    g.op("Cast", "frame_i", "frame_f", to=TensorProto.FLOAT)
    g.op("Unsqueeze", "frame_f ax0", "frame_row")
    g.op("Unsqueeze", "frame_row ax0", "frame")
    g.op("Unsqueeze", "w_start last", "from_frame")
    g.op("Unsqueeze", "w_end last", "to_frame")
    g.op("GreaterOrEqual", "frame from_frame", "has_begun")
    g.op("Less", "frame to_frame", "goes_on")
    g.op("And", "has_begun goes_on", "is_sounding")
    g.op("Cast", "is_sounding", "path", to=TensorProto.FLOAT)


def _add_controls(g: _Graph) -> None:
    """Frequencies and amplitude per sample [B, 1, S], without clicks where phonemes meet."""
    for kind in ("f1", "f2", "amp"):
        g.op("Gather", f"{kind}_of input", f"{kind}_phoneme", axis=0)
        g.op("Unsqueeze", f"{kind}_phoneme ax1", f"{kind}_row")
        g.op("MatMul", f"{kind}_row path", f"{kind}_frame")
    g.op("Concat", "f1_frame f2_frame amp_frame", "control_frame", axis=1)
    g.op("Unsqueeze", "control_frame last", "control_column")
    g.op("Mul", "control_column hold", "control_held")
    g.op("Reshape", "control_held three_rows", "control")
    g.op("Shape", "control", "control_shape")
    g.op("Gather", "control_shape i2", "sample_count", axis=0)
    g.op("Unsqueeze", "sample_count ax0", "sample_count_1")
    g.op("Concat", "flat_shape sample_count_1", "to_flat", axis=0)
    g.op("Concat", "rows_shape sample_count_1", "to_rows", axis=0)
    g.op("Reshape", "control to_flat", "flat")
    pad = CLICK_FILTER // 2
    g.op("Conv", "flat box", "flat_smooth", kernel_shape=[CLICK_FILTER], pads=[pad, pad])
    g.op("Reshape", "flat_smooth to_rows", "smooth")
    g.op("Split", "smooth", "tone1 tone2 amp", axis=1, num_outputs=3)


def _add_oscillators(g: _Graph) -> None:
    """Phases are sums in float64, so that a long text keeps its pitch."""
    for tone in ("tone1", "tone2"):
        g.op("Cast", tone, f"{tone}_double", to=TensorProto.DOUBLE)
        g.op("CumSum", f"{tone}_double i2", f"{tone}_turns")
        g.op("Floor", f"{tone}_turns", f"{tone}_whole")
        g.op("Sub", f"{tone}_turns {tone}_whole", f"{tone}_part")
        g.op("Cast", f"{tone}_part", f"{tone}_float", to=TensorProto.FLOAT)
        g.op("Mul", f"{tone}_float turn", f"{tone}_angle")
        g.op("Sin", f"{tone}_angle", f"{tone}_wave")
    g.op("Range", "i0 sample_count i1", "sample_i")
    g.op("Cast", "sample_i", "sample_d", to=TensorProto.DOUBLE)
    g.op("Mul", "sample_d f0", "voice_turns")
    g.op("Floor", "voice_turns", "voice_whole")
    g.op("Sub", "voice_turns voice_whole", "voice_part")
    g.op("Cast", "voice_part", "voice_float", to=TensorProto.FLOAT)
    g.op("Mul", "voice_float depth", "voice_dip")
    g.op("Sub", "one voice_dip", "voice")
    g.op("Mul", "tone1_wave gain1", "part1")
    g.op("Mul", "tone2_wave gain2", "part2")
    g.op("Add", "part1 part2", "tones")
    g.op("Mul", "tones voice", "voiced")
    g.op("RandomNormalLike", "amp", "random", mean=0.0, scale=1.0, seed=1234.0)
    g.op("Mul", "random gain_noise", "noise_small")
    g.op("Mul", "noise_small noise_scale", "noise")
    g.op("Add", "voiced noise", "sound")
    g.op("Mul", "sound amp", "output")


def build(path: Path, *, rate_hz: int = 22050, language: str = "en_US", espeak_voice: str = "en-us") -> Path:
    """Writes ``<path>`` (``….onnx``) and ``<path>.json``; returns the path. Folders are made."""
    g = _Graph()
    _add_constants(g, rate_hz)
    _add_durations(g)
    _add_controls(g)
    _add_oscillators(g)
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, ["batch_size", "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch_size"]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch_size", 1, "time"])]
    graph = helper.make_graph(g.nodes, "tiny_voice", inputs, outputs, g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    config = {
        "audio": {"sample_rate": rate_hz, "quality": "x_low"},
        "espeak": {"voice": espeak_voice},
        "inference": {"noise_scale": 0.0, "length_scale": 1.0, "noise_w": 0.0},
        "phoneme_type": "espeak",
        "phoneme_map": {},
        "phoneme_id_map": {symbol: [index] for index, symbol in enumerate(SYMBOLS)},
        "num_symbols": N_IDS,
        "num_speakers": 1,
        "speaker_id_map": {},
        "hop_length": HOP,
        "language": {"code": language},
        "dataset": "tones",
    }
    path.with_name(path.name + ".json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    return path


def install(models_dir: Path, name: str = "en_US-tiny-low", **options: Any) -> Path:
    """Builds a voice where the TTS service looks for it, ``<models_dir>/tts/<name>/<name>.onnx``."""
    return build(models_dir / "tts" / name / f"{name}.onnx", **options)


def frames(symbol: str) -> int:
    """Returns how many frames of ``HOP`` samples a phoneme lasts; none that the voice does not know."""
    return int(_sound(0, symbol)[0]) if symbol in SYMBOLS else 0


def sounding(phonemes: list[str]) -> list[str]:
    """Returns what ``decode`` can hear of phonemes: no pauses, no marks, repetitions once."""
    table = _table()
    heard = [symbol for symbol in phonemes if symbol in SYMBOLS and table[SYMBOLS.index(symbol), 1] > 0]
    return [symbol for index, symbol in enumerate(heard) if index == 0 or heard[index - 1] != symbol]


def decode(audio: npt.NDArray[np.floating[Any]], rate_hz: int) -> list[str]:
    """Recovers the phonemes from this voice's audio (floats in [-1, 1]); repetitions appear once.

    Of each 1024-sample window the two strongest tones are compared with those of every phoneme. Measured:
    94-100 % right, also after mp3, Opus and AAC; 99 % at 10 dB of signal to noise.
    """
    table = _table()
    voiced = [index for index in range(len(SYMBOLS)) if table[index, 1] > 0]
    tones = table[voiced, 2:4]
    size, window = 1024, np.hanning(1024)
    hertz = np.fft.rfftfreq(4 * size, 1 / rate_hz)
    low, high = (hertz > 200) & (hertz < 900), (hertz > 780) & (hertz < 3400)
    heard: list[str | None] = []
    for start in range(0, max(len(audio) - size, 0), HOP):
        frame = audio[start : start + size] * window
        if np.sqrt(np.mean(frame * frame)) < 0.02:
            heard.append(None)
            continue
        power = np.abs(np.fft.rfft(frame, 4 * size))
        first = hertz[low][power[low].argmax()]
        is_other = high & (np.abs(hertz - first) > 160) & (np.abs(hertz - 2 * first) > 40)
        second = hertz[np.where(is_other, power, 0).argmax()]
        distance = np.abs(tones[:, 0] - first) / 40 + np.abs(tones[:, 1] - second) / 40
        heard.append(SYMBOLS[voiced[int(distance.argmin())]] if distance.min() < 1.5 else None)
    return _runs(heard)


def _runs(heard: list[str | None]) -> list[str]:
    """Returns what was heard in at least two windows on end."""
    found: list[str] = []
    for before, now in itertools.pairwise(heard):
        if now is not None and before == now and (not found or found[-1] != now):
            found.append(now)
    return found
