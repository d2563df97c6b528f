"""Marks of moods: taken out of any stream, however it was chunked, and nothing else with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.moods import DEFAULT, PROMPT, Marks, Mood, sentence


def read(pieces: list[str], moods: tuple[str, ...] = DEFAULT) -> tuple[str, list[str]]:
    marks = Marks(moods)
    parts = [part for piece in pieces for part in marks.feed(piece)] + marks.flush()
    text = "".join(part for part in parts if isinstance(part, str))
    return text, [part.name for part in parts if isinstance(part, Mood)]


@pytest.mark.parametrize(
    ("text", "said", "moods"),
    [
        ("Hello.", "Hello.", []),
        ("[joy] Hello.", "Hello.", ["joy"]),
        ("[joy]Hello.", "Hello.", ["joy"]),
        ("Hello. [sadness] Oh no. [calm] Well.", "Hello. Oh no. Well.", ["sadness", "calm"]),
        ("[ Joy ] Hi", "Hi", ["joy"]),
        ("[JOY]\nHi", "Hi", ["joy"]),
        ("[mood: anger] No!", "No!", ["anger"]),
        ("[Emotion = surprised] Oh!", "Oh!", ["surprise"]),
        ("[excited] Yes!", "Yes!", ["joy"]),
        ("[tristesse] Hélas.", "Hélas.", ["sadness"]),
        ("[worried] Hm.", "Hm.", []),
        ("[joy][calm] Hi", "Hi", ["joy", "calm"]),
        ("[[joy]] Hi", "[] Hi", ["joy"]),
        ("See [1] and [the book].", "See [1] and [the book].", []),
        ("An array[0] or [joyride].", "An array[0] or [joyride].", []),
        ("[joy and more] Hi", "[joy and more] Hi", []),
        ("Well [jo", "Well ", []),
        ("Well [", "Well ", []),
        ("Well [mood", "Well ", []),
        ("Well [mood: jo", "Well ", []),
        ("a ] b", "a ] b", []),
        ("[" + " " * 60 + "joy] Hi", "[" + " " * 60 + "joy] Hi", []),
        ("Bien[joie]venue", "Bienvenue", ["joy"]),
    ],
)
def test_marks_become_moods_and_other_brackets_stay(text: str, said: str, moods: list[str]) -> None:
    assert read([text]) == (said, moods)
    assert read(list(text)) == (said, moods)


def test_what_is_no_mark_is_not_held_back() -> None:
    marks = Marks()
    assert marks.feed("Hello [1") == ["Hello ", "[", "1"]


def test_a_mark_of_a_mood_that_is_not_wanted_is_taken_out_all_the_same() -> None:
    assert read(["[joy] Hello. [calm] Yes."], ("calm",)) == ("Hello. Yes.", ["calm"])
    assert read(["[joy] Hello."], ()) == ("Hello.", [])


def test_moods_of_ones_own_are_known() -> None:
    assert read(["[mischief] Hehe."], ("mischief",)) == ("Hehe.", ["mischief"])


@given(st.lists(st.sampled_from(["[", "]", " ", "jo", "y", "joy", "[calm]", "a", "mood", ":", "x. "])))
def test_chunks_change_nothing_and_no_mark_passes(pieces: list[str]) -> None:
    said, moods = read(pieces)
    assert (said, moods) == read(["".join(pieces)])
    assert not any(part in said for part in ("[joy]", "[calm]") if "[[" not in "".join(pieces))


def test_the_sentence_names_the_marks_and_is_empty_without_moods() -> None:
    assert "[joy], [calm]" in sentence(PROMPT, ("joy", "calm"))
    assert sentence(PROMPT, ()) == ""
