"""Loudness against the published test signals, and against FFmpeg's own meter."""

from __future__ import annotations

import math

import av
import numpy as np
import pytest

from services.tts.loudness import (
    KNEE,
    MOST_DB,
    TARGET_LUFS,
    Levels,
    gain_db,
    k_filters,
    limited,
    measure,
)
from shared.audio import Samples
from tests.fakes.voices import FakeVoice

RATE_HZ = 48000


def sine(dbfs: float, seconds: float, hertz: float = 997.0, rate_hz: int = RATE_HZ) -> Samples:
    """A sine whose peaks are at ``dbfs``."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def ffmpeg_lufs(samples: Samples, rate_hz: int) -> float:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate_hz, format="fltp", layout="mono")
    meter, sink = graph.add("ebur128", "metadata=1:framelog=quiet"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = rate_hz, 0
    graph.push(frame)
    graph.push(None)
    told = math.nan
    while True:
        try:
            told = float(graph.pull().metadata["lavfi.r128.I"])
        except (av.BlockingIOError, av.EOFError):
            return told


def test_the_filters_at_48_khz_are_those_that_the_standard_lists() -> None:
    shelf, high_pass = k_filters(48000)
    assert shelf[0] == pytest.approx((1.53512485958697, -2.69169618940638, 1.19839281085285), abs=1e-10)
    assert shelf[1] == pytest.approx((1.0, -1.69065929318241, 0.73248077421585), abs=1e-10)
    assert high_pass[0] == (1.0, -2.0, 1.0)
    assert high_pass[1] == pytest.approx((1.0, -1.99004745483398, 0.99007225036621), abs=1e-10)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 24000, 44100, 48000])
def test_the_reference_tone_of_bs_1770_has_its_loudness_at_every_rate(rate_hz: int) -> None:
    assert measure(sine(0.0, 5.0, rate_hz=rate_hz), rate_hz) == pytest.approx(-3.01, abs=0.05)
    assert measure(sine(-20.0, 5.0, rate_hz=rate_hz), rate_hz) == pytest.approx(-23.01, abs=0.05)


@pytest.mark.parametrize(
    "parts",
    [
        [(-33.0, 10.0), (-20.0, 60.0), (-33.0, 10.0)],
        [(-69.0, 10.0), (-33.0, 10.0), (-20.0, 60.0), (-33.0, 10.0), (-69.0, 10.0)],
    ],
)
def test_quiet_passages_do_not_count_as_in_the_signals_3_and_4_of_ebu_tech_3341(
    parts: list[tuple[float, float]],
) -> None:
    """The signals are stereo; one channel of 3 dB more has the same loudness."""
    signal = np.concatenate([sine(dbfs, seconds, 1000.0) for dbfs, seconds in parts])
    assert measure(signal, RATE_HZ) == pytest.approx(-23.0, abs=0.1)


def test_noise_in_bursts_is_measured_as_ffmpeg_measures_it() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.1, 8 * RATE_HZ).astype(np.float32)
    noise *= np.repeat(np.float32([1.0, 0.02, 0.5, 0.0, 0.2, 1.0, 0.1, 0.7]), RATE_HZ)
    assert measure(noise, RATE_HZ) == pytest.approx(ffmpeg_lufs(noise, RATE_HZ), abs=0.1)


def test_what_is_shorter_than_a_block_is_measured_as_it_is() -> None:
    assert measure(sine(-20.0, 0.2), RATE_HZ) == pytest.approx(-23.0, abs=0.3)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(1000), np.zeros(RATE_HZ), sine(-80.0, 1.0)])
def test_silence_has_no_loudness_and_needs_no_gain(samples: Samples) -> None:
    lufs = measure(samples.astype(np.float32), RATE_HZ)
    assert lufs == -math.inf
    assert gain_db(lufs) == 0.0


def test_a_voice_is_brought_to_the_target_but_never_by_more_than_12_db() -> None:
    assert gain_db(TARGET_LUFS - 5.0) == pytest.approx(5.0)
    assert gain_db(TARGET_LUFS + 5.0) == pytest.approx(-5.0)
    assert (gain_db(-60.0), gain_db(0.0)) == (MOST_DB, -MOST_DB)


def test_what_is_too_loud_is_bent_and_never_clipped() -> None:
    rising = np.linspace(-3.0, 3.0, 6001).astype(np.float32)
    out = limited(rising)
    assert np.abs(out).max() <= 1.0
    below = np.abs(rising) <= KNEE
    assert np.array_equal(out[below], rising[below])
    assert (np.diff(out) >= 0.0).all()
    assert np.abs(np.diff(out)).max() < 1.01 * np.diff(rising).max()
    assert np.array_equal(limited(rising[below]), rising[below])


def test_a_voice_is_known_by_its_name_and_its_model() -> None:
    levels = Levels()
    voice = FakeVoice(name="a", rate_hz=RATE_HZ, sha256="1")
    assert (levels.knows(voice), levels.gain_db(voice)) == (False, 0.0)
    levels.learn(voice, [sine(-20.0, 1.0), sine(-20.0, 1.0)])
    assert levels.knows(voice)
    assert levels.gain_db(voice) == pytest.approx(TARGET_LUFS + 23.0, abs=0.1)
    assert levels.gain_db(FakeVoice(name="a", sha256="2")) == 0.0


def test_a_speaker_that_was_not_measured_has_its_model_s_gain() -> None:
    levels = Levels()
    levels.learn(FakeVoice(name="a", rate_hz=RATE_HZ), [sine(-20.0, 1.0)])
    levels.learn(FakeVoice(name="a#2", rate_hz=RATE_HZ), [sine(-25.0, 1.0)])
    model = levels.gain_db(FakeVoice(name="a"))
    assert levels.gain_db(FakeVoice(name="a#1")) == levels.gain_db(FakeVoice(name="a+f3")) == model != 0.0
    assert levels.gain_db(FakeVoice(name="a#2")) == pytest.approx(model + 5.0, abs=0.1)
    assert not levels.knows(FakeVoice(name="a#1"))


def test_a_voice_that_said_nothing_needs_no_gain() -> None:
    levels = Levels()
    levels.learn(FakeVoice(name="mute"), [])
    assert levels.gain_db(FakeVoice(name="mute")) == 0.0
