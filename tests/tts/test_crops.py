from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.tts.crops import NOTHING, Crop, dropped

MEDIUM = (
    Crop(tensor="a", rate=1, margin=9),
    Crop(tensor="b", rate=8, margin=9),
    Crop(tensor="c", rate=64, margin=14),
)
"""Of Piper's medium voices; a sound has 256 samples a frame."""
PLACES = st.lists(st.tuples(st.sampled_from([1, 2, 4, 8]), st.integers(0, 40)), max_size=4)


def test_what_is_no_longer_needed_goes_place_by_place() -> None:
    drop = dropped(MEDIUM, hop=256, left=12, right=12)
    assert drop.columns == ((3, 3), (63, 63), (58, 58))
    assert drop.samples == (64 * 12 - 14) * 4


def test_at_a_line_s_own_ends_nothing_goes() -> None:
    assert dropped(MEDIUM, hop=256, left=0, right=0).columns == ((0, 0),) * 3
    assert dropped(MEDIUM, hop=256, left=0, right=12).columns == ((0, 3), (0, 63), (0, 58))
    assert dropped(MEDIUM, hop=256, left=0, right=12).samples == 0
    assert dropped((), hop=256, left=12, right=12) == NOTHING


@given(PLACES, st.integers(0, 30), st.integers(0, 30))
def test_at_each_place_no_more_goes_than_may(places: list[tuple[int, int]], left: int, right: int) -> None:
    crops, rate = [], 1
    for stride, margin in places:
        rate *= stride
        crops.append(Crop(tensor=str(rate), rate=rate, margin=margin))
    drop = dropped(crops, hop=rate * 2, left=left, right=right)
    here, stays = 1, [left, right]
    for crop, columns in zip(crops, drop.columns, strict=True):
        before = [count * crop.rate // here for count in stays]
        stays, here = [count - gone for count, gone in zip(before, columns, strict=True)], crop.rate
        for was, now, gone in zip(before, stays, columns, strict=True):
            assert gone >= 0
            assert now == min(was, crop.margin)
    assert drop.samples == (left * rate - stays[0]) * 2
