"""The mood in an instruction."""

from __future__ import annotations

import pytest

from services.gateway.openai_moods import MOODS, mood_of


@pytest.mark.parametrize(
    ("instructions", "mood"),
    [
        ("Speak in a cheerful and positive tone.", "joy"),
        ("Voice: Warm, empathetic, and professional", "tenderness"),
        ("Calmly, like a guide to meditation", "calm"),
        ("Sound ANGRY!", "anger"),
        ("Do not sound sad, be curious", "curiosity"),
        ("Don’t be angry; speak softly", "tenderness"),
        ("Never ever very sad", ""),
        ("Not at all like a sad person", "sadness"),
        ("Parle d'un ton joyeux", "joy"),
        ("sans colère", ""),
        ("Tired, but slow-paced", "calm"),
        ("Accent: British", ""),
        ("", ""),
        ("!!! 123 ???", ""),
    ],
)
def test_the_first_mood_that_is_not_taken_back_counts(instructions: str, mood: str) -> None:
    assert mood_of(instructions) == mood


def test_no_word_means_two_moods() -> None:
    words = [word for listed in MOODS.values() for word in listed.split()]
    assert len(words) == len(set(words))
