"""The small pure parts: tombstones, languages, sums, prompts, openings, guards."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm import arithmetic
from services.llm.guard import REPEATS, Guard, speech_s
from services.llm.opening import Opening, Thoughts
from shared.language import guess

# ---------------------------------------------------------------- languages and sums


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What time is it?", "en"),
        ("Tell me about the sea", "en"),
        ("Quelle heure est-il ?", "fr"),
        ("Déjà fatiguée", "fr"),
        ("Wie spät ist das", ""),
        ("", ""),
        ("42", ""),
    ],
)
def test_a_language_is_told_by_its_small_words(text: str, language: str) -> None:
    assert guess(text) == language


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2 + 2", Fraction(4)),
        ("what is 2 plus 3 times 4", Fraction(14)),
        ("10 - 4 - 3", Fraction(3)),
        ("10 / 4 * 2", Fraction(5)),
        ("twenty one plus two hundred", Fraction(221)),
        ("one hundred and five minus 3", Fraction(102)),
        ("quatre vingt dix plus deux", Fraction(92)),
        ("vingt et un fois deux", Fraction(42)),
        ("douze divise par trois", Fraction(4)),
        ("1,5 + 1.5", Fraction(3)),
        ("2 plus 2 please tell me", Fraction(4)),
        ("at 5 we eat 2 and 3", Fraction(5)),
        ("i have 3 cats", None),
        ("3 plus", None),
        ("plus 3", None),
        ("nine and arrives at ten", None),
        ("1 + " * 20 + "1", Fraction(9)),
        ("", None),
    ],
)
def test_sums_are_solved_as_people_say_them(text: str, result: Fraction | None) -> None:
    assert arithmetic.solve(text) == result


def test_a_division_by_zero_has_no_result() -> None:
    with pytest.raises(arithmetic.DividedByZero):
        arithmetic.solve("4 / 0")


def test_results_are_shown_with_two_decimals_at_most() -> None:
    assert arithmetic.shown(Fraction(4), decimal_mark=".") == "4"
    assert arithmetic.shown(Fraction(1, 3), decimal_mark=",") == "0,33"
    assert arithmetic.shown(Fraction(5, 2), decimal_mark=".") == "2.5"


# ---------------------------------------------------------------- openings


def opened(pieces: list[str], spoken: str = "") -> str:
    thoughts, opening = Thoughts(), Opening(spoken)
    said = "".join(opening.feed(thoughts.feed(piece)) for piece in pieces)
    return said + opening.feed(thoughts.flush()) + opening.flush()


@pytest.mark.parametrize(
    ("text", "spoken", "said"),
    [
        ("Hello you.", "", "Hello you."),
        ("<think>I should greet. </think>\n\nHello.", "", "Hello."),
        ("<think>never ends", "", ""),
        ("<b>Hello</b>", "", "<b>Hello</b>"),
        ("<th", "", "<th"),
        (" and you.", "Hello there,", " and you."),
        ("Hello there, and you.", "Hello  there,", "and you."),
        ("Hello there,", "Hello there,", ""),
        ("Hello the", "Hello there,", "Hello the"),
        ("Hello them.", "Hello there,", "Hello them."),
        ("<think>x</think> Hello there, you.", "Hello there,", "you."),
        ("", "Hello", ""),
        ("HELLO, there! And you.", "Hello there,", "And you."),
        ("I think so: and we left.", "Well. I think so,", "and we left."),
        ("down to the river, and on.", "We all went down to the river", "and on."),
        ("very good.", "It is very", "very good."),
        ("Hello thereafter.", "Hello there", "Hello thereafter."),
        ("そうですね、海です。", "はい。そうですね、", "海です。"),
        ("…and so on.", "Well,", "…and so on."),
        ("<think>x</think>", "", ""),
    ],
)
def test_an_answer_opens_with_what_is_new(text: str, spoken: str, said: str) -> None:
    assert opened([text], spoken) == said
    assert opened(list(text), spoken) == said


def test_an_ordinary_answer_is_not_held_back_for_a_moment() -> None:
    thoughts, opening = Thoughts(), Opening()
    assert opening.feed(thoughts.feed("Hel")) == "Hel"
    assert opening.feed(thoughts.feed("lo <think>")) == "lo <think>"


@given(st.lists(st.text(max_size=8)), st.text(max_size=8))
def test_opening_never_invents_text(pieces: list[str], spoken: str) -> None:
    whole = "".join(pieces)
    assert whole.endswith(opened(pieces, spoken)) or opened(pieces, spoken) in whole


# ---------------------------------------------------------------- guards


def test_an_endless_answer_is_ended() -> None:
    guard = Guard(max_tokens=10)
    said = ""
    while not guard.is_over:
        said += guard.allow("blah ")
    assert 40 <= len(said) <= 80
    assert guard.allow("more") == ""


def test_one_huge_piece_is_cut() -> None:
    guard = Guard(max_tokens=10)
    assert len(guard.allow("x" * 1_000_000)) <= 80
    assert guard.is_over


def test_a_mind_that_repeats_itself_is_stopped() -> None:
    guard = Guard(max_tokens=1000)
    assert [guard.is_stuck("Ha ha.") for _ in range(REPEATS)] == [False] * (REPEATS - 1) + [True]
    assert guard.is_over


def test_a_chorus_with_a_verse_between_is_no_repetition() -> None:
    guard = Guard(max_tokens=1000)
    assert not any(guard.is_stuck(segment) for segment in ["La la.", "La la.", "One.", "La la."] * 9)
    assert not guard.is_over


def passed(text: str, *, size: int, max_tokens: int = 4000, max_speech_s: float = 0.0) -> tuple[str, Guard]:
    guard = Guard(max_tokens, max_speech_s=max_speech_s)
    said = ""
    for start in range(0, len(text), size):
        if guard.is_over:
            break
        said += guard.allow(text[start : start + size])
    return said, guard


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("before", "again"),
    [
        ("I think so, ", "no "),
        ("I think so, ", "and then he said that "),
        ("Well: ", "the sea was wide, the wind was cold, and nobody had seen the ship; "),
        ("Je crois que ", "oui, "),
        ("はい、", "そうですね、"),
        ("I laugh: ", "ha"),
        ("", "-"),
    ],
)
def test_words_that_go_round_and_round_are_found_however_they_are_chunked(
    before: str, again: str, size: int
) -> None:
    said, guard = passed(before + again * 80, size=size)
    assert guard.is_over
    good = said[: len(said) - guard.surplus]
    assert good.strip() in (before + again).strip() + " "
    assert len(said) < len(before) + max(24 * len(again) + 80, size + 1)


@pytest.mark.parametrize(
    "text",
    [
        "No no no, very very very good, and ha ha ha ha ha.",
        "One and two and three and four and five and six and seven and eight and nine and ten and eleven.",
        "He came, he saw, he went. He came, he saw, he went. He came, he saw, he went.",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20.",
        "一、二、三、四、五、六、七、八、九、十。",
    ],
)
def test_what_people_say_twice_or_thrice_is_no_loop(text: str) -> None:
    said, guard = passed(text, size=4)
    assert (said, guard.is_over, guard.surplus) == (text, False, 0)


def test_an_answer_ends_after_so_much_speech() -> None:
    text = " ".join(f"word{number}" for number in range(1000))
    said, guard = passed(text, size=5, max_speech_s=10.0)
    assert guard.is_over
    assert speech_s(said) == pytest.approx(10.0, abs=0.5)
    assert not passed(text, size=5)[1].is_over, "what is only read has no such bound"


def test_speech_is_estimated_by_script() -> None:
    assert speech_s("x" * 150) == pytest.approx(10)
    assert speech_s("海" * 50) == pytest.approx(10)
