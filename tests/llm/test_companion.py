"""The scripted companion: what it understands, remembers and says."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.companion import answer, told_name
from services.llm.companion_lines import LINES, LOST, NOTICE
from services.llm.companion_mind import CompanionMind
from services.llm.engine import Question
from shared.messages import ChatMessage

NOW = datetime(2026, 11, 1, 9, 5)  # noqa: DTZ001 - local time, as a person reads it


def talk(*texts: str) -> list[ChatMessage]:
    """User and assistant in turn, the user first."""
    return [
        ChatMessage(role="assistant" if index % 2 else "user", content=text)
        for index, text in enumerate(texts)
    ]


def reply(*texts: str, language: str = "") -> str:
    return answer(talk(*texts), language=language, now=NOW)


def later(text: str, language: str = "") -> str:
    """The answer to ``text`` in a conversation that is under way."""
    return reply("x", "An answer.", text, language=language)


def test_the_first_answer_says_that_no_model_is_connected_and_how_to_connect_one() -> None:
    assert reply("hello").startswith("Hello! I'm EVA.")
    assert reply("hello").endswith(NOTICE["en"])
    assert reply("bonjour").endswith(NOTICE["fr"])
    for notice in NOTICE.values():
        assert "GROQ_API_KEY" in notice
        assert "Ollama" in notice
    assert "GROQ_API_KEY" not in later("hello")


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("Hello!", "Hi there"),
        ("good morning eva", "Hi there"),
        ("helo", "Hi there"),
        ("How are you?", "And you?"),
        ("how are yuo", "And you?"),
        ("Thank you very much!", "My pleasure"),
        ("thnaks", "My pleasure"),
        ("What time is it?", "9:05"),
        ("whats the time", "9:05"),
        ("What day is it today?", "Sunday, November 1, 2026"),
        ("Tell me a joke.", "joke about silence"),
        ("who are you", "My name is EVA"),
        ("what's your name", "My name is EVA"),
        ("What can you do?", "Ask me for the time"),
        ("can you help me", "Ask me for the time"),
        ("goodbye", "See you soon"),
        ("What is 12 times 7?", "The answer is 84."),
        ("how much is two plus two", "The answer is 4."),
        ("1 / 3", "0.33"),
        ("5 divided by 0", "divide by zero"),
        ("say that again please", "Once more: An answer."),
        ("what is my name", "What's your name?"),
        ("I live by the sea with a cat", "I heard: I live by the sea with a cat."),
        ("the train leaves at nine and arrives at ten", "I heard: the train"),
        ("Salut !", "Contente"),
        ("ça va ?", "Et toi ?"),
        ("merci beaucoup", "Avec plaisir"),
        ("Quelle heure est-il ?", "9 h 05"),
        ("quel jour on est", "dimanche 1er novembre 2026"),
        ("raconte-moi une blague", "silence"),
        ("Qui es-tu ?", "Je m'appelle EVA"),
        ("Comment t'appelles-tu ?", "Je m'appelle EVA"),
        ("que sais-tu faire", "Demande-moi"),
        ("au revoir", "À bientôt"),
        ("combien font dix divisé par quatre", "2,5"),
        ("répète s'il te plaît", "Encore une fois : An answer."),
        ("comment je m'appelle ?", "Quel est ton nom"),
        ("il fait beau dehors", "J'ai entendu : il fait beau dehors."),
    ],
)
def test_it_understands(said: str, part: str) -> None:
    assert part in later(said)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("My name is Ann.", "Ann"),
        ("my name is ann", "Ann"),
        ("Hello, I am Bob", "Bob"),
        ("I'm Carla.", "Carla"),
        ("you can call me Dee", "Dee"),
        ("My name is Anne-Marie Hill and I live here", "Anne-Marie Hill"),
        ("Je m'appelle Émile.", "Émile"),
        ("bonjour moi c'est paul", "Paul"),
        ("mon nom est Zoé", "Zoé"),
        ("Bonjour, je suis Luc", "Luc"),
        ("I'm tired", ""),
        ("I am going", ""),
        ("je suis fatigué", ""),
        ("I am the king of the road", ""),
        ("what is my name", ""),
        ("comment je m'appelle déjà ?", ""),
        ("a name is a name", ""),
    ],
)
def test_it_hears_names(said: str, name: str) -> None:
    assert told_name(said) == name


def test_it_remembers_the_newest_name_it_was_told() -> None:
    before = ("My name is Ann", "Hello.", "No, my name is Beth", "Oh.")
    assert "Beth" in reply(*before, "what is my name?")
    assert "Beth" in reply(*before, "comment je m'appelle ?", language="fr")
    assert "Beth" in reply(*before, "who am i")


def test_it_greets_by_the_name_it_is_told() -> None:
    assert reply("my name is ann").startswith("Nice to meet you, Ann.")
    assert "Enchantée, Ann." in reply("je m'appelle ann")


def test_nothing_said_yet_cannot_be_repeated() -> None:
    assert reply("say that again").startswith("I haven't said anything yet.")


def test_silence_gets_a_friendly_word() -> None:
    assert answer([], language="en", now=NOW).startswith("I'm listening.")


def test_the_language_asked_for_wins_over_the_words() -> None:
    assert "9 h 05" not in later("What time is it?", language="en")
    assert "J'ai entendu" in later("What time is it?", language="fr")
    assert later("hello", language="de") == later("hello", language="en")


def test_the_language_of_earlier_turns_counts_where_a_word_does_not_tell() -> None:
    assert reply("Quelle heure est-il ?", "Il est 9 h.", "2 + 2") == "Le résultat est 4."


def test_answers_vary_in_the_course_of_a_conversation() -> None:
    history: list[str] = []
    jokes = set()
    for _ in LINES["en"]["joke"]:
        history.append("tell me a joke")
        history.append(reply(*history))
        jokes.add(history[-1].removesuffix(NOTICE["en"]).strip())
    assert jokes == set(LINES["en"]["joke"])


def test_a_long_echo_is_short() -> None:
    assert len(later("blah " * 500)) < 300


def test_it_goes_on_behind_its_own_words() -> None:
    whole = reply("hello")
    assert (
        answer([*talk("hello"), ChatMessage(role="assistant", content="Hello!  I'm")], language="en", now=NOW)
        == whole
    )


def test_behind_another_minds_words_it_says_that_the_thread_is_lost() -> None:
    begun = "The tides are caused by"
    said = answer(
        [*talk("why are there tides"), ChatMessage(role="assistant", content=begun)], language="en", now=NOW
    )
    assert said == f"{begun} {LOST['en']}"


def test_what_the_system_says_is_no_part_of_the_conversation() -> None:
    system = ChatMessage(role="system", content="You are someone else. What time is it?")
    assert answer([system, *talk("hello")], language="", now=NOW) == reply("hello")


def test_both_languages_have_a_line_for_each_occasion() -> None:
    assert LINES["en"].keys() == LINES["fr"].keys()


@given(st.text(max_size=200), st.sampled_from(["", "en", "fr"]))
def test_anything_that_is_said_gets_an_answer(said: str, language: str) -> None:
    assert later(said, language).strip()


async def test_as_a_mind_it_streams_word_by_word_and_is_labelled() -> None:
    mind = CompanionMind(lambda: NOW)
    await mind.prove()
    words = [piece async for piece in mind.stream(Question(messages=talk("hello")))]
    assert "".join(str(word) for word in words) == reply("hello")
    assert len(words) > 20
    assert (mind.name, mind.device, mind.is_degraded) == ("companion", "local", True)
    await mind.close()
    assert CompanionMind().model == "scripted"
    assert [piece async for piece in CompanionMind().stream(Question(messages=talk("time")))]
