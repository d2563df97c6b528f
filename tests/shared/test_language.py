"""The language of a sentence against that of its session."""

from __future__ import annotations

import pytest

from shared.language import guess, spoken


@pytest.mark.parametrize(
    ("text", "session", "language"),
    [
        ("Je ne sais pas où est la gare.", "en", "fr"),
        ("Je ne sais pas où est la gare.", "en-GB", "fr"),
        ("Il fait beau aujourd'hui, n'est-ce pas ?", "en", "fr"),
        ("I do not know where the station is.", "fr", "en"),
        ("What would you like to do about that?", "fr-FR", "en"),
        ("Bonjour !", "en", "en"),
        ("Très bien, merci.", "en", "en"),
        ("OK, thank you.", "fr", "fr"),
        ("In French, one says « je ne sais pas » for that.", "en", "en"),
        ("He had a déjà vu at the café on the corner.", "en", "en"),
        ("On dit « how are you » en anglais, et c'est tout.", "fr", "fr"),
        ("Que es la vida de un rey en la tele?", "es", "es"),
        ("Je ne sais pas où est la gare.", "", "fr"),
        ("I do not know.", "", "en"),
        ("Bonjour !", "", "fr"),
        ("42", "", ""),
        ("42", "fr", "fr"),
        ("", "en", "en"),
    ],
)
def test_a_sentence_leaves_its_sessions_language_only_on_clear_evidence(
    text: str, session: str, language: str
) -> None:
    assert spoken(text, session) == language


def test_elided_words_are_french_whatever_the_apostrophe() -> None:
    assert guess("L'ami d'Anna") == guess("L’ami d’Anna") == "fr"
    assert guess("I'd say that's fine") == "en"
