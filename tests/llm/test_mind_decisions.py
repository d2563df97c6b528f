"""The small pure parts: routes, tombstones, languages, sums, prompts, openings, guards."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm import arithmetic, prompt
from services.llm.guard import REPEATS, Guard
from services.llm.language import guess
from services.llm.opening import Opening
from services.llm.route import REST_MAX_S, REST_MIN_S, Routes
from shared.messages import ChatMessage

# ---------------------------------------------------------------- routes


def test_the_first_open_route_is_taken_and_then_the_next() -> None:
    routes = Routes(["a", "b", "c"])
    assert routes.pick() == "a"
    assert routes.pick({"a"}) == "b"
    assert routes.pick({"a", "b", "c"}) is None


def test_a_route_that_failed_rests_and_comes_back_only_when_proven() -> None:
    routes = Routes(["a", "b"])
    routes.failed("a", 100.0)
    assert routes.pick() == "b"
    assert not routes.is_open("a")
    assert routes.due(100.0 + REST_MIN_S - 0.1) == []
    assert routes.due(100.0 + REST_MIN_S) == ["a"]
    assert routes.pick() == "b"
    routes.proven("a")
    assert routes.pick() == "a"
    assert routes.due(1000.0) == []


def test_rests_double_up_to_a_minute_until_a_turn_is_answered() -> None:
    routes = Routes(["a", "b"])
    rests = []
    for _ in range(6):
        routes.failed("a", 0.0)
        rests.append(min(second for second in range(1000) if routes.due(second)))
        routes.proven("a")
    assert rests == [5, 10, 20, 40, REST_MAX_S, REST_MAX_S]
    routes.answered("a")
    routes.failed("a", 0.0)
    assert routes.due(REST_MIN_S) == ["a"]


def test_a_provider_may_ask_for_a_longer_rest_within_bounds() -> None:
    routes = Routes(["a", "b"])
    routes.failed("a", 0.0, retry_after_s=30.0)
    assert routes.due(29.0) == []
    assert routes.due(30.0) == ["a"]
    routes.failed("a", 0.0, retry_after_s=600.0)
    assert routes.due(REST_MAX_S) == ["a"]


def test_the_last_route_never_rests() -> None:
    routes = Routes(["a", "b"])
    routes.failed("a", 0.0)
    routes.failed("b", 0.0)
    assert routes.is_open("b")
    assert routes.pick() == "b"


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


# ---------------------------------------------------------------- prompts


def history(count: int, size: int = 40) -> list[ChatMessage]:
    return [
        ChatMessage(role="assistant" if index % 2 else "user", content=f"{index:03d}" + "x" * (size - 3))
        for index in range(count)
    ]


def built(messages: list[ChatMessage], **changes: object) -> list[ChatMessage]:
    options = {"persona": "", "language": "", "spoken": "", "budget_tokens": 1000} | changes
    return prompt.build(messages, **options)  # type: ignore[arg-type]


def test_the_system_message_comes_first_and_holds_persona_style_and_language() -> None:
    system, *rest = built(history(3), persona="You are Max.", language="fr")
    assert system.role == "system"
    assert system.content.startswith("You are Max.")
    assert "no markdown" in system.content
    assert "French" in system.content
    assert rest == history(3)


def test_without_a_language_the_persons_own_is_asked_for() -> None:
    assert "language that the person speaks" in built(history(1))[0].content
    assert "speaks sw" in built(history(1), language="sw")[0].content
    assert built(history(1))[0].content.startswith(prompt.PERSONA)


def test_what_does_not_fit_is_the_oldest_and_answers_do_not_stand_alone() -> None:
    for budget in range(200, 1000, 7):
        system, *kept = built(history(101), budget_tokens=budget)
        assert kept == history(101)[-len(kept) :]
        assert kept[0].role == "user"
        used = sum(prompt.tokens(message.content) for message in [system, *kept])
        assert used <= budget or len(kept) == 1


def test_the_question_itself_always_stays() -> None:
    assert built(history(1, size=4000), budget_tokens=10)[1:] == history(1, size=4000)
    assert built([], budget_tokens=10)[1:] == []


def test_other_system_messages_join_the_first() -> None:
    extra = ChatMessage(role="system", content="It is late.")
    messages = built([extra, *history(1)])
    assert "It is late." in messages[0].content
    assert [message.role for message in messages] == ["system", "user"]


def test_what_was_spoken_stands_last_with_the_wish_to_go_on_behind_it() -> None:
    messages = built(history(1), spoken="Once upon")
    assert messages[-1] == ChatMessage(role="assistant", content="Once upon")
    assert "Go on exactly behind it" in messages[0].content
    assert "Go on exactly" not in built(history(1))[0].content


def test_scripts_without_spaces_count_a_token_a_letter() -> None:
    assert prompt.tokens("你好吗") == 3
    assert prompt.tokens("abcdefgh") == 2


# ---------------------------------------------------------------- openings


def opened(pieces: list[str], spoken: str = "") -> str:
    opening = Opening(spoken)
    return "".join(opening.feed(piece) for piece in pieces) + opening.flush()


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
    ],
)
def test_an_answer_opens_with_what_is_new(text: str, spoken: str, said: str) -> None:
    assert opened([text], spoken) == said
    assert opened(list(text), spoken) == said


def test_an_ordinary_answer_is_not_held_back_for_a_moment() -> None:
    opening = Opening()
    assert opening.feed("Hel") == "Hel"
    assert opening.feed("lo <think>") == "lo <think>"


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
