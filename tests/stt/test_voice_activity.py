from __future__ import annotations

import numpy as np
import pytest

from services.stt.engine import FRAME, Pcm
from services.stt.vad import SileroModel, SileroStream, silero_path
from tests.fakes.speech import Pcm as Int16
from tests.fakes.speech import noise, silence, speech


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel(silero_path())


def frames(pcm: Int16) -> list[Pcm]:
    whole = pcm[: len(pcm) // FRAME * FRAME].astype(np.float32) / 32768
    return list(whole.reshape(-1, FRAME))


def probabilities(stream: SileroStream, pcm: Int16) -> list[float]:
    return [stream.probability(frame) for frame in frames(pcm)]


@pytest.mark.parametrize(
    ("text", "voice"), [("my name is john and i live in london", "en-us"), ("bonjour tout le monde", "fr")]
)
def test_speech_is_heard_as_speech(silero: SileroModel, text: str, voice: str) -> None:
    heard = probabilities(silero.stream(), speech(text, voice=voice))
    assert np.mean(heard) > 0.7


@pytest.mark.parametrize(
    "pcm", [silence(2), noise(2, sigma=30), noise(2, sigma=1000)], ids=["silence", "hiss", "loud noise"]
)
def test_silence_and_noise_are_not_speech(silero: SileroModel, pcm: Int16) -> None:
    assert max(probabilities(silero.stream(), pcm)) < 0.35


def test_each_session_has_a_state_of_its_own(silero: SileroModel) -> None:
    words = speech("stop talking please")
    alone = probabilities(silero.stream(), words)
    one, other = silero.stream(), silero.stream()
    mixed = []
    for frame, hiss in zip(frames(words), frames(noise(len(words) / 16000 + 1)), strict=False):
        mixed.append(one.probability(frame))
        other.probability(hiss)
    assert mixed == pytest.approx(alone, abs=1e-5)


def test_the_streamed_frames_give_what_the_carrier_computes_on_the_whole(silero: SileroModel) -> None:
    from faster_whisper.vad import get_vad_model  # noqa: PLC0415 - slow to import

    words = speech("my name is john and i live in london")
    whole = words[: len(words) // FRAME * FRAME].astype(np.float32) / 32768
    expected = get_vad_model()(whole).reshape(-1)
    # The first frame differs: there the carrier has the last samples for context, not silence.
    assert probabilities(silero.stream(), words)[1:] == pytest.approx(list(expected[1:]), abs=0.02)
