from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.stt.engine import FRAME
from services.stt.foreground import KNOWN, Foreground, levels_db

ROOM_DB, PERSON_DB = -45.0, -25.0


def after(*runs: tuple[float, int], is_voice: bool = True) -> Foreground:
    foreground = Foreground()
    for level_db, frames in runs:
        for _ in range(frames):
            foreground.is_near(level_db, is_voice=is_voice)
    return foreground


def test_in_a_quiet_room_a_whisper_is_near() -> None:
    assert after((-90.0, 30)).is_near(-60.0, is_voice=True)


def test_a_voice_no_louder_than_the_room_is_not_near() -> None:
    foreground = after((ROOM_DB, 30), is_voice=False)
    assert not foreground.is_near(ROOM_DB + 3, is_voice=True)
    assert foreground.is_near(PERSON_DB, is_voice=True)


def test_once_the_person_has_spoken_others_have_to_be_louder_than_before() -> None:
    room = after((ROOM_DB, 30), is_voice=False)
    assert room.is_near(ROOM_DB + 8, is_voice=True)
    spoken = after((ROOM_DB, 30), (PERSON_DB, 20))
    assert not spoken.is_near(ROOM_DB + 8, is_voice=True)


def test_where_the_room_is_nearly_as_loud_the_person_is_heard_all_the_same() -> None:
    assert after((ROOM_DB, 30), (ROOM_DB + 9, 10)).is_near(ROOM_DB + 4, is_voice=True)


def test_a_steady_sound_from_the_first_frame_on_is_the_person_until_something_quieter_is_known() -> None:
    foreground = after((PERSON_DB, KNOWN + 100))
    assert foreground.is_near(PERSON_DB, is_voice=True)


def test_a_room_that_becomes_louder_is_learnt_within_two_seconds() -> None:
    foreground = after((-70.0, 60), (ROOM_DB, 62 + 5), is_voice=False)
    assert not foreground.is_near(ROOM_DB + 3, is_voice=True)


def test_a_person_who_speaks_up_is_followed_at_once_and_down_slowly() -> None:
    foreground = after((-70.0, 30), (PERSON_DB, 10), (PERSON_DB + 12, 10))
    assert foreground.is_near(PERSON_DB, is_voice=True)


@given(st.lists(st.tuples(st.floats(-120, 0), st.booleans()), max_size=200))
def test_what_is_as_loud_as_anything_heard_is_near(levels: list[tuple[float, bool]]) -> None:
    foreground = Foreground()
    for level_db, is_voice in levels:
        foreground.is_near(level_db, is_voice=is_voice)
    assert foreground.is_near(max([level for level, _ in levels], default=0.0) + 6.1, is_voice=True)


def test_levels_are_decibels_of_full_scale() -> None:
    frames = np.stack([np.zeros(FRAME), np.full(FRAME, 0.1), np.ones(FRAME)]).astype(np.float32)
    nothing, tenth, full = levels_db(frames)
    assert nothing < -100
    assert abs(tenth + 20) < 0.01
    assert abs(full) < 0.01
    assert levels_db(frames[:0]) == []
