"""A voice in parts is the voice: the same samples, no clicks; several architectures, speakers, lengths."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from services.tts import piper
from services.tts.crops import dropped
from services.tts.device import OutOfMemory
from services.tts.engine import Line
from services.tts.piper_model import Voicing
from services.tts.piper_phones import CUT_FROM, ids_of
from services.tts.piper_stream import Sentence
from services.tts.split_graph import NotSplit, find
from services.tts.split_proof import prove
from services.tts.split_store import FOLDER, RECORD, Split, split
from services.tts.windows import CROWDED_SOUND_FRAMES, SOUND_FRAMES, Window
from shared.audio import Samples
from tests.models import tiny_vits

BOUND = 1e-5
"""Of the loudest sample; what the sum of as many floats in another order differs by."""
TEXTS = {
    "a word": "No.",
    "a sentence": "Hello there, this is a test of the voice today.",
    "a long one": "When the evening comes, and the lights begin to shine over the water, we like to sit "
    "on the old bench near the bridge and talk about all that happened in the course of a long day",
}
VOICES: dict[str, dict[str, Any]] = {
    "fast": {},
    "fine": {"shape": tiny_vits.FINE, "seed": 2},
    "several speakers": {"speakers": ("anna", "ben", "cleo"), "seed": 3},
    "without a flow": {"kind": "flowless", "seed": 4},
    "narrow": {"channels": 8, "seed": 5},
}
QUIET = Voicing(noise=0.0, length=1.0, noise_w=0.0)


@pytest.fixture(scope="module", params=VOICES)
def voice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> piper.PiperVoice:
    path = tmp_path_factory.mktemp(str(request.param)) / "en_US-vits-low.onnx"
    return load(tiny_vits.build(path, **VOICES[request.param]))


def load(model: Path) -> piper.PiperVoice:
    return piper.load_voice(model, device="cpu", threads=1)


def pieces(voice: piper.PiperVoice, text: str) -> list[Samples]:
    if not voice.is_streamed:
        voice.whole.open()  # however long this machine takes
    return [sound.samples for sound in voice.speak(Line(text=text))]


def steps_at_seams(parts: list[Samples]) -> tuple[float, float]:
    """Returns the largest step from sample to sample at a seam, and anywhere else."""
    sound = np.concatenate(parts)
    steps = np.abs(np.diff(sound))
    seams = np.cumsum([len(part) for part in parts])[:-1] - 1
    elsewhere = np.delete(steps, seams)
    return float(steps[seams].max(initial=0.0)), float(elsewhere.max())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_windows_are_the_whole_sentence_sample_by_sample(voice: piper.PiperVoice, text: str) -> None:
    assert voice.is_streamed, voice.why_whole
    assert voice.parts is not None
    for speaker in (voice, *voice.speakers()):
        parts = pieces(speaker, text)
        (whole,) = pieces(speaker.twin(), text)
        sound = np.concatenate(parts)
        assert len(sound) == len(whole)
        assert np.abs(whole).max() > 0.01
        assert np.abs(sound - whole).max() <= BOUND * np.abs(whole).max()
        assert len(parts[0]) == SOUND_FRAMES[0] * 256 or len(parts) == 1


def test_where_others_are_spoken_to_the_first_piece_lasts_longer_and_the_sound_is_the_same(
    voice: piper.PiperVoice,
) -> None:
    text = max(TEXTS.values(), key=len)
    crowded = [sound.samples for sound in voice.speak(Line(text=text, is_crowded=True))]
    alone = pieces(voice, text)
    assert (len(crowded[0]), len(alone[0])) == (CROWDED_SOUND_FRAMES[0] * 256, SOUND_FRAMES[0] * 256)
    assert np.abs(np.concatenate(crowded) - np.concatenate(alone)).max() <= BOUND


def test_a_flow_that_sees_all_frames_stays_with_the_text(tmp_path: Path) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx", kind="blurred"))
    assert voice.parts is not None
    assert voice.parts.cut.flow is None
    assert "ReduceMean" in voice.parts.cut.why_no_flow
    (whole,) = pieces(voice.twin(), TEXTS["a sentence"])
    sound = np.concatenate(pieces(voice, TEXTS["a sentence"]))
    assert np.abs(sound - whole).max() <= BOUND * np.abs(whole).max()


def test_no_step_at_a_seam_is_larger_than_those_elsewhere(voice: piper.PiperVoice) -> None:
    lively = Voicing(noise=0.667, length=1.0, noise_w=0.8)
    id_map = voice.vits.config.phoneme_id_map
    (phonemes,) = voice.vits.phonemize(TEXTS["a long one"])
    assert voice.parts is not None
    sentence = Sentence(voice.parts, phonemes, id_map, lively)
    at_seams, elsewhere = steps_at_seams(list(sentence.pieces()))
    assert at_seams <= elsewhere


def test_the_first_window_costs_the_same_however_long_the_line_is(tmp_path: Path) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx"))
    counts = []
    for words in (20, 80):
        counting = Counting(voice)
        line = " ".join(["over the water"] * (words // 3))
        (phonemes,) = voice.vits.phonemize(line)
        assert len(phonemes) > CUT_FROM
        next(Sentence(counting, phonemes, voice.vits.config.phoneme_id_map, QUIET).pieces())
        counts.append((counting.ids, counting.flow_frames, counting.sound_frames))
    assert counts[0] == counts[1]
    assert counts[0][0] < 100
    assert counts[0][2] == SOUND_FRAMES[0] + voice.parts.cut.decoder.margin if voice.parts else False


class Counting:
    """A voice's parts that count what they compute."""

    def __init__(self, voice: piper.PiperVoice) -> None:
        assert voice.parts is not None
        self._parts = voice.parts
        self.cut, self.is_fixed = voice.parts.cut, False
        self.ids = self.flow_frames = self.sound_frames = 0

    def text(self, ids: Any, voicing: Voicing) -> Any:
        self.ids += len(ids)
        return self._parts.text(ids, voicing)

    def text_ahead(self, ids: Any, voicing: Voicing) -> Any:
        return lambda: self.text(ids, voicing)

    def flow(self, columns: Any, borders: Any, *, is_retry: bool = False) -> Any:
        self.flow_frames += columns.shape[2]
        return self._parts.flow(columns, borders)

    def decode(self, columns: Any, window: Window, borders: Any, *, is_retry: bool = False) -> Any:
        self.sound_frames += window.frames
        return self._parts.decode(columns, window, borders)


def test_windows_of_fixed_shapes_are_the_whole_as_well(tmp_path: Path) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx", **VOICES["several speakers"]))
    assert voice.parts is not None
    shapes = set()

    class Fixed(Counting):
        def decode(self, columns: Any, window: Window, borders: Any, *, is_retry: bool = False) -> Any:
            shapes.add(window.frames)
            return self._parts.decode(columns, window, borders)

    for text in list(TEXTS.values())[1:]:
        (whole,) = pieces(voice.twin(), text)
        parts = Fixed(voice)
        parts.is_fixed = True
        (phonemes,) = voice.vits.phonemize(text)
        made = Sentence(parts, phonemes, voice.vits.config.phoneme_id_map, QUIET).pieces()
        assert np.abs(np.concatenate(list(made)) - whole).max() <= BOUND * np.abs(whole).max()
    assert len(shapes) <= len(SOUND_FRAMES) + 1


def test_a_device_without_room_gets_smaller_windows_from_then_on(tmp_path: Path) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx"))
    (whole,) = pieces(voice.twin(), TEXTS["a sentence"])
    asked: list[tuple[int, bool]] = []

    class Narrow(Counting):
        room = 40

        def decode(self, columns: Any, window: Window, borders: Any, *, is_retry: bool = False) -> Any:
            asked.append((window.frames, is_retry))
            if window.frames > self.room:
                raise OutOfMemory("no room")
            return self._parts.decode(columns, window, borders)

    (phonemes,) = voice.vits.phonemize(TEXTS["a sentence"])
    made = list(Sentence(Narrow(voice), phonemes, voice.vits.config.phoneme_id_map, QUIET).pieces())
    assert np.abs(np.concatenate(made) - whole).max() <= BOUND * np.abs(whole).max()
    assert [is_retry for _, is_retry in asked].count(True) == 1
    assert [size > Narrow.room for size, _ in asked].count(True) == 1
    Narrow.room = 4
    with pytest.raises(OutOfMemory):
        list(Sentence(Narrow(voice), phonemes, voice.vits.config.phoneme_id_map, QUIET).pieces())


def test_windows_of_several_speakers_are_decoded_together(tmp_path: Path) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx", **VOICES["several speakers"]))
    assert voice.parts is not None
    ids, _ = ids_of(list("hello"), voice.vits.config.phoneme_id_map)
    said = [
        voice.parts.text(ids, Voicing(noise=0, length=2, noise_w=0, speaker=speaker)) for speaker in range(3)
    ]
    section = voice.parts.cut.decoder
    window = Window(begin=14, end=44, skip=12, keep=6)
    alone = [voice.parts.decode(each.columns, window, each.borders) for each in said]
    drop = dropped(section.crops, hop=section.hop, **window.around(section.margin))
    begin = window.skip * section.hop - drop.samples
    windows = [each.columns[:, :, window.begin : window.end] for each in said]
    together = [
        made[:, begin : begin + window.keep * section.hop]
        for made in voice.parts.decode_batch(windows, [each.borders for each in said], drop)
    ]
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() <= BOUND
    assert np.abs(alone[0] - alone[1]).max() > 0.001


def test_a_window_drops_its_margins_on_its_way(voice: piper.PiperVoice) -> None:
    assert voice.parts is not None
    section = voice.parts.cut.decoder
    whole = onnx.load(voice.whole.path)
    assert len(section.crops) == sum(node.op_type == "ConvTranspose" for node in whole.graph.node)
    assert voice.note == ""
    ids, _ = ids_of(list("hello"), voice.vits.config.phoneme_id_map)
    said = voice.parts.text(ids, Voicing(noise=0, length=4, noise_w=0))
    margin, keep = section.margin, 4
    columns = said.columns[:, :, : 2 * margin + keep]
    drop = dropped(section.crops, hop=section.hop, left=margin, right=margin)
    (made,) = voice.parts.decode_batch([columns], [said.borders], drop)
    (carried,) = voice.parts.decode_batch([columns], [said.borders])
    assert carried.shape[1] == (2 * margin + keep) * section.hop
    assert made.shape[1] < (keep + 2) * section.hop, "less than a frame on each side is left at the end"
    begin = margin * section.hop
    kept = made[:, begin - drop.samples :][:, : keep * section.hop]
    expected = carried[:, begin : begin + keep * section.hop]
    assert np.abs(kept - expected).max() <= BOUND * np.abs(carried).max()


def kinds(part: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in part.graph.node)


def ranks(part: onnx.ModelProto) -> set[int]:
    """Returns of which ranks the weights of a part's convolutions are."""
    dims = {item.name: len(item.dims) for item in part.graph.initializer}
    return {dims[node.input[1]] for node in part.graph.node if node.op_type.startswith("Conv")}


@pytest.mark.parametrize(("channels", "rank"), [(16, 4), (8, 3)])
def test_whole_blocks_of_channels_are_computed_by_pictures(tmp_path: Path, channels: int, rank: int) -> None:
    made = split(model(tmp_path, channels=channels)).parts
    read = {name: onnx.load_model_from_string(part) for name, part in made.items()}
    assert ranks(read["text"]) == {rank}
    assert ranks(read["flow"]) == {3, rank}, "where channels are halved they fill no block"
    assert ranks(read["decoder"]) == {3, rank}, "the sound is one channel"
    assert kinds(read["text"])["LayerNormalization"] == 1
    assert kinds(read["text"])["Sqrt"] == 0
    assert (kinds(read["decoder"])["ConvTranspose"] == 0) == (rank == 4)


def test_a_decoder_that_something_goes_around_keeps_its_margins_and_says_so(tmp_path: Path) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx", kind="sized"))
    assert voice.is_streamed
    assert voice.parts is not None
    assert voice.parts.cut.decoder.crops == ()
    assert voice.note == "its decoder cannot be cropped on its way"
    (whole,) = pieces(voice.twin(), TEXTS["a sentence"])
    sound = np.concatenate(pieces(voice, TEXTS["a sentence"]))
    assert np.abs(sound - whole).max() <= BOUND * np.abs(whole).max()


def test_slices_that_are_no_inputs_yet_are_not_put_into_a_decoder(tmp_path: Path) -> None:
    old = onnx.load(model(tmp_path))
    old.opset_import[0].version = 9
    assert find(old).decoder.crops == ()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("global", "Sub stands before"),
        ("attentive", "Softmax may look at all frames"),
        ("straight", "no first transposed convolution"),
    ],
)
def test_a_voice_that_cannot_be_cut_speaks_as_a_whole_and_says_why(
    tmp_path: Path, kind: str, reason: str
) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx", kind=kind))
    assert not voice.is_streamed
    assert reason in voice.why_whole
    assert voice.note == voice.why_whole
    assert voice.whole.is_open
    assert len(pieces(voice, "One. Two.")) == 2
    assert piper.Piper("cpu", (voice,)).twin() is None


def test_the_tones_that_the_other_tests_hear_are_no_vits(tiny_voices: Path) -> None:
    voice = load(tiny_voices / "models" / "tts" / "en_US-tiny-low" / "en_US-tiny-low.onnx")
    assert "no first transposed convolution" in voice.why_whole


def test_the_whole_graph_is_opened_when_it_first_speaks(tmp_path: Path) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx"))
    engine = piper.Piper("cpu", (voice,))
    twin = engine.twin()
    assert twin is not None
    assert (twin.name, twin.device, twin.voices()[0].name) == (piper.WHOLE_NAME, "cpu", voice.name)
    assert not voice.whole.is_open
    twin.voices()[0].whole.open()
    assert voice.whole.is_open
    assert list(twin.voices()[0].speak(Line(text="Hello.")))


def test_a_speaker_is_found_by_name_and_sounds_different(tmp_path: Path) -> None:
    voice = load(tiny_vits.build(tmp_path / "en_US-vits-low.onnx", **VOICES["several speakers"]))
    engine = piper.Piper("cpu", (voice,))
    ben = engine.voice("en", "en_US-vits-low#ben")
    assert ben is not None
    assert (ben.name, ben.speaker, ben.parts) == ("en_US-vits-low#ben", 1, voice.parts)
    assert engine.voices() == (voice,)
    anna = np.concatenate(pieces(voice, "Hello."))
    other = np.concatenate(pieces(ben, "Hello."))
    assert len(anna) == len(other)
    assert np.abs(anna - other).max() > 0.001


# What is kept on disk


def model(folder: Path, **options: Any) -> Path:
    return tiny_vits.build(folder / "v.onnx", **options)


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.iterdir()}


def test_a_split_is_made_once_and_kept_beside_the_model(tmp_path: Path) -> None:
    path = model(tmp_path)
    first = split(path)
    kept = tmp_path / FOLDER / "v"
    before = inodes(kept)
    assert set(before) == {"text.onnx", "flow.onnx", "decoder.onnx", RECORD}
    assert first.note == ""
    again = split(path, proof=lambda _: pytest.fail("it was made anew"))
    assert again == first
    assert inodes(kept) == before


@pytest.mark.parametrize("harm", ["truncated", "swapped", "missing", "record", "version", "other"])
def test_what_is_not_what_was_written_is_made_anew(tmp_path: Path, harm: str) -> None:
    path = model(tmp_path)
    first = split(path)
    kept = tmp_path / FOLDER / "v"
    decoder, record = kept / "decoder.onnx", kept / RECORD
    told = json.loads(record.read_text())
    if harm == "truncated":
        decoder.write_bytes(decoder.read_bytes()[:1000])
    elif harm == "swapped":
        decoder.write_bytes((kept / "flow.onnx").read_bytes())
    elif harm == "missing":
        decoder.unlink()
    elif harm == "record":
        record.write_text(record.read_text()[:50])
    elif harm == "version":
        record.write_text(json.dumps(told | {"version": 0}))
    else:
        model(tmp_path, seed=9)
    proofs: list[Split] = []
    again = split(path, proof=proofs.append)
    assert proofs == [again]
    assert (again == first) == (harm != "other")
    assert split(path) == again
    assert json.loads(record.read_text())["model_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def blocked(folder: Path) -> None:
    """No folder can be made here, not even by root."""
    (folder / FOLDER).write_text("a file")


def test_a_folder_that_cannot_be_written_is_no_reason_to_be_whole(tmp_path: Path) -> None:
    path = model(tmp_path / "models")
    blocked(path.parent)
    kept = split(path, cache=tmp_path / "cache")
    assert str(tmp_path / "cache") in kept.note
    again = split(path, cache=tmp_path / "cache", proof=lambda _: pytest.fail("it was made anew"))
    assert again.parts == kept.parts
    assert str(tmp_path / "cache") in again.note
    blocked(tmp_path)
    nowhere = split(path, cache=tmp_path)
    assert nowhere.note.startswith("cut anew at each start: ")
    assert nowhere.parts == kept.parts
    assert not list((tmp_path / "cache").rglob(".*.onnx.*"))


def test_parts_that_are_not_the_voice_are_refused_before_anyone_hears_them(tmp_path: Path) -> None:
    path, other = model(tmp_path / "one"), model(tmp_path / "other", seed=7)
    ids, _ = ids_of(list("hello world"), load(path).vits.config.phoneme_id_map)
    assert prove(split(path), path, ids) <= BOUND
    with pytest.raises(NotSplit, match="differ from the whole"):
        prove(split(other), path, ids)
    longer = split(path)
    short = Split(cut=longer.cut, parts=longer.parts | {"text": longer.parts["decoder"]})
    with pytest.raises(NotSplit, match="do not run"):
        prove(short, path, ids)


def test_a_voice_whose_numbers_are_broken_is_not_cut(tmp_path: Path) -> None:
    path = model(tmp_path)
    broken = onnx.load(path)
    for constant in broken.graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT and len(constant.dims) == 3:
            values = onnx.numpy_helper.to_array(constant) * np.float32("nan")
            constant.CopyFrom(onnx.numpy_helper.from_array(values, constant.name))
    onnx.save(broken, path)
    voice = load(path)
    assert not voice.is_streamed
    assert "differ from the whole by nan" in voice.why_whole


def test_the_field_is_counted_from_kernels_and_dilations(tmp_path: Path) -> None:
    fast = find(onnx.load(model(tmp_path / "fast")))
    assert (fast.decoder.margin, fast.decoder.hop) == (12, 256)
    assert fast.flow is not None
    assert (fast.flow.margin, fast.flow.hop) == (8, 1)
    assert fast.flow.mask
    fine = find(onnx.load(model(tmp_path / "fine", shape=tiny_vits.FINE)))
    assert (fine.decoder.margin, fine.decoder.hop) == (14, 256)
