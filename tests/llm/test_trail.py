"""Where an answer stands: what is in segments, what is behind them, what of that is finished."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.segments import Cutter
from services.llm.trail import Trail, finished


def trail(text: str, *segments: str) -> Trail:
    made = Trail()
    made.add(text)
    for segment in segments:
        made.cut(segment)
    return made


@pytest.mark.parametrize(
    ("text", "segments", "behind"),
    [
        ("Well, I think so. And", ["Well,", "I think so."], " And"),
        ("**Yes!** 🎉 And then", ["Yes!"], "** 🎉 And then"),
        ("Vraiment ? Oui", ["Vraiment ?"], " Oui"),
        ("Look:\n```python\nx = 1\n```\nDone. And", ["Look:", "code", "Done."], " And"),
        ("- one\n- two\n- thr", ["one", "two"], "\n- thr"),
        ("He said “no.” And", ["He said “no.”"], " And"),
        ("Hello.", ["Something else"], ""),
        ("Hello you! And; so", ["Hello you?!"], " And; so"),
        ("Hello you! And; so", ["Hello you;"], "! And; so"),
    ],
)
def test_the_end_of_a_segment_is_found_in_the_text(text: str, segments: list[str], behind: str) -> None:
    made = trail(text, *segments)
    assert made.behind == behind
    assert made.kept + made.behind == text
    assert made.drop_behind() == len(behind)
    assert (made.behind, made.kept) == ("", text[: len(text) - len(behind)])


@given(
    st.lists(st.sampled_from(["Well, ", "I think so. ", "no ", "**yes** ", "3,5 % ", "and ", "Oh! ", "(a) "]))
)
def test_a_whole_answer_leaves_no_word_behind(pieces: list[str]) -> None:
    text = "".join(pieces)
    cutter = Cutter()
    made = trail(text, *cutter.feed(text, 0.0), *cutter.flush())
    assert not any(char.isalnum() for char in made.behind)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("the sea is wide,", "the sea is wide,"),
        ("the sea is wide, and", "the sea is wide,"),
        ("It is. The sea", "It is."),
        ("It is cold.", "It is cold."),
        ("and then we", ""),
        ("It costs 3,5", ""),
        ("Ask Dr. Who", ""),
        ("", ""),
        ("海は広い、大", "海は広い、"),
    ],
)
def test_the_front_that_ends_with_a_clause_is_finished(text: str, whole: str) -> None:
    assert finished(text).strip() == whole
    assert text.startswith(finished(text))
