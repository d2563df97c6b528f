from __future__ import annotations

from services.tts.engine import Line, Phone, Prosody, SpokenWord
from services.tts.remainder import is_sayable, rest

TEXT = "one — two, three"


def behind(heard_s: float, line: Line, **told: object) -> str:
    return line.text[rest(line, heard_s, **told) :]  # type: ignore[arg-type]


def phones(*symbols: str) -> tuple[Phone, ...]:
    """A tenth of a second each."""
    return tuple(
        Phone(symbol=symbol, start_s=at / 10, end_s=(at + 1) / 10) for at, symbol in enumerate(symbols)
    )


def test_the_voice_s_own_words_decide_and_one_that_was_mostly_heard_is_not_said_again() -> None:
    words = tuple(
        SpokenWord(begin=TEXT.index(word), end=TEXT.index(word) + 3, start_s=at, end_s=at + 1.0)
        for at, word in enumerate(("one", "two", "three"))
    )
    said = {0.0: TEXT, 0.6: TEXT, 0.7: "two, three", 1.5: "two, three", 1.8: "three", 2.9: ""}
    for heard_s, left in said.items():
        assert behind(heard_s, Line(text=TEXT), words=words) == left, heard_s


def test_sounds_between_blanks_are_words_where_there_are_as_many() -> None:
    told = phones("^", "w", "ʌ", "n", " ", "t", "u", ",", " ", "θ", "ɹ", "iː", "$")
    said = {
        0.2: TEXT,
        0.35: "two, three",
        0.55: "two, three",
        0.65: "three",
        1.05: "three",
        1.15: "",
        2.0: "",
    }
    for heard_s, left in said.items():
        assert behind(heard_s, Line(text=TEXT), phones=told) == left, heard_s


def test_sounds_that_are_not_as_many_words_tell_the_share() -> None:
    told = phones("^", "w", "ʌ", "n", "t", "u", " ", "θ", "ɹ", "i", "iː", "$")
    said = {0.2: TEXT, 0.4: "two, three", 0.65: "three", 1.1: ""}
    for heard_s, left in said.items():
        assert behind(heard_s, Line(text=TEXT), phones=told) == left, heard_s


def test_without_times_it_is_a_matter_of_proportion() -> None:
    for told in ((), phones("^", "$")):
        line = Line(text="one two three")
        assert behind(0.0, line, phones=told) == line.text
        assert behind(0.1, line, phones=told) == line.text
        assert behind(0.15, line, phones=told) == "two three"
        assert behind(9.0, line, phones=told) == ""
    assert behind(0.15, Line(text="one two three", speed=4.0)) == "three"
    assert behind(0.4, Line(text="one two three", prosody=Prosody(length=2.0))) == "two three"


def test_only_letters_and_digits_can_be_said() -> None:
    assert is_sayable("é")
    assert is_sayable("— 7")
    assert not is_sayable("… — !")
