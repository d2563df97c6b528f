from __future__ import annotations

from typing import get_args

import pytest

from services.gateway.chat_protocol import Viseme
from services.tts.engine import Phone
from services.tts.visemes import VISEMES, guessed, visemes


def phones(*symbols: str) -> list[Phone]:
    """Sounds of a second each."""
    return [Phone(symbol=symbol, start_s=float(at), end_s=float(at + 1)) for at, symbol in enumerate(symbols)]


def shapes(*symbols: str) -> list[str]:
    return [viseme for viseme, _ in visemes(phones(*symbols))]


def test_the_set_is_the_one_that_clients_are_told_of() -> None:
    assert set(VISEMES) == set(get_args(Viseme))
    assert len(VISEMES) == 15


@pytest.mark.parametrize(
    ("ipa", "expected"),
    [
        ("pɑːpə", "PP aa PP E sil"),
        ("fɛðɚ", "FF E TH RR sil"),
        ("θɪn", "TH ih nn sil"),
        ("tʃiːz", "CH ih SS sil"),
        ("dʒʌdʒ", "CH aa CH sil"),
        ("bɔ̃ʒuʁ", "PP oh CH ou RR sil"),
        ("vɛ̃", "FF E sil"),
        ("œ̃", "oh sil"),
        ("ɑ̃fɑ̃", "aa FF aa sil"),
        ("tyɥi", "DD ou ih sil"),
        ("ɲø", "nn ou sil"),
        ("səˈlaɪ", "SS E nn aa ih sil"),
        ("kwɪk", "kk ou ih kk sil"),
        ("a, b", "aa sil PP sil"),
    ],
)
def test_sounds_have_their_shapes(ipa: str, expected: str) -> None:
    assert " ".join(shapes(*ipa)) == expected


def test_sounds_of_several_letters_share_their_time() -> None:
    assert visemes(phones("ˈaɪ", "ɔːɹ", "dʒ")) == [
        ("aa", 0.0), ("ih", 0.5), ("oh", 1.0), ("RR", 1.5), ("CH", 2.0), ("sil", 3.0)
    ]  # fmt: skip


def test_an_h_already_has_the_shape_of_the_next_sound() -> None:
    assert visemes(phones("m", "h", "i")) == [("PP", 0.0), ("ih", 1.0), ("sil", 3.0)]
    assert visemes(phones("h", " ", "i")) == [("sil", 1.0), ("ih", 2.0), ("sil", 3.0)]


def test_a_sound_that_is_not_known_is_silence_and_nothing_is_nothing() -> None:
    assert shapes("ǃ", "m") == ["sil", "PP", "sil"]
    assert visemes([]) == []


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Pomme,", "PP oh PP E sil"),
        ("château", "CH aa DD oh sil"),
        ("the", "TH E sil"),
        ("œuf", "oh FF sil"),
        ("42", "sil"),
    ],
)
def test_letters_suggest_shapes(word: str, expected: str) -> None:
    assert " ".join(viseme for viseme, _ in guessed(word, 0.0, 1.0)) == expected


def test_what_letters_suggest_is_spread_over_the_word() -> None:
    assert guessed("pa", 1.0, 2.0) == [("PP", 1.0), ("aa", 1.5), ("sil", 2.0)]
