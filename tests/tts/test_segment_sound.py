"""A whole segment through chain, finish and encoder: equally loud, at its pitch, without waiting in front."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from services.tts.chain import Chain
from services.tts.engine import Prosody
from services.tts.lanes import Listener
from services.tts.loudness import TARGET_LUFS, Levels, measure
from services.tts.segment import Orders, make
from shared.audio import Samples, from_pcm16
from shared.errors import EngineFailed
from shared.messages import AudioFormat, Synthesize
from tests.fakes.voices import FakeEngine, FakeVoice, engine, tone

RATE_HZ = 24000
MOODS = {"bright": Prosody(pitch=3.0), "dark": Prosody(pitch=-3.0), "soft": Prosody(gain_db=-4.0)}


def heard(chain: Chain, mood: str = "") -> Samples:
    item = Synthesize(
        gw="g", sid="s", turn=1, attempt=1, segment=0, text="One two three four five six seven eight.",
        audio=AudioFormat(codec="pcm", rate_hz=RATE_HZ), remaining_ms=9000, language="en", mood=mood,
    )  # fmt: skip
    orders = Orders(chunk_ms=60, listener=Listener(), asked=[], moods=MOODS)
    return from_pcm16(b"".join(made.chunk.data for made in make(chain, item, orders)))


def hertz(samples: Samples) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE_HZ / len(samples))


def soft(_: str) -> Iterator[Samples]:
    for _number in range(8):
        yield tone(0.2, level=0.05)


def loud_then_broken(_: str) -> Iterator[Samples]:
    for _number in range(4):
        yield tone(0.2, level=0.5)
    raise EngineFailed("broken", "as told")


def levels_of(*said: tuple[FakeEngine, float]) -> Levels:
    """What was learnt at start from voices that said a tone of a level."""
    levels = Levels()
    for one, level in said:
        levels.learn(one.owned[0], [tone(1.0, level=level)])
    return levels


def test_a_soft_voice_and_a_loud_one_are_heard_equally_loud_even_within_one_line() -> None:
    first, second = engine("loud", loud_then_broken), engine("soft", soft)
    second.owned[0].sha256 = "cd" * 32
    chain = Chain([first, second], lambda: 0.0, levels=levels_of((first, 0.5), (second, 0.05)))
    samples = heard(chain)
    seam = round(0.8 * RATE_HZ)
    assert measure(samples[: seam - 500], RATE_HZ) == pytest.approx(TARGET_LUFS, abs=0.5)
    assert measure(samples[seam + 500 :], RATE_HZ) == pytest.approx(TARGET_LUFS, abs=0.5)


@pytest.mark.parametrize(("mood", "semitones"), [("", 0.0), ("bright", 3.0), ("dark", -3.0)])
def test_a_mood_is_heard_as_a_pitch(mood: str, semitones: float) -> None:
    assert hertz(heard(Chain([engine("plain")], lambda: 0.0), mood)) == pytest.approx(
        440 * 2 ** (semitones / 12), rel=0.01
    )


def test_a_voice_with_a_pitch_of_its_own_is_not_pitched_twice() -> None:
    own = FakeEngine(name="espeak-ng", owned=(FakeVoice(),))
    assert hertz(heard(Chain([own], lambda: 0.0), "bright")) == pytest.approx(440, rel=0.01)


def test_a_mood_is_softer_by_its_decibels() -> None:
    plain, softer = (heard(Chain([engine("plain")], lambda: 0.0), mood) for mood in ("", "soft"))
    assert measure(plain, RATE_HZ) - measure(softer, RATE_HZ) == pytest.approx(4.0, abs=0.3)


def test_a_voice_that_begins_late_is_heard_at_once() -> None:
    def late(_: str) -> Iterator[Samples]:
        yield np.concatenate([np.zeros(8000, np.float32), tone(1.0)])

    samples = heard(Chain([engine("late", late)], lambda: 0.0))
    assert int(np.flatnonzero(np.abs(samples) > 0.01)[0]) < 0.03 * RATE_HZ
    assert len(samples) / RATE_HZ == pytest.approx(1.02, abs=0.02)
