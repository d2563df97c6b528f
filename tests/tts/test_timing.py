from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tts.engine import Phone, Sound, SpokenWord
from services.tts.passage import Passage, Spoken
from services.tts.timing import LETTERS_A_SECOND, Marks, Timekeeper

RATE_HZ = 1000
"""So that a sample is a millisecond."""


def sound(seconds: float = 0.1, **known: object) -> Sound:
    return Sound(samples=np.zeros(round(seconds * RATE_HZ), np.float32), **known)  # type: ignore[arg-type]


def phones(ipa: str, step_s: float = 0.1) -> tuple[Phone, ...]:
    return tuple(
        Phone(symbol=symbol, start_s=index * step_s, end_s=(index + 1) * step_s)
        for index, symbol in enumerate(ipa)
    )


def told(written: str, passage: Passage, heard: Sound, *, at: int = 0, shift_s: float = 0.0) -> list[Marks]:
    keeper = Timekeeper(written, RATE_HZ)
    line = keeper.line(keeper.mapped(passage), from_sample=at)
    line.hear(heard, RATE_HZ)
    return line.tell(shift_s)


def words(written: str, marks: Marks) -> list[tuple[str, int, int]]:
    return [(written[word.begin : word.end], word.from_sample, word.to_sample) for word in marks.words]


def test_sounds_tell_when_the_written_words_are_heard() -> None:
    written = "Hello, world!"
    (marks,) = told(written, Passage(text="Hello, world!"), sound(phones=phones("həlo, wɜld!")))
    assert words(written, marks) == [("Hello", 0, 400), ("world", 600, 1000)]
    assert not marks.is_estimated
    assert [(it.viseme, it.from_sample) for it in marks.visemes] == [
        ("E", 0), ("nn", 200), ("oh", 300), ("sil", 400), ("ou", 600), ("E", 700), ("nn", 800), ("DD", 900),
        ("sil", 1000),
    ]  # fmt: skip


def test_times_count_from_the_line_s_place_less_what_was_cut_from_its_beginning() -> None:
    written = "Hello, world!"
    heard = sound(phones=phones("  həlo wɜld"))
    (marks,) = told(written, Passage(text="Hello world!"), heard, at=5000, shift_s=0.15)
    assert words(written, marks) == [("Hello", 5050, 5450), ("world", 5550, 5950)]
    assert marks.visemes[0].from_sample == 5000, "never before the line's own sound"


def test_a_number_is_lit_while_all_of_its_words_are_said() -> None:
    written = "Bien: 3,5 %."
    passage = Passage(
        text="Bien: trois virgule cinq pour cent.",
        words=(
            Spoken(begin=0, end=4, spoken_begin=0, spoken_end=4),
            Spoken(begin=6, end=11, spoken_begin=6, spoken_end=34),
        ),
    )
    (marks,) = told(written, passage, sound(phones=phones("bjɛ̃ tʁwa viʁɡyl sɛ̃k puʁ sɑ̃")))
    assert words(written, marks) == [("Bien", 0, 400), ("3,5 %", 500, 2900)]


def test_words_of_one_spoken_word_share_its_time_by_letters() -> None:
    passage = Passage(
        text="l'amie",
        words=(
            Spoken(begin=0, end=2, spoken_begin=0, spoken_end=2),
            Spoken(begin=2, end=6, spoken_begin=2, spoken_end=6),
        ),
    )
    (marks,) = told("l'amie", passage, sound(phones=phones("lami", 0.15)))
    assert words("l'amie", marks) == [("l'", 0, 200), ("amie", 200, 600)]


def test_what_is_not_said_has_no_time() -> None:
    passage = Passage(
        text="one two",
        words=(
            Spoken(begin=0, end=3, spoken_begin=0, spoken_end=3),
            Spoken(begin=4, end=5, spoken_begin=4, spoken_end=4),
            Spoken(begin=6, end=9, spoken_begin=4, spoken_end=7),
        ),
    )
    (marks,) = told("one * two", passage, sound(phones=phones("wʌn tuː")))
    assert [word for word, _, _ in words("one * two", marks)] == ["one", "two"]


def test_words_that_the_voice_tells_are_taken_as_they_are() -> None:
    spoken = (
        SpokenWord(begin=0, end=3, start_s=0.1, end_s=0.3),
        SpokenWord(begin=4, end=8, start_s=0.35, end_s=0.7),
    )
    exact, shapes = told("Oui. Bien", Passage(text="Oui Bien"), sound(words=spoken))
    assert words("Oui. Bien", exact) == [("Oui", 100, 300), ("Bien", 350, 700)]
    assert not exact.is_estimated
    assert not exact.visemes
    assert shapes.is_estimated, "of letters only"
    assert not shapes.words
    assert [it.viseme for it in shapes.visemes] == ["ou", "ih", "sil", "PP", "ih", "aa", "sil"]


def test_without_a_map_words_are_looked_for_in_order_through_all_passages() -> None:
    written = "No. No, **no**!"
    keeper = Timekeeper(written, RATE_HZ)
    found = []
    for text in ("No.", "No, no!"):
        line = keeper.line(keeper.mapped(Passage(text=text)), from_sample=0)
        line.hear(sound(phones=phones("noʊ noʊ" if "," in text else "noʊ")), RATE_HZ)
        found += [(word.begin, word.end) for marks in line.tell(0.0) for word in marks.words]
    assert found == [(0, 2), (4, 6), (10, 12)]


def test_it_is_told_once_and_only_with_the_first_sound() -> None:
    keeper = Timekeeper("Hello", RATE_HZ)
    line = keeper.line(keeper.mapped(Passage(text="Hello")), from_sample=0)
    line.hear(sound(phones=phones("həlo")), RATE_HZ)
    line.hear(sound(), RATE_HZ)
    assert len(line.tell(0.0)) == 1
    assert line.tell(0.0) == []
    assert line.end(200, 0.0) == []


def test_a_line_whose_only_sound_comes_at_its_end_is_told_then() -> None:
    keeper = Timekeeper("Hello", RATE_HZ)
    line = keeper.line(keeper.mapped(Passage(text="Hello")), from_sample=10)
    line.hear(sound(phones=phones("həlo")), RATE_HZ)
    assert len(line.end(200, 0.0)) == 1


def test_a_line_of_which_nothing_is_heard_is_not_told() -> None:
    keeper = Timekeeper("Hello", RATE_HZ)
    line = keeper.line(keeper.mapped(Passage(text="Hello")), from_sample=10)
    line.hear(sound(phones=phones("həlo")), RATE_HZ)
    assert line.end(10, 0.0) == []


STORY = "a story that nobody knows the time of, word by word"


def estimating(first_s: float, pace: float = 1.0) -> tuple[list[Marks], list[Marks]]:
    """What is told of a line of 3 s with the first sound, and at the end."""
    keeper = Timekeeper(STORY, RATE_HZ)
    line = keeper.line(keeper.mapped(Passage(text=STORY)), from_sample=0, pace=pace)
    line.hear(sound(first_s), RATE_HZ)
    return line.tell(0.0), line.end(3000, 0.0)


def test_of_a_silent_voice_times_are_estimated_ahead_and_corrected_at_the_end() -> None:
    (ahead,), (better,) = estimating(0.2)
    assert ahead.is_estimated
    assert better.is_estimated
    assert ahead.words[-1].to_sample == pytest.approx(1000 * (len(STORY) + 4) / LETTERS_A_SECOND, rel=0.1)
    assert better.words[-1].to_sample == 3000
    assert [word.begin for word in ahead.words] == [word.begin for word in better.words]
    assert ahead.visemes


def test_a_faster_voice_is_estimated_faster() -> None:
    (slow,), _ = estimating(0.2, pace=1.0)
    (fast,), _ = estimating(0.2, pace=2.0)
    assert fast.words[-1].to_sample == pytest.approx(slow.words[-1].to_sample / 2, abs=1)


def test_a_voice_that_makes_a_line_at_once_is_not_corrected() -> None:
    (at_once,), corrected = estimating(3.0)
    assert at_once.words[-1].to_sample == 3000
    assert corrected == []


def test_of_a_line_without_words_nothing_is_told() -> None:
    assert told("…", Passage(text="…"), sound(1.0)) == []


@settings(deadline=None)
@given(
    parts=st.lists(st.text("abé-' ,.3", max_size=8), max_size=12),
    ipa=st.text("abə ˈ,", max_size=40),
    shift_s=st.floats(0, 1),
    at=st.integers(0, 5000),
)
def test_words_come_in_order_within_the_sound(parts: list[str], ipa: str, shift_s: float, at: int) -> None:
    text = " ".join(parts)
    for marks in told(text, Passage(text=text), sound(1.0, phones=phones(ipa)), at=at, shift_s=shift_s):
        times = [time for word in marks.words for time in (word.from_sample, word.to_sample)]
        assert times == sorted(times)
        assert all(time >= at for time in times)
        assert [word.begin for word in marks.words] == sorted({word.begin for word in marks.words})
        said = [part for part in text.split() if any(map(str.isalnum, part))]
        assert len(marks.words) == len(said), "none is lost"


def test_a_spoken_word_that_nobody_wrote_takes_no_word_s_place() -> None:
    (marks,) = told("2 dogs", Passage(text="two dogs"), sound(phones=phones("tuː dɔɡz")))
    assert [word for word, _, _ in words("2 dogs", marks)] == ["dogs"]


def test_what_a_voice_comes_to_know_is_told_again_from_where_it_differs() -> None:
    written = "one two three"
    keeper = Timekeeper(written, RATE_HZ)
    line = keeper.line(keeper.mapped(Passage(text=written)), from_sample=0)
    guessed = phones("wʌn tuː θɹiː")
    later = guessed[:8] + tuple(
        Phone(symbol=phone.symbol, start_s=phone.start_s + 0.2, end_s=phone.end_s + 0.2)
        for phone in guessed[8:]
    )
    line.hear(sound(phones=guessed), RATE_HZ)
    (first,) = line.tell(0.0)
    line.hear(sound(phones=guessed), RATE_HZ)
    assert line.tell(0.0) == [], "nothing has changed"
    line.hear(sound(phones=later), RATE_HZ)
    (second,) = line.tell(0.0)
    assert words(written, first) == [("one", 0, 300), ("two", 400, 700), ("three", 800, 1200)]
    assert words(written, second) == [("three", 1000, 1400)]
    assert [(it.viseme, it.from_sample) for it in second.visemes] == [
        ("sil", 700), ("TH", 1000), ("RR", 1100), ("ih", 1200), ("sil", 1400)
    ]  # fmt: skip
