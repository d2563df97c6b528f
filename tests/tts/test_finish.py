"""Edges, gain and pitch: what a listener hears of a voice's beginning and end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts import espeak
from services.tts.engine import NEUTRAL, Line, Phone, Prosody, Sound, SpokenWord, Voice
from services.tts.finish import CLICK, LEAD_S, SPEECH_DBFS, TAIL_S, WINDOW_S, Finish
from services.tts.loudness import TARGET_LUFS, TEST_LINES, Levels, measure
from services.tts.pitch import MOST_GAIN_DB, MOST_SEMITONES, divided, factor
from shared.audio import Samples, dbfs
from tests.fakes.voices import tone
from tests.models import tiny_voice

RATE_HZ = 16000
WINDOW = round(WINDOW_S * RATE_HZ)
LEAD, TAIL = round(LEAD_S * RATE_HZ), round(TAIL_S * RATE_HZ)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def finished(samples: Samples, finish: Finish | None = None, *, piece: int = 1000) -> Samples:
    """Returns what comes of a sound that is pushed in pieces."""
    finish = finish or Finish(RATE_HZ)
    parts = [finish.push(samples[at : at + piece]) for at in range(0, len(samples), piece)]
    return np.concatenate([*parts, finish.end()])


def said(voice: Voice, text: str, **how: float) -> Samples:
    line = Line(text=text, prosody=Prosody(**how))
    return np.concatenate([sound.samples for sound in voice.speak(line)])


@pytest.fixture(scope="module")
def offline() -> espeak.Espeak:
    return espeak.load()


@pytest.fixture(scope="module")
def tiny(tiny_voices: Path) -> Voice:
    from services.tts.piper import load_voice  # noqa: PLC0415 - heavy, and only these tests need it

    found = next((tiny_voices / "models").rglob("en_US-tiny-low.onnx"))
    return load_voice(found, device="cpu", threads=1)


def test_a_sound_with_quiet_edges_is_passed_on_bit_by_bit() -> None:
    sound = tone(0.5) * np.hanning(RATE_HZ // 2).astype(np.float32)
    out = finished(sound)
    lead = len(sound) - len(out)
    assert 0 <= lead < 0.03 * RATE_HZ
    assert np.array_equal(out, sound[lead:])


def test_silence_in_front_is_cut_to_20_ms_and_told() -> None:
    finish = Finish(RATE_HZ)
    out = finished(np.concatenate([silence(0.5), tone(0.3)]), finish)
    onset = int(np.flatnonzero(out)[0])
    assert LEAD - WINDOW <= onset <= LEAD + WINDOW
    assert finish.shift_s == pytest.approx(0.5 - LEAD_S, abs=WINDOW_S)


def test_silence_behind_is_cut_to_a_pause_and_one_in_the_middle_stays() -> None:
    middle = silence(0.6)
    out = finished(np.concatenate([tone(0.3), middle, tone(0.3), silence(2.0)]))
    assert len(out) / RATE_HZ == pytest.approx(0.3 + 0.6 + 0.3 + TAIL_S, abs=WINDOW_S + 0.001)
    short = np.concatenate([tone(0.3), silence(0.1)])
    assert len(finished(short)) == len(short)


def test_what_begins_or_ends_loud_is_faded_within_5_ms_and_nowhere_else() -> None:
    loud = np.full(4000, 0.5, np.float32)
    out = finished(loud)
    assert len(out) == len(loud)
    assert abs(out[0]) < 0.01
    assert abs(out[-1]) < 0.01
    assert np.abs(np.diff(out)).max() < 0.02
    assert np.array_equal(out[WINDOW:-WINDOW], loud[WINDOW:-WINDOW])


def test_less_than_10_ms_is_held_back_while_speech_goes_on() -> None:
    finish = Finish(RATE_HZ)
    pushed = returned = 0
    for _ in range(20):
        pushed += 700
        returned += len(finish.push(tone(700 / RATE_HZ)))
        assert pushed - returned < 2 * WINDOW


def test_a_sound_softer_than_speech_is_heard_all_the_same() -> None:
    soft = tone(0.3, level=10 ** ((SPEECH_DBFS - 3) / 20))
    finish = Finish(RATE_HZ)
    assert finish.push(soft).size == 0
    assert not finish.has_begun
    assert len(finish.end()) == len(soft)
    assert finish.shift_s == 0.0
    assert finish.end().size == 0


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6000)), max_size=6),
    st.integers(1, 3000),
    st.integers(1, 3000),
)
def test_the_result_does_not_depend_on_how_the_pieces_fall(
    parts: list[tuple[bool, int]], one: int, other: int
) -> None:
    sound = np.concatenate(
        [
            silence(0.0),
            *(np.full(size, 0.2 if is_loud else 0.0, np.float32) for is_loud, size in parts),
        ]
    )
    first, second = finished(sound, piece=one), finished(sound, piece=other)
    assert np.array_equal(first, second)


ANSWERS = [
    "Good morning, how are you today? I have been waiting for you.",
    "Your meeting is at three o'clock.",
    "I am not sure about that, but I can look it up if you want me to.",
]
SOFT_ONSETS = [
    "Her hat is here.",
    "Hello.",
    "Five fat fish.",
    "For you.",
    "Some soft silk.",
    "She sees.",
    "Thin.",
]


@pytest.mark.parametrize("text", SOFT_ONSETS)
@pytest.mark.parametrize("gain", [-6.0, 0.0, 6.0])
def test_a_soft_beginning_of_espeak_is_never_cut(offline: espeak.Espeak, text: str, gain: float) -> None:
    """The gains are more than what separates a voice that was measured from the target."""
    voice = offline.voice("en", "")
    assert voice is not None
    sound = said(voice, text)
    finish = Finish(voice.rate_hz, voice_gain_db=gain)
    finished(sound, finish)
    cut = sound[: round(finish.shift_s * voice.rate_hz)]
    first_audible = int(np.flatnonzero(np.abs(sound) > 0.002)[0])
    assert finish.has_begun
    assert len(cut) <= first_audible
    assert first_audible - len(cut) <= (LEAD_S + 2 * WINDOW_S) * voice.rate_hz


@pytest.mark.parametrize("text", SOFT_ONSETS)
def test_of_the_tiny_voice_nothing_but_silence_is_cut(tiny: Voice, text: str) -> None:
    sound = said(tiny, text)
    finish = Finish(tiny.rate_hz)
    out = finished(sound, finish)
    cut = sound[: round(finish.shift_s * tiny.rate_hz)]
    assert dbfs(float(np.abs(cut).max(initial=0.0))) < -40.0  # it hums at -50 dBFS where it says nothing
    assert tiny_voice.decode(out, tiny.rate_hz) == tiny_voice.decode(sound, tiny.rate_hz)


def test_two_engines_come_out_equally_loud(offline: espeak.Espeak, tiny: Voice) -> None:
    levels = Levels()
    loudness = []
    for voice in (offline.voice("en", ""), tiny):
        assert voice is not None
        levels.learn(voice, [said(voice, TEST_LINES["en"])])
        gain_db = levels.gain_db(voice)
        answers = [
            finished(said(voice, text), Finish(voice.rate_hz, voice_gain_db=gain_db)) for text in ANSWERS
        ]
        loudness.append(measure(np.concatenate(answers), voice.rate_hz))
    assert loudness[0] == pytest.approx(loudness[1], abs=1.0)
    assert loudness == pytest.approx([TARGET_LUFS, TARGET_LUFS], abs=1.0)


def test_a_gain_never_clips() -> None:
    out = finished(tone(0.5, level=0.9), Finish(RATE_HZ, voice_gain_db=12.0))
    assert 0.95 < np.abs(out).max() <= 1.0


def test_a_mood_is_louder_or_softer_by_its_decibels() -> None:
    plain = finished(tone(0.5))
    softer = finished(tone(0.5), Finish(RATE_HZ, Prosody(gain_db=-6.0)))
    assert measure(plain, RATE_HZ) - measure(softer, RATE_HZ) == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("semitones", [-2.0, 1.0, 3.0])
def test_a_pitch_is_another_rate_of_the_same_samples(semitones: float) -> None:
    finish = Finish(RATE_HZ, Prosody(pitch=semitones))
    assert finish.rate_hz == round(RATE_HZ * 2 ** (semitones / 12))
    assert np.array_equal(finished(tone(0.5), finish), finished(tone(0.5)))


def test_a_voice_without_pitch_is_asked_for_the_length_that_playing_it_faster_takes_away() -> None:
    line = Line(text="a", prosody=Prosody(length=1.1, noise=0.8, pitch=2.0, gain_db=-2.0))
    asked, left = divided(line, "piper")
    assert asked.prosody == Prosody(length=1.1 * factor(2.0), noise=0.8, pitch=0.0, gain_db=-2.0)
    assert left == Prosody(pitch=2.0, gain_db=-2.0)


def test_a_voice_that_has_pitch_does_it_itself() -> None:
    line = Line(text="a", prosody=Prosody(pitch=2.0, gain_db=-2.0))
    assert divided(line, "espeak-ng") == (line, Prosody(gain_db=-2.0))
    neutral = Line(text="a")
    assert divided(neutral, "piper") == (neutral, NEUTRAL)


def test_pitch_and_gain_are_bounded() -> None:
    assert factor(40.0) == factor(MOST_SEMITONES) == pytest.approx(2**0.25)
    assert factor(-40.0) == factor(-MOST_SEMITONES)
    _, left = divided(Line(text="a", prosody=Prosody(gain_db=40.0)), "piper")
    assert left.gain_db == MOST_GAIN_DB


def test_words_are_heard_when_the_faster_sound_has_them() -> None:
    sound = Sound(
        samples=silence(0.0),
        phones=(Phone(symbol="a", start_s=1.0, end_s=2.0),),
        words=(SpokenWord(begin=0, end=1, start_s=1.0, end_s=2.0),),
    )
    ratio = Finish(RATE_HZ, Prosody(pitch=3.0)).rate_hz / RATE_HZ
    heard = Finish(RATE_HZ, Prosody(pitch=3.0)).heard(sound)
    assert (heard.phones[0].start_s, heard.phones[0].end_s) == (1.0 / ratio, 2.0 / ratio)
    assert (heard.words[0].start_s, heard.words[0].end_s) == (1.0 / ratio, 2.0 / ratio)
    assert Finish(RATE_HZ).heard(sound) is sound


def test_a_fade_ends_a_sound_that_breaks_off() -> None:
    finish = Finish(RATE_HZ)
    finish.push(np.full(3000, 0.4, np.float32))
    assert abs(finish.end()[-1]) < CLICK * 5
