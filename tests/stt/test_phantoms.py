from __future__ import annotations

import pytest

from services.stt.phantoms import (
    COURTESIES,
    CREDIT_PARTS,
    CREDIT_STARTS,
    CREDITS,
    is_annotation,
    is_courtesy,
    is_credit,
    plain,
    without_credits,
)


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for watching!",
        "Thank you for watching, and see you next time.",
        "Please like, share, and subscribe!",
        "Don't forget to subscribe!",
        "Transcribed by https://otter.ai",
        "Subtitles by the Amara.org community",
        "Sous-titres réalisés para la communauté d'Amara.org",
        "Sous-titrage ST' 501",
        "Sous-titrage Société Radio-Canada",
        "Merci d’avoir regardé cette vidéo !",
        "N'oubliez pas de vous abonner !",
        "Untertitel der Amara.org-Community",
        "Untertitelung im Auftrag des ZDF, 2020",
        "¡Gracias por ver el vídeo!",
        "Продолжение следует...",
        "ご視聴ありがとうございました",
        "시청해주셔서 감사합니다.",
    ],
)
def test_credits_and_appeals_to_subscribe_are_known_however_they_are_written(text: str) -> None:
    assert is_credit(text)
    assert without_credits(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "thank you",
        "Merci !",
        "Can you subscribe me to the newspaper?",
        "I was watching the film, thanks for asking.",
        "Put the subtitles on, please.",
        "C'est la fin de la journée.",
        "what time is it",
        "",
    ],
)
def test_what_people_say_is_no_credit(text: str) -> None:
    assert not is_credit(text)
    assert without_credits(text) == text


def test_a_courtesy_is_known_whole_and_not_as_a_part() -> None:
    assert is_courtesy("Thank you.")
    assert is_courtesy("Merci beaucoup !")
    assert not is_courtesy("thank you for the coffee")


@pytest.mark.parametrize("text", ["[Music]", "(applause)", "♪♪", "♪ (laughter) ♪.", "*sighs*", "<silence>"])
def test_the_description_of_a_sound_is_no_speech(text: str) -> None:
    assert is_annotation(text)
    assert without_credits(text) == ""


@pytest.mark.parametrize("text", ["", "  ", "hello [Music]", "(so) what", "two * three"])
def test_words_beside_a_description_are_speech(text: str) -> None:
    assert not is_annotation(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What time is it? Thanks for watching!", "What time is it?"),
        ("What time is it? Thanks for watching! [Music]", "What time is it?"),
        ("Thanks for watching! Please subscribe!", ""),
        ("Il pleut. Il pleut. Sous-titrage ST' 501", "Il pleut. Il pleut."),
        ("Thanks for watching! What time is it?", "Thanks for watching! What time is it?"),
    ],
)
def test_credits_behind_what_was_said_are_taken_off(text: str, said: str) -> None:
    assert without_credits(text) == said


def test_the_lists_are_written_as_they_are_compared() -> None:
    for phrase in [*CREDITS, *COURTESIES, *CREDIT_STARTS, *CREDIT_PARTS]:
        assert plain(phrase) == phrase
    assert len(CREDITS) + len(CREDIT_STARTS) >= 40
    assert not CREDITS & COURTESIES
