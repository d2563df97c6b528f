from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.windows import (
    CROWDED_FLOW_FRAMES,
    CROWDED_SOUND_FRAMES,
    FLOW_FRAMES,
    SOUND_FRAMES,
    TILE_FRAMES,
    Walk,
    Window,
    tiles,
)

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)


@given(SIZES, st.integers(0, 20), st.integers(1, 400), st.integers(0, 400), st.booleans())
def test_every_frame_is_used_once_and_with_its_margin(
    sizes: list[int], margin: int, total: int, known_from: int, is_fixed: bool
) -> None:
    walk = Walk(sizes, margin, is_fixed=is_fixed)
    while walk.done < total:
        told = total if walk.done >= known_from or walk.needs(None) >= total else None
        done, needs = walk.done, walk.needs(told)
        window = walk.next(told)
        assert window.end == needs <= total
        assert window.begin + window.skip == done
        assert window.keep >= 1
        assert window.skip == done or window.skip >= margin
        assert window.end == total or window.end >= done + window.keep + margin
        assert window.skip + window.keep <= window.frames
        around = window.around(margin)
        assert around["left"] == min(done, window.skip, margin)
        assert around["right"] == min(window.end - done - window.keep, margin)
        assert walk.done == done + window.keep
    assert walk.done == total
    with pytest.raises(IndexError):
        walk.next(total)


def test_the_first_windows_are_small_and_a_rest_joins_the_last() -> None:
    walk, kept = Walk(SOUND_FRAMES, 12), []
    while walk.done < 500:
        kept.append(walk.next(500).keep)
    assert kept[: len(SOUND_FRAMES)] == list(SOUND_FRAMES)
    assert sum(kept) == 500
    last = SOUND_FRAMES[-1]
    assert set(kept[len(SOUND_FRAMES) : -1]) == {last}
    assert last / 2 < kept[-1] <= last * 1.5
    assert walk.margin == 12


def test_the_flow_s_first_window_is_what_the_decoder_s_first_takes() -> None:
    assert FLOW_FRAMES[0] == SOUND_FRAMES[0] + 12
    assert CROWDED_FLOW_FRAMES[0] == CROWDED_SOUND_FRAMES[0] + 12 > FLOW_FRAMES[0]


@given(
    st.integers(1, 60), st.integers(0, 20), st.lists(st.integers(1, 120), min_size=1, max_size=12),
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
)  # fmt: skip
def test_a_stretch_takes_what_is_there_and_the_first_no_more_than_is_asked(
    most: int, margin: int, spans: list[int], asks: list[int]
) -> None:
    walk, total, there, upto, shapes = Walk((8, most), margin), sum(spans), 0, 0, []
    while walk.done < total:
        upto = min(max(upto, walk.done) + asks[len(shapes) % len(asks)], total)
        while spans and there < upto + margin:
            there += spans.pop(0)
        done, told = walk.done, None if spans else total
        window = walk.stretch(upto, there, told)
        assert window.begin + window.skip == done
        assert window.skip == done or window.skip >= margin
        assert window.end == total or window.end >= done + window.keep + margin
        assert window.end <= there
        assert 1 <= window.keep <= max(most * 1.5, upto)
        assert shapes or window.keep == upto
        assert not shapes or window.keep >= min(most, upto - done)
        shapes.append(window)
    assert walk.done == total


@given(st.integers(160, 2000))
def test_fixed_shapes_are_few_whatever_the_length(total: int) -> None:
    walk, shapes = Walk((8, 32, 128), 12, is_fixed=True), []
    while walk.done < total:
        shapes.append(walk.next(total).frames)
    assert set(shapes) <= {20, 56, 152}


def test_a_window_that_was_too_large_comes_again_in_smaller_ones() -> None:
    walk = Walk((8, 32, 128), 12)
    walk.next(500)
    window = walk.next(500)
    assert window.keep == 32
    walk.retry(window)
    again = walk.next(500)
    assert (again.begin + again.skip, again.keep) == (8, 8)
    assert walk.next(500).keep == 8


@given(
    st.integers(0, 50), st.integers(0, 40), st.integers(1, 200), st.integers(0, 40), st.integers(-1, 9),
    st.integers(0, 20),
)  # fmt: skip
def test_tiles_keep_each_frame_of_their_window_once_and_have_its_margins(
    begin: int, skip: int, keep: int, behind: int, count: int, margin: int
) -> None:
    window = Window(begin=begin, end=begin + skip + keep + behind, skip=skip, keep=keep)
    made = tiles(window, count, margin)
    kept = [
        frame for tile in made for frame in range(tile.begin + tile.skip, tile.begin + tile.skip + tile.keep)
    ]
    assert kept == list(range(begin + skip, begin + skip + keep))
    assert 1 <= len(made) <= max(1, count)
    for tile in made:
        assert window.begin <= tile.begin <= tile.end <= window.end
        assert tile.begin == window.begin or tile.skip >= margin
        assert tile.end == window.end or tile.frames - tile.skip - tile.keep >= margin
        assert tile.keep >= min(TILE_FRAMES, window.keep)
    lengths = [tile.keep for tile in made]
    assert max(lengths) - min(lengths) <= 1
    assert len(made) > 1 or made == [window], "one keeps its shape"


def test_as_many_tiles_are_made_as_are_asked_for_where_there_are_frames_enough() -> None:
    window = Window(begin=8, end=52, skip=12, keep=20)
    assert tiles(window, 2, 12) == [
        Window(begin=8, end=42, skip=12, keep=10),
        Window(begin=18, end=52, skip=12, keep=10),
    ]
    assert len(tiles(window, 3, 12)) == 20 // TILE_FRAMES == 2
