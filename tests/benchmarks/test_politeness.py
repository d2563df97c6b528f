"""The politeness benchmark in small: that what it counts is what happened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.espeak import RATE_HZ, Voice, speak
from benchmarks.politeness import (
    DEFAULT_MS,
    EVA,
    FIXED,
    Heard,
    Point,
    Politeness,
    Rate,
    Tally,
    listen,
    oracle,
    play,
    run,
)
from benchmarks.politeness_report import by_noise, by_pause, plot, summary
from benchmarks.politeness_set import SENTENCES, VOICES, Clip, Pause, clips
from services.stt.endpoint import Endpointer, EndpointPolicy
from services.stt.engine import FRAME
from services.stt.melody import Melody

SAID, GAP, REST = 30, 25, 20


def heard(*, gap: int = GAP, words: tuple[str, str] = ("i want the", "red one")) -> Heard:
    """Speech, a pause, more speech; frames of a known probability."""
    frames = [0.0] * 10 + [1.0] * SAID + [0.0] * gap + [1.0] * REST + [0.0] * 50
    first = (10 + SAID) * FRAME
    second = first + gap * FRAME
    clip = Clip(
        pcm=np.zeros(len(frames) * FRAME, np.float32),
        words=words,
        starts=(10 * FRAME, second),
        ends=(first, second + REST * FRAME),
        pauses=(Pause(first, second, gap * FRAME / RATE_HZ, "open"),),
        end=second + REST * FRAME,
        language="en",
        speaker="nobody",
        noise="quiet",
        snr_db=60,
    )
    return Heard(clip, tuple(frames), tuple(-70.0 if not one else -20.0 for one in frames))


def played(one: Heard, *, is_auto: bool, end_silence_ms: int = 500) -> Tally:
    tally = Tally()
    policy = EndpointPolicy(detection="auto" if is_auto else "silence", end_silence_ms=end_silence_ms)
    play(one, Endpointer(policy=policy), oracle(None) if is_auto else None, tally)
    return tally


def test_an_end_within_a_pause_is_a_cut_in() -> None:
    assert played(heard(), is_auto=False).cut_ins() == Rate(1, 1)
    assert played(heard(), is_auto=False, end_silence_ms=1000).cut_ins() == Rate(0, 1)


def test_words_that_ask_for_more_prevent_it() -> None:
    assert played(heard(), is_auto=True).cut_ins() == Rate(0, 1)
    assert played(heard(words=("what time is it", "now")), is_auto=True).cut_ins() == Rate(1, 1)


def test_the_delay_is_from_the_last_sound_to_the_decision() -> None:
    ((_, delay_ms),) = played(heard(), is_auto=False, end_silence_ms=640).delays
    assert delay_ms == 640


def test_an_end_that_is_not_found_counts_as_the_whole_tail() -> None:
    one = heard()
    loud = tuple(0.9 if index > 60 else value for index, value in enumerate(one.probabilities))
    tally = played(replace(one, probabilities=loud, levels_db=(-20.0,) * len(loud)), is_auto=False)
    assert tally.unheard == 1
    assert tally.delays[0][1] == 50 * FRAME * 1000 / RATE_HZ


def test_an_end_where_no_pause_was_is_counted_apart() -> None:
    one = heard(gap=25)
    clip = replace(one.clip, pauses=())
    assert played(replace(one, clip=clip), is_auto=False).broken == 1


def test_the_words_of_a_clip_are_those_that_were_spoken_so_far() -> None:
    clip = heard().clip
    assert clip.said(clip.pauses[0].start + 100) == "i want the"
    assert clip.said(clip.end) == "i want the red one"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_two_groups_share_no_sentence_and_no_voice(language: str) -> None:
    assert not set(SENTENCES["tune", language]) & set(SENTENCES["report", language])
    speakers = [{voice.name for voice in VOICES[group, language]} for group in ("tune", "report")]
    assert not speakers[0] & speakers[1]


def test_a_set_is_the_same_each_time() -> None:
    first, second = clips("report", language="fr", share=40), clips("report", language="fr", share=40)
    assert all(
        np.array_equal(one.pcm, other.pcm) and one.pauses == other.pauses
        for one, other in zip(first, second, strict=True)
    )


def test_the_offline_voice_tells_where_its_words_begin() -> None:
    (spoken,) = speak([(Voice("en-us"), "Turn off the lights.")])
    assert spoken.words == ("Turn", "off", "the", "lights.")
    assert spoken.starts[0] == 0
    assert list(spoken.starts) == sorted(set(spoken.starts))
    assert spoken.starts[-1] < len(spoken.pcm)


@pytest.fixture(scope="module")
def points() -> tuple[Point, ...]:
    some = listen("report", language="fr", share=9)
    fixed = [run(FIXED, ms, some, None) for ms in (300, 1200)]
    return (*fixed, run(EVA, DEFAULT_MS, some, oracle(Melody())))


def test_words_and_melody_wait_less_than_a_long_silence_and_cut_in_less_than_a_short_one(
    points: tuple[Point, ...],
) -> None:
    short, long, ours = points
    assert short.cut_ins.share > 0.3
    assert ours.cut_ins.share < 0.1
    assert ours.delay.p50 < long.delay.p50


def test_the_report_and_the_plot_show_each_setting_and_are_the_same_each_time(
    points: tuple[Point, ...], tmp_path: Path
) -> None:
    measured = Politeness(points, 1)
    assert summary(measured).count(FIXED) == 2
    assert "| 0.8 |" in by_pause(points)
    assert "babble 5 dB" in by_noise(points)
    for name in ("a.svg", "b.svg"):
        plot(measured, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
