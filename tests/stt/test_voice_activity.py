from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from services.stt.engine import FRAME, Frames
from services.stt.silero_graph import UnknownGraph, batched
from services.stt.vad import STATE, SileroModel, silero_path
from tests.fakes.speech import Pcm, noise, silence, speech, tone

WORDS = "my name is john and i live in london"


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel(silero_path())


def cut(pcm: Pcm) -> Frames:
    whole = pcm[: len(pcm) // FRAME * FRAME].astype(np.float32) / 32768
    return whole.reshape(-1, FRAME)


def fresh(sessions: int = 1) -> np.ndarray:
    return np.zeros((sessions, STATE), dtype=np.float32)


def probabilities(silero: SileroModel, pcm: Pcm) -> list[float]:
    return silero.run(fresh()[0], cut(pcm))[0]


@pytest.mark.parametrize(("text", "voice"), [(WORDS, "en-us"), ("bonjour tout le monde", "fr")])
def test_speech_is_heard_as_speech(silero: SileroModel, text: str, voice: str) -> None:
    assert np.mean(probabilities(silero, speech(text, voice=voice))) > 0.7


@pytest.mark.parametrize(
    "pcm", [silence(2), noise(2, sigma=30), noise(2, sigma=1000)], ids=["silence", "hiss", "loud noise"]
)
def test_silence_and_noise_are_not_speech(silero: SileroModel, pcm: Pcm) -> None:
    assert max(probabilities(silero, pcm)) < 0.35


def test_frame_by_frame_gives_what_a_run_of_them_gives(silero: SileroModel) -> None:
    stream = silero.open()
    assert [stream.probability(frame) for frame in cut(speech(WORDS))] == pytest.approx(
        probabilities(silero, speech(WORDS)), abs=1e-5
    )


async def test_a_stream_by_itself_takes_any_number_of_frames(silero: SileroModel) -> None:
    stream, frames = silero.open(), cut(speech(WORDS))
    heard = await stream.probabilities(frames[:7])
    assert await stream.probabilities(frames[:0]) == []
    heard += await stream.probabilities(frames[7:])
    assert heard == pytest.approx(probabilities(silero, speech(WORDS)), abs=1e-5)


def test_one_call_for_many_sessions_gives_each_what_it_gets_alone(silero: SileroModel) -> None:
    assert silero.is_batched
    sounds = [
        speech(WORDS),
        speech("bonjour tout le monde", voice="fr"),
        noise(2, sigma=300),
        noise(2, sigma=3000, seed=2),
        tone(440, 2),
        silence(2),
        np.concatenate([silence(0.7), speech("stop talking please")]),
    ]
    frames = [cut(sound) for sound in sounds * 8]
    begins = [(7 * number) % 23 for number in range(len(frames))]  # each comes in a phase of its own
    states = fresh(len(frames))
    heard: list[list[float]] = [[] for _ in frames]
    for now in range(max(map(len, frames)) + 23):
        present = [
            number
            for number, begin in enumerate(begins)
            if begin <= now < begin + len(frames[number]) and (now + number) % 11  # and has its gaps
        ]
        if present:
            rows = np.stack([frames[number][len(heard[number])] for number in present])
            said, states[present] = silero.step(states[present], rows)
            for number, probability in zip(present, said, strict=True):
                heard[number].append(probability)
    for pcm, got in zip(frames, heard, strict=True):
        assert len(got) > 20
        alone, _ = silero.run(fresh()[0], pcm[: len(got)])
        assert got == pytest.approx(alone, abs=1e-5)


def test_the_streamed_frames_give_what_the_carrier_computes_on_the_whole(silero: SileroModel) -> None:
    from faster_whisper.vad import get_vad_model  # noqa: PLC0415 - slow to import

    whole = cut(speech(WORDS)).reshape(-1)
    expected = get_vad_model()(whole).reshape(-1)
    # The first frame differs: there the carrier has the last samples for context, not silence.
    assert probabilities(silero, speech(WORDS))[1:] == pytest.approx(list(expected[1:]), abs=0.02)


def broken(path: Path, node_type: str, change: str) -> Path:
    """The model with one thing about its nodes of a type changed."""
    model = onnx.load(silero_path())
    nodes = [node for node in model.graph.node if node.op_type == node_type]
    if change == "perm":
        nodes[0].attribute[0].ints[:] = [0, 1, 2]
    elif change == "state":
        nodes[0].input[5], nodes[0].input[6] = nodes[0].input[6], nodes[0].input[5]
    elif change == "twice":
        model.graph.node.append(nodes[0])
    elif change == "gone":
        for node in nodes:
            node.op_type = "Identity"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("node_type", "change"),
    [("Transpose", "perm"), ("Transpose", "gone"), ("LSTM", "state"), ("LSTM", "twice")],
)
def test_a_file_of_another_make_is_not_operated_on(tmp_path: Path, node_type: str, change: str) -> None:
    with pytest.raises(UnknownGraph):
        batched(broken(tmp_path / "other.onnx", node_type, change))


def test_a_file_that_cannot_be_batched_serves_by_one_call_for_each_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = onnx.load(silero_path())
    model.graph.node.append(onnx.helper.make_node("Transpose", ["h"], ["unused"], perm=[0, 1, 2]))
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    with caplog.at_level(logging.WARNING, "eva.stt"):
        silero = SileroModel(tmp_path / "other.onnx")
    assert not silero.is_batched
    assert [record.message for record in caplog.records] == ["stt.voice_activity_unbatched"]
    frames = cut(speech(WORDS))[:20]
    hiss = cut(noise(2))[:20]
    states, heard = fresh(2), []
    for frame, other in zip(frames, hiss, strict=True):
        said, states = silero.step(states, np.stack([frame, other]))
        heard.append(said)
    assert [said[0] for said in heard] == pytest.approx(silero.run(fresh()[0], frames)[0], abs=1e-5)
    assert max(said[1] for said in heard) < 0.35


def test_a_batched_form_that_computes_something_else_is_not_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def wrong(path: Path) -> bytes:
        model = onnx.load_from_string(batched(path))
        for value in model.graph.initializer:
            if value.name == "decoder.conv1d.bias":
                value.CopyFrom(onnx.numpy_helper.from_array(np.float32([0.5]), value.name))
        return model.SerializeToString()

    with caplog.at_level(logging.WARNING, "eva.stt"):
        assert not SileroModel(silero_path(), wrong).is_batched
    assert len(caplog.records) == 1
