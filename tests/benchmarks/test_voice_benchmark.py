"""The voice's benchmark counts what it says: silences, limits, aims, the other server's protocol."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import voice_formats
from benchmarks.voice_faults import Fate
from benchmarks.voice_latency import EVA, PIPER, measure
from benchmarks.voice_load import Playout, Step, limit
from benchmarks.voice_load import measure as measure_load
from benchmarks.voice_models import TEXTS, factor, find, install
from benchmarks.voice_peers import Said, eva, piper_itself, read_event
from benchmarks.voice_plot import plot_lengths, plot_load
from benchmarks.voice_report import aims, fate_table, lines, step_table
from services.tts.chain import Chain
from shared.errors import EngineFailed
from tests.fakes.voices import empty, engine, tone
from tests.models import tiny_voice


def turn(*chunks: tuple[float, float]) -> Playout:
    """Chunks of so many seconds, each at its time, ms; asked for at 0."""
    heard = Playout(0.0)
    for at_ms, seconds in chunks:
        heard.take(seconds, at_ms)
    return heard


def test_a_sound_breaks_off_when_a_chunk_comes_after_all_before_it_has_been_played() -> None:
    smooth = turn((100.0, 0.1), (150.0, 0.1), (299.0, 0.1))
    assert (smooth.first_ms, smooth.played_to_ms, smooth.gaps_ms) == (100.0, 400.0, [])
    broken = turn((100.0, 0.1), (260.0, 0.1), (340.0, 0.1))
    assert (broken.gaps_ms, broken.played_to_ms) == ([60.0], 460.0)


def test_the_limit_is_the_last_step_before_the_first_that_broke_off() -> None:
    good, bad = [turn((1.0, 1.0))] * 99, turn((1.0, 0.1), (500.0, 0.1))
    carried, broken = Step(2, [*good, bad]), Step(4, [*good, bad, bad])
    assert limit([Step(1, good), carried, broken, Step(8, good)]) == 2
    assert limit([broken]) == 0
    assert not Step(1, [Playout(0.0)] * 2).is_carried, "nothing was heard"
    assert "| 4 | 101 | 1 | 1 | 2 | 399 | no |" in step_table([carried, broken])


def test_the_texts_are_single_sentences_of_as_many_words_as_they_say() -> None:
    for words, text in TEXTS.items():
        assert len(text.split()) == words
        assert text.count(".") == 1


def test_a_voice_with_random_weights_is_brought_to_the_speed_of_speech_and_others_are_left_alone() -> None:
    assert factor(140, 10.0) == 1.0
    assert factor(280, 10.0) == 2.0
    assert factor(70, 10.0) == 0.5


def test_the_largest_voice_is_measured_and_without_any_it_is_said_so(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    model = install(tmp_path, tmp_path / "data", threads=1)
    assert model.path.is_file()
    assert "no voice" in model.note
    voice = tiny_voice.build(tmp_path / "voices" / "a" / "one.onnx")
    (tmp_path / "voices" / "two.onnx").write_bytes(b"x" * 10**5)
    assert find(tmp_path / "voices") == voice, "the other has no configuration"
    assert install(tmp_path / "voices", tmp_path / "other", threads=1, name="one").name == "one"
    with pytest.raises(FileNotFoundError, match="three"):
        install(tmp_path / "voices", tmp_path / "other", threads=1, name="three")


def test_everybody_says_each_sentence_and_the_aims_follow_from_the_medians(tmp_path: Path) -> None:
    said = {EVA: 10.0, PIPER: 40.0}

    def speaker(name: str) -> object:
        return lambda text: Said(said[name], 2 * said[name] + len(text), 1.0, 5.0)

    latency = measure({name: speaker(name) for name in said}, 4)  # type: ignore[misc]
    assert latency.names() == [EVA, PIPER]
    assert [len(latency.first_ms(EVA, words)) for words in TEXTS] == [4, 4, 4]
    assert latency.aims()["first audio of 12 words, × piper-tts"][0] == 0.25
    assert "| 1.00 | ≤ 1.30 | yes |" in aims(latency)
    assert [line.note for line in lines(latency, latency.first_ms)][:2] == ["p50 0.25 × piper-tts", ""]
    plot_lengths(latency, tmp_path / "length.svg")
    plot_load([Step(1, [turn((1.0, 1.0))])], tmp_path / "load.svg")
    assert all(b"<svg" in (tmp_path / name).read_bytes() for name in ("length.svg", "load.svg"))


def test_both_say_a_sentence_of_the_same_file_and_another_voice_is_no_figure(tmp_path: Path) -> None:
    model = install(tmp_path, tmp_path, threads=1)
    ours, theirs = eva(model.chain(), voice=model.name)(TEXTS[12]), piper_itself(model)(TEXTS[12])
    assert ours.audio_s == pytest.approx(theirs.audio_s, abs=0.6)
    for it in (ours, theirs):
        assert 0.0 < it.first_ms <= it.whole_ms
    broken = Chain([engine("first", empty), engine("second")], time.monotonic)
    with pytest.raises(EngineFailed, match="second spoke in its place"):
        eva(broken)(TEXTS[3])


def test_people_hear_their_turns_from_one_worker() -> None:
    brief = engine("brief", lambda _: iter([tone(0.7)]))
    step = asyncio.run(measure_load(Chain([brief], time.monotonic), 2, 0.0))
    assert step.streams == 2
    assert len(step.turns) == 2
    assert all(turn.first_ms is not None for turn in step.turns)


def test_events_of_the_wyoming_protocol_are_read_with_their_data_and_payload() -> None:
    data = json.dumps({"rate": 16000}).encode()
    head = json.dumps({"type": "audio-chunk", "data_length": len(data), "payload_length": 4}).encode()
    file = io.BytesIO(head + b"\n" + data + b"abcd" + b'{"type": "audio-stop"}\n')
    assert read_event(file) == ("audio-chunk", {"rate": 16000}, b"abcd")
    assert read_event(file) == ("audio-stop", {}, b"")
    with pytest.raises(OSError, match="left"):
        read_event(file)


def test_faults_of_one_kind_share_a_row_with_the_worst_silence() -> None:
    rows = fate_table([Fate("nan", "a", "all", 10.0, 0.0), Fate("nan", "a", "all", 30.0, 7.0)])
    assert "| nan | 2 | a | all | 20 | 7 |" in rows


def test_first_chunks_and_edges_are_measured_on_sound() -> None:
    first = voice_formats.first_chunk("pcm", 22050, 2)
    assert first.needs_ms == pytest.approx(92.9, abs=0.1)
    assert len(first.compute_ms) == 2
    silence = np.zeros(2205, np.float32)
    assert voice_formats.edge_ms(np.concatenate([silence, voice_formats.speech(0.1)]), 22050) >= 100.0
    assert len(voice_formats.judging_ms(2)) == 2
