from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.piper_phones import BEFORE, BEHIND, CUT_FROM, FIRST_MOST, frames_of, ids_of, phones, spans

ID_MAP = {"_": [0], "^": [1], "$": [2], "a": [5], "b": [6], "aɪ": [7, 8]}
LINES = st.lists(st.text("abcd,.", min_size=1, max_size=12), min_size=1, max_size=80).map(" ".join)


def test_ids_are_piper_s_and_each_knows_its_phoneme() -> None:
    ids, owners = ids_of(["a", "?", "aɪ", "b"], ID_MAP)
    assert ids == [1, 0, 5, 0, 7, 8, 0, 6, 0, 2]
    assert owners == [-1, -1, 0, 0, 2, 2, 2, 3, 3, 4]
    frames = frames_of(4, owners, [1, 1, 2, 1, 3, 1, 1, 4, 0, 2])
    assert frames == [2, 3, 0, 5, 4, 2]
    with pytest.raises(KeyError):
        ids_of(["a"], {"a": [5]})


def test_marks_go_with_their_sound_and_silence_is_a_blank() -> None:
    symbols = ["^", "h", "ə", "l", "ˈ", "o", "ʊ", "ː", " ", "ɑ", "\u0303", ".", "$"]
    found = phones(symbols, [2, 1, 2, 1, 1, 3, 2, 1, 1, 4, 1, 2, 3], 0.01)
    assert [phone.symbol for phone in found] == [" ", "h", "ə", "l", "ˈo", "ʊː", " ", "ɑ\u0303", ".", " "]
    assert found[0].start_s == 0.0
    assert found[-1].end_s == pytest.approx(0.24)
    for one, other in itertools.pairwise(found):
        assert one.end_s == pytest.approx(other.start_s)
    assert (found[4].start_s, found[4].end_s) == (pytest.approx(0.06), pytest.approx(0.1))


def test_a_silence_of_no_length_is_not_told_and_a_mark_alone_stays() -> None:
    assert [phone.symbol for phone in phones(["^", "ˈ", "$"], [0, 1, 0], 0.01)] == ["ˈ"]
    assert [phone.symbol for phone in phones(["ː", " ", "ː"], [1, 1, 1], 0.01)] == ["ː", " ", "ː"]


def test_what_is_not_yet_known_is_as_long_as_what_is() -> None:
    found = phones(["a", "b", " ", "a", "c"], [4, 2, 1, None, None], 1.0)
    assert [phone.end_s - phone.start_s for phone in found] == [4, 2, 1, 4, pytest.approx(7 / 3)]
    assert phones(["a"], [None], 1.0)[0].end_s == 0.0


@given(LINES)
def test_spans_are_all_of_a_line_and_have_words_around_them(line: str) -> None:
    phonemes = list(line)
    found = spans(phonemes)
    assert [span.begin for span in found] == [0, *(span.end for span in found[:-1])]
    assert found[-1].end == len(phonemes)
    assert len(found) == 1 or len(phonemes) > CUT_FROM
    for span in found:
        assert span.first <= span.begin < span.end <= span.last
        assert span.first == 0 or span.begin - span.first >= BEFORE
        assert span.last == len(phonemes) or span.last - span.end >= BEHIND
        for at in (span.begin, span.first, span.last, span.end):
            assert at in {0, len(phonemes)} or phonemes[at - 1] == " "


def test_punctuation_tells_where_the_first_span_ends_else_a_blank() -> None:
    comma = "when the evening comes, " + "and the lights shine " * 5
    assert spans(list(comma))[0].end == len("when the evening comes, ")
    plain = "when the evening comes " + "and the lights shine " * 5
    assert spans(list(plain))[0].end == len("when the evening ")
    assert spans(list(plain))[0].end <= FIRST_MOST
    assert len(spans(["a"] * 500)) == 1  # one word has no border
