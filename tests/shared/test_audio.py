from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shared import audio


@given(st.binary(max_size=200))
def test_bytes_become_samples_and_the_same_bytes_again(pcm: bytes) -> None:
    samples = audio.from_pcm16(pcm)
    assert samples.dtype == np.float32
    assert len(samples) == len(pcm) // 2
    assert audio.to_pcm16(samples) == pcm[: len(pcm) - len(pcm) % 2]


@given(arrays.arrays(np.float32, st.integers(0, 50)))
def test_whatever_the_samples_the_bytes_are_clipped(samples: audio.Samples) -> None:
    again = audio.from_pcm16(audio.to_pcm16(samples))
    assert len(again) == len(samples)
    assert np.all(np.abs(again) <= 1.0)


def test_nan_becomes_silence_and_infinity_full_scale() -> None:
    wild = np.array([np.nan, np.inf, -np.inf, 2.0], np.float32)
    assert list(audio.safe(wild)) == [0.0, 1.0, -1.0, 1.0]
    assert not audio.is_finite(wild)
    assert audio.is_finite(audio.safe(wild))


def test_an_engine_s_samples_of_any_kind_become_one_row_of_floats() -> None:
    assert list(audio.to_float(np.array([[16384, -32768]], np.int16))) == [0.5, -1.0]
    doubles = audio.to_float(np.array([[0.25], [0.5]], np.float64))
    assert doubles.dtype == np.float32
    assert list(doubles) == [0.25, 0.5]


def test_levels() -> None:
    assert audio.rms(np.zeros(0, np.float32)) == 0.0
    assert audio.rms(np.full(10, -0.5, np.float32)) == pytest.approx(0.5)
    assert audio.dbfs(1.0) == 0.0
    assert audio.dbfs(0.001) == pytest.approx(-60.0)
    assert audio.dbfs(0.0) == -math.inf


def test_only_what_is_louder_than_the_threshold_is_audible() -> None:
    assert audio.is_audible(np.full(10, 0.0011, np.float32))
    assert not audio.is_audible(np.full(10, 0.0009, np.float32))
    assert not audio.is_audible(np.zeros(0, np.float32))
