from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.phases import Phases, phases

Array = npt.NDArray[Any]
CHANNELS = st.integers(1, 4)
CUT = st.integers(0, 9)


def weights(taken: int, made: int, taps: int) -> Array:
    return np.random.default_rng(taken + 7 * made + 49 * taps).normal(size=(taken, made, taps))


def transposed(x: Array, weight: Array, stride: int, pads: tuple[int, int]) -> Array:
    """As its definition has it: each column that enters is spread over as many as there are taps."""
    whole = np.zeros((weight.shape[1], (x.shape[1] - 1) * stride + weight.shape[2]))
    for column in range(x.shape[1]):
        for tap in range(weight.shape[2]):
            whole[:, column * stride + tap] += weight[:, :, tap].T @ x[:, column]
    return whole[:, pads[0] : whole.shape[1] - pads[1]]


def plain(x: Array, group: Phases) -> Array:
    padded = np.pad(x, ((0, 0), (group.before, group.behind)))
    taps = group.weight.shape[2]
    columns = [
        np.tensordot(group.weight, padded[:, at : at + taps], axes=([1, 2], [0, 1]))
        for at in range(padded.shape[1] - taps + 1)
    ]
    return np.stack(columns, axis=1)


@given(CHANNELS, CHANNELS, st.integers(1, 9), st.integers(1, 6), CUT, CUT)
def test_the_phases_side_by_side_are_the_transposed_convolution(
    taken: int, made: int, columns: int, stride: int, before: int, behind: int
) -> None:
    weight = weights(taken, made, stride + before + behind)
    x = np.random.default_rng(columns).normal(size=(taken, columns))
    expected = transposed(x, weight, stride, (before, behind))
    assert expected.shape == (made, columns * stride)
    groups = phases(weight, stride=stride, pad=before)
    parts = [plain(x, group).reshape(len(group.phases), made, columns) for group in groups]
    side_by_side = np.concatenate(parts).transpose(1, 2, 0).reshape(made, columns * stride)
    np.testing.assert_allclose(side_by_side, expected, atol=1e-9)


@given(st.integers(1, 12), CUT, CUT)
def test_each_phase_stands_in_its_place_and_each_tap_in_one_phase(
    stride: int, before: int, behind: int
) -> None:
    weight = weights(2, 3, stride + before + behind)
    groups = phases(weight, stride=stride, pad=before)
    assert [phase for group in groups for phase in group.phases] == list(range(stride))
    assert all(group.before >= 0 <= group.behind for group in groups)
    taps = np.concatenate([group.weight.reshape(-1) for group in groups])
    assert sorted(taps) == sorted(weight.reshape(-1)), "none is lost, none is filled in"


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_of_kernels_of_two_strides_there_are_two_groups_of_two_taps(stride: int) -> None:
    groups = phases(weights(2, 3, 2 * stride), stride=stride, pad=stride // 2)
    assert [group.phases for group in groups] == [range(stride // 2), range(stride // 2, stride)]
    assert [(group.weight.shape, group.before, group.behind) for group in groups] == [
        ((3 * stride // 2, 2, 2), 1, 0),
        ((3 * stride // 2, 2, 2), 0, 1),
    ]
