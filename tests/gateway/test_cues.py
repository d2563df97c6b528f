from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.cues import Score
from services.gateway.playout import Playout
from shared.messages import AudioChunk, Timing, VisemeTime, WordTime

RATE_HZ = 1000
TEXT = "One, two — three four."
PLACES = {"One": (0, 3), "two": (5, 8), "three": (11, 16), "four": (17, 21)}


def timing(
    *words: tuple[str, int, int],
    take: int = 1,
    visemes: tuple[tuple[str, int], ...] = (),
    segment: int = 0,
    is_estimated: bool = False,
) -> Timing:
    """Words of ``TEXT``; times are milliseconds."""
    return Timing(
        turn=1, attempt=1, segment=segment, take=take, rate_hz=RATE_HZ, is_estimated=is_estimated,
        words=[
            WordTime(begin=PLACES[word][0], end=PLACES[word][1], from_sample=start, to_sample=end)
            for word, start, end in words
        ],
        visemes=[VisemeTime(viseme=viseme, from_sample=at) for viseme, at in visemes],
    )  # fmt: skip


def told(score: Score, until_s: float, at_ms: float = 0.0) -> list[tuple[str, float, float]]:
    cues = score.due(until_s, at_ms)
    return [(TEXT[cue.begin : cue.end], cue.start_ms, cue.end_ms) for cue in cues.words] if cues else []


WHOLE = (("One", 0, 100), ("two", 200, 300), ("three", 400, 500), ("four", 500, 600))


def test_a_word_is_told_once_with_the_sound_in_which_it_begins() -> None:
    score = Score()
    score.add(timing(*WHOLE), 0.0)
    assert told(score, 0.25, at_ms=1000.0) == [("One", 1000.0, 1100.0), ("two", 1200.0, 1300.0)]
    assert score.due(0.25, 1000.0) is None
    assert [word for word, _, _ in told(score, 9.0)] == ["three", "four"]


def test_shapes_are_told_like_words_and_say_whether_they_are_guessed() -> None:
    score = Score()
    score.add(timing(*WHOLE), 0.0)
    score.add(timing(visemes=(("PP", 0), ("aa", 150)), is_estimated=True), 0.0)
    first, second = score.due(0.1, 500.0), score.due(0.2, 500.0)
    assert first is not None
    assert second is not None
    assert [(cue.viseme, cue.start_ms) for cue in (*first.visemes, *second.visemes)] == [
        ("PP", 500.0),
        ("aa", 650.0),
    ]
    assert (first.are_words_estimated, first.are_visemes_estimated) == (False, True)


def test_a_later_telling_counts_from_its_first_word_on() -> None:
    score = Score()
    score.add(timing(*WHOLE, visemes=(("PP", 0), ("aa", 400)), is_estimated=True), 0.0)
    told(score, 0.25)
    score.add(timing(("two", 250, 450), ("three", 700, 900), visemes=(("SS", 300),)), 0.0)
    assert told(score, 0.5) == [("two", 250.0, 450.0)], "it was told before, and is told better"
    cues = score.due(9.0, 0.0)
    assert cues is not None
    assert [TEXT[cue.begin : cue.end] for cue in cues.words] == ["three"]
    assert [cue.viseme for cue in cues.visemes] == []


def test_the_next_take_is_heard_behind_what_was_received_of_the_one_before() -> None:
    score = Score()
    score.add(timing(*WHOLE, visemes=(("PP", 0), ("aa", 200), ("SS", 400))), 0.0)
    told(score, 0.25)
    slower = (("One", 0, 150), ("two", 240, 350), ("three", 500, 600), ("four", 600, 700))
    score.add(timing(*slower, take=2, visemes=(("FF", 0), ("oh", 240), ("TH", 500))), 0.25)
    assert told(score, 0.26) == [("two", 250.0, 350.0)], "what was cut off ends in the next take"
    assert [word for word, _, _ in told(score, 9.0)] == ["three", "four"]


def test_a_next_take_that_is_told_in_parts_leaves_what_was_heard() -> None:
    score = Score()
    score.add(timing(*WHOLE), 0.0)
    score.add(timing(("One", 0, 90), ("two", 190, 290), take=2), 0.45)
    score.add(timing(("three", 380, 480), ("four", 480, 580), take=2), 0.45)
    assert told(score, 9.0) == [
        ("One", 0.0, 100.0),
        ("two", 200.0, 300.0),
        ("three", 450.0, 480.0),
        ("four", 480.0, 580.0),
    ]


@pytest.mark.parametrize(
    ("until_s", "heard"),
    [
        (0.0, ""),
        (0.099, ""),
        (0.1, "One,"),
        (0.299, "One,"),
        (0.3, "One, two"),
        (0.5, "One, two — three"),
        (0.6, "One, two — three four."),
        (9.0, "One, two — three four."),
    ],
)
def test_a_word_was_heard_when_it_has_ended(until_s: float, heard: str) -> None:
    score = Score()
    score.add(timing(*WHOLE), 0.0)
    length = score.heard(TEXT, until_s)
    assert length is not None
    assert TEXT[:length] == heard


def test_without_times_it_is_not_known_what_was_heard() -> None:
    score = Score()
    score.add(timing(visemes=(("PP", 0),)), 0.0)
    assert score.heard(TEXT, 9.0) is None


def test_of_words_that_are_written_as_one_all_must_have_been_heard() -> None:
    score = Score()
    words = [
        WordTime(begin=0, end=2, from_sample=0, to_sample=100),
        WordTime(begin=2, end=6, from_sample=100, to_sample=300),
    ]
    score.add(Timing(turn=1, attempt=1, segment=0, take=1, rate_hz=RATE_HZ, words=words), 0.0)
    assert score.heard("l'amie", 0.2) == 0
    assert score.heard("l'amie", 0.3) == 6


# ------------------------------------------------------------ in the turn's sound


def chunk(segment: int, start: int, samples: int) -> AudioChunk:
    return AudioChunk(
        turn=1, attempt=1, segment=segment, take=1, seq=0, start=start, samples=samples, rate_hz=RATE_HZ,
        codec="pcm", level=0.1, data=b"\1\0" * samples,
    )  # fmt: skip


def playing(*segments: Timing | None) -> Playout:
    """Segments of a second that say ``TEXT``, all sent at 10.0."""
    playout = Playout()
    for number, told_of in enumerate(segments):
        playout.open(TEXT)
        if told_of is not None:
            playout.time(told_of)
        playout.add(chunk(number, 0, 1000))
        playout.complete(number, 1000)
    playout.take_playable(10.0)
    return playout


def test_what_was_heard_is_exact_to_the_word() -> None:
    playout = playing(timing(*WHOLE), timing(*WHOLE, segment=1))
    assert playout.heard(10.301) == "One, two"
    assert playout.heard(10.999) == TEXT, "its words have ended, silence follows"
    assert playout.heard(11.499) == f"{TEXT} One, two"
    assert playout.heard(99.0) == f"{TEXT} {TEXT}"


def test_by_proportion_where_a_segment_s_words_have_no_times() -> None:
    playout = playing(None, timing(*WHOLE, segment=1))
    assert playout.heard(10.301) == "One,"
    assert playout.heard(11.501) == f"{TEXT} One, two — three"


def test_times_count_from_the_beginning_of_the_turn_s_sound_fillers_and_all() -> None:
    playout = Playout()
    playout.bridge([chunk(-1, 0, 400)], 9.0)
    for number in (0, 1):
        playout.open(TEXT)
        playout.time(timing(*WHOLE, segment=number))
        playout.add(chunk(number, 0, 1000))
        playout.complete(number, 1000)
    chunks = playout.take_playable(10.0)
    cues = playout.cues(chunks)
    assert [cue.start_ms for cue in cues[0].words] == [400.0, 600.0, 800.0, 900.0]
    assert [cue.start_ms for cue in cues[1].words] == [1400.0, 1600.0, 1800.0, 1900.0]
    playout.report(700, 11.0)
    assert playout.heard(11.0) == "One, two"


def test_of_an_answer_that_is_cut_the_words_that_were_sent_stay() -> None:
    playout = Playout()
    playout.open(TEXT)
    playout.time(timing(*WHOLE))
    playout.add(chunk(0, 0, 350))
    playout.take_playable(10.0)
    playout.cut()
    playout.open("")
    assert playout.heard(99.0) == "One, two"
    assert playout.heard(10.11) == "One,"


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 400), min_size=4, max_size=4),
    gaps=st.lists(st.integers(0, 200), min_size=4, max_size=4),
    pieces=st.lists(st.integers(1, 500), min_size=1, max_size=12),
    after_ms=st.integers(0, 3000),
)
def test_what_was_heard_is_the_words_that_end_before_the_playback(
    lengths: list[int], gaps: list[int], pieces: list[int], after_ms: int
) -> None:
    at, times = 0, []
    for word, length, gap in zip(PLACES, lengths, gaps, strict=True):
        times.append((word, at + gap, at + gap + length))
        at += gap + length
    playout = Playout()
    playout.open(TEXT)
    playout.time(timing(*times))
    sent, cues = 0, []
    for samples in pieces:
        playout.add(chunk(0, sent, samples))
        told_of = playout.cues(playout.take_playable(10.0))
        cues += [cue for due in told_of.values() for cue in due.words]
        sent += samples
    begun = [(word, float(start), float(end)) for word, start, end in times if start < sent]
    assert [
        (TEXT[cue.begin : cue.end], round(cue.start_ms, 6), round(cue.end_ms, 6)) for cue in cues
    ] == begun
    ended = [word for word, _, end in times if end <= min(after_ms, sent)]
    heard = playout.heard(10.0 + after_ms / 1000).replace("—", "").replace(",", "").replace(".", "")
    assert heard.split() == ended


def test_what_is_told_again_in_the_same_way_is_told_once() -> None:
    score = Score()
    shapes = (("PP", 0), ("aa", 450))
    score.add(timing(*WHOLE, visemes=shapes), 0.0)
    first = score.due(0.25, 0.0)
    score.add(timing(*WHOLE, visemes=shapes), 0.0)
    second = score.due(9.0, 0.0)
    assert first is not None
    assert second is not None
    assert [TEXT[cue.begin : cue.end] for cue in (*first.words, *second.words)] == list(PLACES)
    assert [cue.viseme for cue in (*first.visemes, *second.visemes)] == ["PP", "aa"]
