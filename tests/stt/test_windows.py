from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.stt.engine import RATE_HZ
from services.stt.windows import FRAMES_PER_S, FULL_FRAMES, WINDOW, WindowKind, frames_for, is_short, windows


def test_windows_are_cut_where_it_is_quiet_and_lose_nothing() -> None:
    pcm = np.ones(WINDOW * 2, np.float32)
    pcm[28 * RATE_HZ : 28 * RATE_HZ + 800] = 0.0
    pieces = list(windows(pcm))
    assert len(pieces[0]) == pytest.approx(28 * RATE_HZ, abs=800)
    assert sum(len(piece) for piece in pieces) == len(pcm)
    assert all(len(piece) <= WINDOW for piece in pieces)


def test_audio_of_no_length_is_one_window() -> None:
    assert [len(piece) for piece in windows(np.zeros(0, np.float32))] == [0]


@pytest.mark.parametrize(
    ("seconds", "window_s"), [(0, 5), (1, 5), (2.5, 5), (2.6, 7.5), (10, 12.5), (27, 30), (30, 30)]
)
def test_a_short_window_leaves_room_and_comes_in_few_sizes(seconds: float, window_s: float) -> None:
    assert frames_for(int(seconds * RATE_HZ)) == window_s * FRAMES_PER_S


@given(st.integers(0, WINDOW))
def test_a_window_holds_its_audio_and_is_never_above_the_full_one(samples: int) -> None:
    frames = frames_for(samples)
    assert samples / RATE_HZ * FRAMES_PER_S <= frames <= FULL_FRAMES
    assert frames == FULL_FRAMES or frames >= (samples / RATE_HZ + 2.5) * FRAMES_PER_S
    assert frames % 250 == 0


@pytest.mark.parametrize(
    ("kind", "device", "short"),
    [
        ("auto", "cpu", True),
        ("auto", "cuda:0", False),
        ("short", "cuda:0", True),
        ("full", "cpu", False),
    ],
)
def test_short_windows_are_for_the_cpu_or_for_who_asks(kind: WindowKind, device: str, *, short: bool) -> None:
    assert is_short(kind, device) == short
