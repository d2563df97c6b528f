from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from piper.phonemize_espeak import EspeakPhonemizer

from services.tts import espeak
from services.tts.engine import Line, Phone, Prosody, Sound
from services.tts.espeak_events import PhoneEvent, WordEvent, phones, words
from services.tts.espeak_lock import ESPEAK_LOCK

ENGLISH = "Out of the blue, don't well-known 1984 “summer” days."
FRENCH = "Les amis, c'est-à-dire vingt-quatre. Voilà l'été!"


@pytest.fixture(scope="module")
def engine() -> espeak.Espeak:
    return espeak.load()


def spoken(engine: espeak.Espeak, language: str, text: str, **prosody: float) -> list[Sound]:
    voice = engine.voice(language, "")
    assert voice is not None
    return list(voice.speak(Line(text=text, prosody=Prosody(**prosody))))


def loudness(samples: npt.NDArray[np.float32], begin_s: float, end_s: float) -> float:
    part = samples[int(begin_s * 22050) : int(end_s * 22050)]
    return float(np.sqrt(np.mean(part**2))) if part.size else 0.0


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", ENGLISH, ["Out", "of", "the", "blue", "don't", "well-known", "1984", "summer", "days"]),
        ("fr", FRENCH, ["Les", "amis", "c'est-à-dire", "vingt-quatre", "Voilà", "l'été"]),
    ],
)
def test_it_tells_with_its_first_sound_when_each_word_is_said(
    engine: espeak.Espeak, language: str, text: str, expected: list[str]
) -> None:
    sounds = spoken(engine, language, text)
    said = sounds[0].words
    assert [text[word.begin : word.end] for word in said] == expected
    times = [time for word in said for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[-1] <= sum(len(sound.samples) for sound in sounds) / 22050
    assert not any(sound.words or sound.phones for sound in sounds[1:])


def test_the_times_are_those_of_the_sound(engine: espeak.Espeak) -> None:
    sounds = spoken(engine, "en", "Boys, girls, men, women.")
    samples = np.concatenate([sound.samples for sound in sounds])
    said = sounds[0].words
    for word in said:
        assert loudness(samples, word.start_s, word.end_s) > 0.05
    for before, behind in itertools.pairwise(said):
        pause_s = behind.start_s - before.end_s
        assert pause_s > 0.1, "at a comma"
        middle_s = before.end_s + pause_s / 2
        assert loudness(samples, middle_s, behind.start_s - 0.02) < 0.005


def test_it_tells_the_sounds_of_speech(engine: espeak.Espeak) -> None:
    sounds = spoken(engine, "en", "Boys, men.")[0].phones
    assert "".join(sound.symbol for sound in sounds).split() == ["bˈɔɪz", "mˈɛn"]
    assert all(before.end_s == behind.start_s for before, behind in itertools.pairwise(sounds))


def test_a_phonemizer_that_wants_to_know_nothing_takes_nothing_away(engine: espeak.Espeak) -> None:
    before = spoken(engine, "fr", FRENCH)[0]
    with ESPEAK_LOCK:
        EspeakPhonemizer()
    after = spoken(engine, "fr", FRENCH)[0]
    assert [phone.symbol for phone in after.phones] == [phone.symbol for phone in before.phones]
    assert len(after.words) == len(before.words)


def pitch_hz(sounds: list[Sound]) -> float:
    """The strongest period of a long vowel, by autocorrelation."""
    samples = np.concatenate([sound.samples for sound in sounds])
    middle = samples[len(samples) // 3 : len(samples) // 3 + 4096]
    alike = np.correlate(middle, middle, "full")[len(middle) :]
    low, high = 22050 // 400, 22050 // 60
    return 22050 / (low + 1 + int(np.argmax(alike[low:high])))


def test_prosody_is_heard_within_bounds(engine: espeak.Espeak) -> None:
    def seconds(**prosody: float) -> float:
        return sum(len(sound.samples) for sound in spoken(engine, "en", ENGLISH, **prosody)) / 22050

    assert seconds(length=1.3) == pytest.approx(1.3 * seconds(), rel=0.1)
    assert seconds(length=1000.0) < 4 * seconds()
    vowel = "Aaaaaaaaaah"
    usual, high = pitch_hz(spoken(engine, "en", vowel)), pitch_hz(spoken(engine, "en", vowel, pitch=3.0))
    assert 1.1 < high / usual < 1.3
    assert spoken(engine, "en", vowel, pitch=1000.0)
    assert spoken(engine, "en", vowel, pitch=-1000.0)


def test_without_sounds_of_speech_words_last_until_the_next_one() -> None:
    said = words("one two", [WordEvent(1, 0), WordEvent(5, 100)], (), 300, 100)
    assert [(word.begin, word.end, word.start_s, word.end_s) for word in said] == [
        (0, 3, 0.0, 1.0),
        (4, 7, 1.0, 3.0),
    ]


def test_words_said_as_one_share_their_sounds() -> None:
    heard = (Phone(symbol="ʌv", start_s=0.0, end_s=0.5), Phone(symbol="ðə", start_s=0.5, end_s=0.8))
    said = words("of the", [WordEvent(1, 0)], heard, 100, 100)
    assert [(word.begin, word.start_s, word.end_s) for word in said] == [(0, 0.0, 0.5), (3, 0.5, 0.8)]
    said = words("of the", [WordEvent(4, 0)], (), 100, 100)
    assert [(word.begin, word.start_s, word.end_s) for word in said] == [(0, 0.0, 0.5), (3, 0.5, 1.0)]


def test_events_that_go_astray_lose_no_word() -> None:
    astray = [WordEvent(1, 0), WordEvent(99, 50), WordEvent(2, 70), WordEvent(5, 80)]
    said = words("one two", astray, (), 100, 100)
    assert [(word.begin, word.end_s) for word in said][-1] == (4, 1.0)
    assert len(said) == 2


def test_nothing_is_told_of_nothing() -> None:
    assert words("…", [WordEvent(1, 0)], (), 100, 100) == ()
    assert words("one", [], (), 100, 100) == ()
    assert phones([], 100, 100) == ()


def test_a_pause_is_a_blank_and_no_sound_goes_beyond_the_end() -> None:
    told = phones([PhoneEvent("a", 0), PhoneEvent("", 50), PhoneEvent("b", 120)], 100, 100)
    assert [(phone.symbol, phone.start_s, phone.end_s) for phone in told] == [
        ("a", 0.0, 0.5),
        (" ", 0.5, 1.0),
        ("b", 1.0, 1.0),
    ]
