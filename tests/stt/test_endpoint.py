from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.stt.endpoint import (
    Completeness,
    Cue,
    Ended,
    Endpointer,
    EndpointPolicy,
    Heard,
    Paused,
    Resumed,
    Started,
)
from services.stt.engine import FRAME, RATE_HZ
from shared.messages import TurnDetection

MS = RATE_HZ // 1000
VOICE, LIKELY, MAYBE, QUIET = 0.9, 0.55, 0.4, 0.02


def feed(endpointer: Endpointer, *runs: tuple[float, int]) -> list[tuple[int, Heard]]:
    """Feeds runs of (probability, frames); returns events with the position at which they came."""
    events = []
    for probability, frames in runs:
        for _ in range(frames):
            event = endpointer.feed(probability)
            if event is not None:
                events.append((endpointer.position, event))
    return events


def test_speech_starts_with_a_frame_that_is_surely_voiced() -> None:
    endpointer = Endpointer()
    [(position, event)] = feed(endpointer, (QUIET, 20), (VOICE, 5))
    assert position == 21 * FRAME
    assert event == Started(start=20 * FRAME, audio_from=20 * FRAME - 300 * MS)


def test_else_it_starts_with_the_second_voiced_frame_and_reaches_back_to_the_first() -> None:
    endpointer = Endpointer()
    [(position, event)] = feed(endpointer, (QUIET, 20), (LIKELY, 5))
    assert position == 22 * FRAME
    assert event == Started(start=20 * FRAME, audio_from=20 * FRAME - 300 * MS)


def test_one_unvoiced_frame_among_the_first_does_not_hide_the_onset() -> None:
    endpointer = Endpointer()
    [(_, event)] = feed(endpointer, (QUIET, 4), (LIKELY, 1), (QUIET, 1), (VOICE, 1))
    assert event == Started(start=4 * FRAME, audio_from=0)


def test_one_frame_that_is_perhaps_voiced_is_a_click_and_not_speech() -> None:
    assert feed(Endpointer(), (QUIET, 4), (LIKELY, 1), (QUIET, 50)) == []


def test_what_is_sure_rises_with_the_threshold_of_speech() -> None:
    strict = EndpointPolicy(onset=0.85)
    assert feed(Endpointer(policy=strict), (QUIET, 4), (VOICE, 1), (QUIET, 50)) == []


def test_frames_below_the_onset_threshold_never_start_speech_but_keep_it_going() -> None:
    assert feed(Endpointer(), (MAYBE, 100)) == []
    events = feed(Endpointer(), (VOICE, 3), (MAYBE, 100))
    assert [type(event) for _, event in events] == [Started]


def test_trailing_silence_in_audio_time_ends_the_utterance() -> None:
    endpointer = Endpointer()
    events = feed(endpointer, (QUIET, 20), (VOICE, 30), (QUIET, 40))
    assert [type(event) for _, event in events] == [Started, Paused, Ended]
    paused_at, paused = events[1]
    assert paused_at == 54 * FRAME  # 128 ms are 4 frames
    assert paused == Paused(pause=1, audio_from=20 * FRAME - 300 * MS, audio_to=54 * FRAME)
    ended_at, ended = events[2]
    assert ended_at == 66 * FRAME  # 500 ms are 15.6 frames
    assert ended == Ended(
        start=20 * FRAME,
        end=50 * FRAME,
        audio_from=20 * FRAME - 300 * MS,
        audio_to=50 * FRAME + 200 * MS,
        waited=16 * FRAME,
        ended_by="silence",
        speech=30 * FRAME,
    )


def test_speech_that_goes_on_after_a_pause_is_one_utterance() -> None:
    events = feed(Endpointer(), (VOICE, 10), (QUIET, 10), (VOICE, 5), (QUIET, 20))
    assert [type(event) for _, event in events] == [Started, Paused, Resumed, Paused, Ended]


def test_a_silence_shorter_than_the_pause_changes_nothing() -> None:
    events = feed(Endpointer(), (VOICE, 10), (QUIET, 3), (VOICE, 5))
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


def auto(**policy: float) -> Endpointer:
    return Endpointer(policy=EndpointPolicy(detection="auto", **policy))  # type: ignore[arg-type]


def say(endpointer: Endpointer, text: Completeness | None, silence: int, *, voice: int = 20) -> list[Heard]:
    """Feeds speech and silence, the draft's cue as soon as the pause is told."""
    events = []
    for probability, frames in ((VOICE, voice), (QUIET, silence)):
        for _ in range(frames):
            event = endpointer.feed(probability)
            if isinstance(event, Paused) and text is not None:
                events.append(event)
                event = endpointer.hint(Cue(pause=event.pause, text=text))
            if event is not None:
                events.append(event)
    return events


def ended(events: list[Heard]) -> Ended:
    (event,) = [event for event in events if isinstance(event, Ended)]
    return event


def test_a_quiet_voice_does_not_end_a_pause_but_a_clear_one_does() -> None:
    events = feed(Endpointer(), (VOICE, 10), (QUIET, 5), (MAYBE, 3), (VOICE, 1), (QUIET, 1), (VOICE, 2))
    assert [type(event) for _, event in events] == [Started, Paused, Resumed]
    assert events[-1][0] == 22 * FRAME


@pytest.mark.parametrize(
    ("text", "waited", "by"), [("complete", 10, "text"), ("unknown", 25, "silence"), ("open", 38, "limit")]
)
def test_the_words_say_how_much_silence_is_waited_for(text: Completeness, waited: int, by: str) -> None:
    event = ended(say(auto(), text, 60))
    assert (event.waited // FRAME, event.ended_by) == (waited, by)  # 320, 800 and 1216 ms


def test_a_turn_model_ends_a_turn_whose_words_say_nothing() -> None:
    endpointer = auto()
    feed(endpointer, (VOICE, 20), (QUIET, 4))
    assert endpointer.hint(Cue(pause=1, probability=0.9)) is None  # not yet the shortest silence
    ((_, event),) = feed(endpointer, (QUIET, 6))
    assert isinstance(event, Ended)
    assert event.ended_by == "model"


def test_a_draft_that_comes_late_ends_the_turn_at_once_when_enough_silence_has_passed() -> None:
    endpointer = auto()
    feed(endpointer, (VOICE, 20), (QUIET, 30))  # 960 ms, and no word of the draft
    assert endpointer.is_speaking
    event = endpointer.hint(Cue(pause=1, text="unknown"))
    assert event is not None
    assert (event.waited, event.ended_by) == (30 * FRAME, "silence")
    assert not endpointer.is_speaking


def test_a_draft_that_never_comes_holds_the_turn_no_longer_than_the_longest_silence() -> None:
    event = ended(say(auto(), None, 60))
    assert (event.waited, event.ended_by) == (38 * FRAME, "limit")


def test_a_cue_of_a_pause_that_is_over_changes_nothing() -> None:
    endpointer = auto()
    assert endpointer.hint(Cue(pause=0)) is None  # nobody speaks
    feed(endpointer, (VOICE, 20), (QUIET, 30))
    assert endpointer.hint(Cue(pause=2, text="complete")) is None
    feed(endpointer, (VOICE, 2))
    assert endpointer.hint(Cue(pause=1, text="complete")) is None  # the person goes on
    feed(endpointer, (QUIET, 20))
    assert endpointer.hint(Cue(pause=1, text="complete")) is None  # that was the pause before
    assert endpointer.hint(Cue(pause=2, text="complete")) is not None
    assert endpointer.hint(Cue(pause=2, text="complete")) is None  # it has ended


def test_a_cue_changes_nothing_where_a_fixed_silence_is_wanted() -> None:
    endpointer = Endpointer(policy=EndpointPolicy(end_silence_ms=700))
    event = ended(say(endpointer, "complete", 60))
    assert (event.waited, event.ended_by) == (22 * FRAME, "silence")


def test_in_manual_mode_only_the_client_or_the_longest_utterance_ends_a_turn() -> None:
    endpointer = Endpointer(policy=EndpointPolicy(detection="manual", max_utterance_ms=10_000))
    assert [type(event) for event in say(endpointer, "complete", 200)] == [Started, Paused]
    event = endpointer.finish()
    assert event is not None
    assert (event.ended_by, event.waited) == ("manual", 0)
    assert ended(say(endpointer, "complete", 400)).ended_by == "limit"


def test_who_pauses_long_is_waited_for_longer_and_what_was_learnt_can_be_given_back() -> None:
    endpointer = auto()
    assert endpointer.pace_ms == 0
    for _ in range(6):
        say(endpointer, None, 28)  # 896 ms within what is said
    learnt = endpointer.pace_ms
    assert 650 < learnt < 1200
    assert ended(say(endpointer, "unknown", 60)).waited > 1000 * MS
    elsewhere = auto(pace_ms=learnt)
    assert elsewhere.pace_ms == learnt
    assert ended(say(elsewhere, "unknown", 60)).waited > 1000 * MS


def test_a_pause_that_the_words_explain_teaches_nothing() -> None:
    endpointer = auto()
    for _ in range(6):
        say(endpointer, "open", 28)
    assert endpointer.pace_ms == 0


def test_speech_right_behind_the_end_of_a_turn_was_a_cut_in_and_is_learnt_from() -> None:
    endpointer = auto()
    say(endpointer, "complete", 25)  # ended at 320 ms; goes on after 800 ms
    assert endpointer.pace_ms == 0  # one good turn tells nothing
    say(endpointer, "complete", 60)
    assert endpointer.pace_ms > 600
    before = endpointer.pace_ms
    feed(endpointer, (QUIET, 40), (VOICE, 5))  # a new turn, two seconds later
    assert endpointer.pace_ms == before


ROOM_DB, PERSON_DB = -45.0, -25.0


def test_voices_behind_the_person_neither_begin_a_turn_nor_keep_it_going() -> None:
    endpointer = Endpointer()
    events = [endpointer.feed(QUIET, ROOM_DB) for _ in range(20)]
    events += [endpointer.feed(VOICE, ROOM_DB + 3) for _ in range(20)]  # they talk
    events += [endpointer.feed(VOICE, PERSON_DB) for _ in range(20)]
    events += [endpointer.feed(VOICE, ROOM_DB + 3) for _ in range(20)]
    told = [event for event in events if event is not None]
    assert [type(event) for event in told] == [Started, Paused, Ended]
    assert told[0] == Started(start=40 * FRAME, audio_from=40 * FRAME - 300 * MS)
    assert ended(told).end == 60 * FRAME


def test_an_utterance_can_begin_midway_and_is_needed_from_its_first_sample() -> None:
    endpointer = auto()
    endpointer.begin_midway()
    assert endpointer.is_speaking
    assert endpointer.needed == 0
    event = ended([event for _, event in feed(endpointer, (QUIET, 2), (VOICE, 3), (QUIET, 60))])
    assert (event.start, event.end, event.speech) == (0, 5 * FRAME, 3 * FRAME)


def test_what_is_settled_is_needed_no_more() -> None:
    endpointer = Endpointer()
    endpointer.settle(10)  # nobody speaks: nothing to settle
    feed(endpointer, (VOICE, 50))
    endpointer.settle(20 * FRAME)
    assert endpointer.needed == 20 * FRAME
    endpointer.settle(10 * FRAME)  # never back
    assert endpointer.needed == 20 * FRAME
    (_, paused), (_, over) = feed(endpointer, (QUIET, 20))
    assert isinstance(paused, Paused)
    assert isinstance(over, Ended)
    assert paused.audio_from == over.audio_from == 20 * FRAME
    assert over.start == 0
    feed(endpointer, (VOICE, 10))
    endpointer.settle(10**9)  # no more than there is
    assert endpointer.needed == endpointer.position


def test_one_voiced_frame_in_a_pause_is_a_click_and_does_not_delay_the_end() -> None:
    endpointer = Endpointer(policy=EndpointPolicy(end_silence_ms=500))
    events = feed(endpointer, (VOICE, 20), (QUIET, 8), (VOICE, 1), (QUIET, 20))
    assert [(type(event), position) for position, event in events[2:]] == [(Ended, 36 * FRAME)]


def test_speech_and_silence_are_counted_while_somebody_speaks() -> None:
    endpointer = Endpointer()
    feed(endpointer, (VOICE, 10), (QUIET, 2), (VOICE, 5), (QUIET, 3))
    assert (endpointer.speech, endpointer.silence) == (15 * FRAME, 3 * FRAME)


@given(
    st.lists(st.floats(0, 1), max_size=400),
    st.integers(100, 1500),
    st.integers(500, 5000),
    st.sets(st.integers(0, 399), max_size=5),
    st.sampled_from(["auto", "silence", "manual"]),
    st.lists(st.sampled_from(["open", "unknown", "complete"]), min_size=1),
)
def test_any_sequence_gives_starts_and_ends_in_turn_with_durations_that_make_sense(
    probabilities: list[float],
    end_silence_ms: int,
    max_utterance_ms: int,
    finishes: set[int],
    detection: TurnDetection,
    texts: list[Completeness],
) -> None:
    policy = EndpointPolicy(
        end_silence_ms=end_silence_ms, max_utterance_ms=max_utterance_ms, detection=detection
    )
    longest_ms = {"auto": 1200, "silence": end_silence_ms, "manual": max_utterance_ms}[detection]
    endpointer = Endpointer(policy=policy)
    started: Started | None = None
    is_paused = False
    last_end = needed_before = pauses = 0
    for index, probability in enumerate(probabilities):
        event: Heard | None = endpointer.feed(probability)
        if event is None and index in finishes:
            event = endpointer.finish()
        if event is None and index % 7 == 0:
            event = endpointer.hint(Cue(pause=pauses, text=texts[index % len(texts)]))
        if index % 11 == 0:
            endpointer.settle(endpointer.position - 5 * FRAME)
        match event:
            case Started():
                assert started is None
                assert needed_before <= event.audio_from
                assert last_end <= event.audio_from <= event.start < endpointer.position
                started, is_paused = event, False
            case Paused():
                assert started is not None
                assert not is_paused
                assert event.audio_from <= event.audio_to
                is_paused, pauses = True, pauses + 1
                assert event.pause == pauses
            case Resumed():
                assert is_paused
                is_paused = False
            case Ended():
                assert started is not None
                assert event.start == started.start < event.end <= event.audio_to <= endpointer.position
                assert started.audio_from <= event.audio_from <= event.audio_to
                assert 0 <= event.waited <= longest_ms * MS + FRAME
                assert event.end - event.start <= max_utterance_ms * MS + FRAME
                started, last_end = None, event.end
        assert endpointer.is_speaking == (started is not None)
        assert endpointer.needed <= endpointer.position
        needed_before = endpointer.needed
