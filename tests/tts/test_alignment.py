from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tts.alignment import aligned, groups, weight
from services.tts.engine import Phone

STEP_S = 0.05


def phones(ipa: str) -> list[Phone]:
    """Sounds of 50 ms each, one for each character."""
    return [
        Phone(symbol=symbol, start_s=STEP_S * index, end_s=STEP_S * (index + 1))
        for index, symbol in enumerate(ipa)
    ]


def sounds(words: str, ipa: str) -> list[str]:
    """The part of the sounds that each word got."""
    spans = aligned(words.split(), phones(ipa))
    return [ipa[round(begin / STEP_S) : round(end / STEP_S)] for begin, end in spans]


@pytest.mark.parametrize(
    ("words", "ipa", "expected"),
    [
        ("hello big world", "həlˈoʊ bˈɪɡ wˈɜːld.", ["həlˈoʊ", "bˈɪɡ", "wˈɜːld"]),
        ("out of the blue", "ˈaʊɾəv ðə blˈuː.", ["ˈaʊɾ", "əv", "ðə", "blˈuː"]),
        ("it was one of the best", "ɪt wʌz wˈʌn ʌvðə bˈɛst", ["ɪt", "wʌz", "wˈʌn", "ʌv", "ðə", "bˈɛst"]),
        (
            "in 1984 I was born",
            "ɪn nˈaɪntiːn ˈeɪɾi fˈoːɹ aɪ wʌz bˈɔːɹn.",
            ["ɪn", "nˈaɪntiːn ˈeɪɾi fˈoːɹ", "aɪ", "wʌz", "bˈɔːɹn"],
        ),
        ("well-known people", "wˈɛl nˈoʊn pˈiːpəl", ["wˈɛl nˈoʊn", "pˈiːpəl"]),
        ("don't we", "dˈoʊnt wiː", ["dˈoʊnt", "wiː"]),
        ("les amis c'est-à-dire", "lez amˈi, sɛtadˈiʁ.", ["lez", "amˈi", "sɛtadˈiʁ"]),
        ("vingt-quatre ans", "vɛ̃tkatʁ ɑ̃.", ["vɛ̃tkatʁ", "ɑ̃"]),
        ("il y a quelqu'un", "ilja kɛlkˈœ̃", ["il", "j", "a", "kɛlkˈœ̃"]),
        ("the end", "_^ðɪ_ _ˈɛnd_.$", ["ðɪ", "ˈɛnd"]),
    ],
)  # fmt: skip
def test_each_word_gets_its_sounds(words: str, ipa: str, expected: list[str]) -> None:
    assert sounds(words, ipa) == expected


def test_two_that_do_not_fit_do_not_move_the_words_behind_them() -> None:
    words = "out of the blue I saw 22 ships come by today"
    ipa = "ˈaʊɾəvðə blˈuː aɪ sˈɔː twˈɛnti tˈuː ʃˈɪps kˈʌm bˈaɪ tədˈeɪ"
    assert sounds(words, ipa)[3:] == [
        "blˈuː",
        "aɪ",
        "sˈɔː",
        "twˈɛnti tˈuː",
        "ʃˈɪps",
        "kˈʌm",
        "bˈaɪ",
        "tədˈeɪ",
    ]


def test_more_words_than_sounds_share_their_time() -> None:
    spans = aligned(list("abcdef"), phones("əb"))
    assert [round(end - begin, 4) for begin, end in spans] == [round(0.1 / 6, 4)] * 6


def test_nothing_comes_of_nothing() -> None:
    assert aligned([], phones("a")) == []
    assert aligned(["a"], phones(" .")) == []


def test_marks_of_the_model_blanks_and_punctuation_are_no_sounds() -> None:
    assert [[phone.symbol for phone in group] for group in groups(phones("^_a, b~$"))] == [["a"], ["b"]]


def test_a_word_weighs_its_letters_and_digits() -> None:
    assert [weight(word) for word in ("été,", "B2B", "—")] == [3, 6, 1]


@settings(deadline=None)
@given(
    words=st.lists(st.text("abcdeéou'-3", min_size=1, max_size=9), min_size=1, max_size=14),
    ipa=st.text("abkdʒəɛˈː ,", max_size=80),
)
def test_no_word_is_lost_and_none_begins_before_the_one_before_it_ends(words: list[str], ipa: str) -> None:
    sounding = phones(ipa)
    spans = aligned(words, sounding)
    if not groups(sounding):
        assert spans == []
        return
    assert len(spans) == len(words)
    for begin, end in spans:
        assert 0 <= begin <= end <= len(ipa) * STEP_S + 1e-9
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert end <= begin + 1e-9
