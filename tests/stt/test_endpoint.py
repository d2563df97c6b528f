from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.stt.endpoint import Ended, Endpointer, EndpointPolicy, Heard, Paused, Resumed, Started
from services.stt.engine import FRAME, RATE_HZ

MS = RATE_HZ // 1000
VOICE, MAYBE, QUIET = 0.9, 0.4, 0.02


def feed(endpointer: Endpointer, *runs: tuple[float, int]) -> list[tuple[int, Heard]]:
    """Feeds runs of (probability, frames); returns events with the position at which they came."""
    events = []
    for probability, frames in runs:
        for _ in range(frames):
            event = endpointer.feed(probability)
            if event is not None:
                events.append((endpointer.position, event))
    return events


def test_speech_starts_with_the_third_voiced_frame_and_reaches_back_to_the_first() -> None:
    endpointer = Endpointer()
    [(position, event)] = feed(endpointer, (QUIET, 20), (VOICE, 5))
    assert position == 23 * FRAME
    assert event == Started(start=20 * FRAME, audio_from=20 * FRAME - 300 * MS)


def test_one_unvoiced_frame_among_the_first_does_not_hide_the_onset() -> None:
    endpointer = Endpointer()
    [(_, event)] = feed(endpointer, (QUIET, 4), (VOICE, 1), (QUIET, 1), (VOICE, 2))
    assert event == Started(start=4 * FRAME, audio_from=0)


def test_two_voiced_frames_are_a_click_and_not_speech() -> None:
    assert feed(Endpointer(), (QUIET, 4), (VOICE, 2), (QUIET, 50)) == []


def test_frames_below_the_onset_threshold_never_start_speech_but_keep_it_going() -> None:
    assert feed(Endpointer(), (MAYBE, 100)) == []
    events = feed(Endpointer(), (VOICE, 3), (MAYBE, 100))
    assert [type(event) for _, event in events] == [Started]


def test_trailing_silence_in_audio_time_ends_the_utterance() -> None:
    endpointer = Endpointer()
    events = feed(endpointer, (QUIET, 20), (VOICE, 30), (QUIET, 40))
    assert [type(event) for _, event in events] == [Started, Paused, Ended]
    paused_at, paused = events[1]
    assert paused_at == 57 * FRAME  # 200 ms are 6.25 frames
    assert paused == Paused(audio_from=20 * FRAME - 300 * MS, audio_to=50 * FRAME + 200 * MS)
    ended_at, ended = events[2]
    assert ended_at == 66 * FRAME  # 500 ms are 15.6 frames
    assert ended == Ended(
        start=20 * FRAME,
        end=50 * FRAME,
        audio_from=20 * FRAME - 300 * MS,
        audio_to=50 * FRAME + 200 * MS,
        waited=16 * FRAME,
    )


def test_speech_that_goes_on_after_a_pause_is_one_utterance() -> None:
    events = feed(Endpointer(), (VOICE, 10), (QUIET, 10), (VOICE, 5), (QUIET, 20))
    assert [type(event) for _, event in events] == [Started, Paused, Resumed, Paused, Ended]


def test_a_silence_shorter_than_the_pause_changes_nothing() -> None:
    events = feed(Endpointer(), (VOICE, 10), (QUIET, 5), (VOICE, 5))
    assert [type(event) for _, event in events] == [Started]


def test_a_session_that_wants_a_short_silence_ends_without_a_pause() -> None:
    endpointer = Endpointer(policy=EndpointPolicy(end_silence_ms=100))
    events = feed(endpointer, (VOICE, 10), (QUIET, 10))
    assert [type(event) for _, event in events] == [Started, Ended]


def test_speech_without_end_is_cut_and_begins_anew() -> None:
    endpointer = Endpointer(policy=EndpointPolicy(max_utterance_ms=1000))
    events = [event for _, event in feed(endpointer, (VOICE, 70))]
    assert [type(event) for event in events[:3]] == [Started, Ended, Started]
    first, again = events[1], events[2]
    assert isinstance(first, Ended)
    assert isinstance(again, Started)
    assert first.waited == 0
    assert first.end - first.start >= 1000 * MS
    assert again.audio_from == first.end  # nothing is heard twice, nothing is lost


def test_the_end_that_the_client_asks_for_waits_for_nothing() -> None:
    endpointer = Endpointer()
    feed(endpointer, (VOICE, 10), (QUIET, 2))
    ended = endpointer.finish()
    assert ended is not None
    assert ended.waited == 0
    assert ended.end == 10 * FRAME
    assert ended.audio_to == 12 * FRAME
    assert endpointer.finish() is None


def test_what_is_needed_covers_the_pre_roll_of_an_utterance_that_may_begin() -> None:
    endpointer = Endpointer()
    feed(endpointer, (QUIET, 100))
    needed = endpointer.needed
    [(_, event)] = feed(endpointer, (VOICE, 3))
    assert isinstance(event, Started)
    assert needed <= event.audio_from
    assert endpointer.needed == event.audio_from
    assert endpointer.is_speaking


@pytest.mark.parametrize("garbage", [float("nan"), float("-inf"), -1.0])
def test_a_probability_that_is_none_counts_as_silence(garbage: float) -> None:
    assert feed(Endpointer(), (garbage, 30)) == []


def test_an_utterance_that_reaches_its_bound_in_a_pause_ends_there() -> None:
    endpointer = Endpointer(policy=EndpointPolicy(end_silence_ms=1000, max_utterance_ms=500))
    events = [endpointer.feed(probability) for probability in [1.0] * 8 + [0.0] * 8]
    (ended,) = [event for event in events if isinstance(event, Ended)]
    assert (ended.end, ended.waited) == (8 * FRAME, 8 * FRAME)


@given(
    st.lists(st.floats(0, 1), max_size=400),
    st.integers(100, 1500),
    st.integers(500, 5000),
    st.sets(st.integers(0, 399), max_size=5),
)
def test_any_sequence_gives_starts_and_ends_in_turn_with_durations_that_make_sense(
    probabilities: list[float], end_silence_ms: int, max_utterance_ms: int, finishes: set[int]
) -> None:
    policy = EndpointPolicy(end_silence_ms=end_silence_ms, max_utterance_ms=max_utterance_ms)
    endpointer = Endpointer(policy=policy)
    started: Started | None = None
    is_paused = False
    last_end = needed_before = 0
    for index, probability in enumerate(probabilities):
        event: Heard | None = endpointer.feed(probability)
        if event is None and index in finishes:
            event = endpointer.finish()
        match event:
            case Started():
                assert started is None
                assert needed_before <= event.audio_from
                assert last_end <= event.audio_from <= event.start < endpointer.position
                started, is_paused = event, False
            case Paused():
                assert started is not None
                assert not is_paused
                is_paused = True
            case Resumed():
                assert is_paused
                is_paused = False
            case Ended():
                assert started is not None
                assert event.start == started.start < event.end <= event.audio_to <= endpointer.position
                assert event.audio_from == started.audio_from
                assert 0 <= event.waited <= end_silence_ms * MS + FRAME
                assert event.end - event.start <= max_utterance_ms * MS + FRAME
                started, last_end = None, event.end
        assert endpointer.is_speaking == (started is not None)
        assert endpointer.needed <= endpointer.position
        needed_before = endpointer.needed
