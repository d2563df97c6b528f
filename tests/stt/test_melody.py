from __future__ import annotations

import itertools

import numpy as np
import pytest

from services.stt.engine import RATE_HZ, Pcm
from services.stt.melody import SURELY, UNSURE, Melody, pitches

RNG = np.random.default_rng(3)


def voice(*pieces: tuple[float, float, float]) -> Pcm:
    """A buzz that glides: (Hz at the beginning, Hz at the end, seconds)."""
    hz = np.concatenate([np.linspace(low, high, int(s * RATE_HZ)) for low, high, s in pieces])
    phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 12))).astype(np.float32)


def silence(seconds: float) -> Pcm:
    return np.zeros(int(seconds * RATE_HZ), np.float32)


def said(last: tuple[float, float, float], tail_s: float = 0.15) -> Pcm:
    return np.concatenate([voice((130, 120, 0.8), (125, 118, 0.6), last), silence(tail_s)])


FALLING, LEVEL, RISING = (118.0, 85.0, 0.25), (119.0, 120.0, 0.25), (120.0, 170.0, 0.25)


def test_it_is_honest_about_what_it_is() -> None:
    assert Melody().info.is_degraded


def test_a_fall_to_the_bottom_of_the_range_is_an_end() -> None:
    assert Melody().probability(said(FALLING)) > 0.8


def test_a_level_pitch_goes_on() -> None:
    assert Melody().probability(said(LEVEL)) < 0.3


def test_a_rise_does_not_tell() -> None:
    assert Melody().probability(said(RISING)) == UNSURE


@pytest.mark.parametrize("last", [FALLING, LEVEL, RISING])
def test_how_loud_and_how_high_the_voice_is_does_not_matter(last: tuple[float, float, float]) -> None:
    higher = np.concatenate(
        [voice((234, 216, 0.8), (225, 212, 0.6), (last[0] * 1.8, last[1] * 1.8, last[2])), silence(0.15)]
    )
    expected = Melody().probability(said(last))
    assert Melody().probability(0.05 * said(last)) == pytest.approx(expected, abs=0.02)
    assert Melody().probability(higher) == pytest.approx(expected, abs=0.15)


def test_soft_noise_changes_nothing() -> None:
    pcm = said(FALLING)
    assert Melody().probability(pcm + RNG.normal(0, 0.01, len(pcm)).astype(np.float32)) > 0.8


@pytest.mark.parametrize("level", [0.02, 0.04])
def test_strong_noise_leaves_it_its_opinion(level: float) -> None:
    noise = RNG.normal(0, level, len(said(FALLING))).astype(np.float32)
    assert Melody().probability(said(FALLING) + noise) > 0.8
    assert Melody().probability(said(LEVEL) + noise) < 0.3


def test_people_who_talk_at_the_next_table_leave_it_its_opinion() -> None:
    for last, is_over in ((FALLING, True), (LEVEL, False)):
        others = 0.2 * voice((210, 170, 0.5), (180, 230, 0.7), (200, 190, 0.6))[: len(said(last))]
        assert (Melody().probability(said(last) + others) > 0.7) is is_over


@pytest.mark.parametrize("pcm", [silence(0), silence(0.001), silence(2), voice((120, 120, 0.1))])
def test_too_little_voice_does_not_tell(pcm: Pcm) -> None:
    assert Melody().probability(pcm) == UNSURE


def test_noise_has_no_melody() -> None:
    assert Melody().probability(RNG.normal(0, 0.1, 3 * RATE_HZ).astype(np.float32)) == UNSURE


def test_another_voice_in_the_pause_that_is_about_as_loud_takes_its_opinion_away() -> None:
    pcm = said(FALLING)
    pcm[-2400:] += 0.8 * voice((200, 190, 0.15))
    assert Melody().probability(pcm) == UNSURE


def test_only_the_last_two_seconds_count() -> None:
    before = voice((300, 300, 5))
    tail = np.concatenate([silence(3), said(LEVEL)])[-2 * RATE_HZ :]
    assert Melody().probability(np.concatenate([before, tail])) == Melody().probability(tail)


def test_the_pitch_is_found_within_half_a_semitone() -> None:
    for hz in (80.0, 120.0, 200.0, 320.0):
        pitch, is_voiced, _ = pitches(voice((hz, hz, 0.5)))
        assert is_voiced.mean() > 0.9
        assert np.median(pitch[is_voiced]) == pytest.approx(12 * np.log2(hz / 100), abs=0.5)


def test_the_deeper_the_fall_the_surer() -> None:
    answers = [Melody().probability(said((118.0, low, 0.25))) for low in (118, 112, 106, 100, 92, 84)]
    assert all(later >= earlier for earlier, later in itertools.pairwise(answers))
    assert answers[-1] == pytest.approx(SURELY)
