"""What may be cut and what may not; the same cuts however the text came; and nothing waits too long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.segments import (
    FIRST_WORDS,
    LATER_LONG_WORDS,
    LATER_WORDS,
    SHORTEST_WORDS,
    WAIT_S,
    Cutter,
)


def cut(text: str) -> list[str]:
    cutter = Cutter()
    return cutter.feed(text, 0.0) + cutter.flush()


def cut_in(chunks: list[str]) -> list[str]:
    cutter = Cutter()
    return [segment for chunk in chunks for segment in cutter.feed(chunk, 0.0)] + cutter.flush()


LONG_SENTENCE = "The house at the end of the road was old and grey and its windows looked on the sea"

CASES: list[tuple[str, list[str]]] = [
    # plain sentences
    ("Hello there. How are you?", ["Hello there.", "How are you?"]),
    ("Yes! No? Well.", ["Yes!", "No?", "Well."]),
    ("No full stop at the end", ["No full stop at the end"]),
    # the first segment is short
    ("Sure, I can help with that. It is easy.", ["Sure, I can help with that.", "It is easy."]),
    ("When you come home, I wait. Yes, I do.", ["When you come home,", "I wait.", "Yes, I do."]),
    (
        "The capital of France is the city of Paris, which lies on the Seine.",
        ["The capital of France is the city", "of Paris, which lies on the Seine."],
    ),
    ("Oui, bien sûr, je peux t'aider. Voilà.", ["Oui, bien sûr,", "je peux t'aider.", "Voilà."]),
    ("He came in late — the train stood. Why?", ["He came in late —", "the train stood.", "Why?"]),
    ("Here it is: a small house. Fine.", ["Here it is:", "a small house.", "Fine."]),
    # a later one is a whole sentence, whatever commas it has
    ("Fine. When you come, and only then, I go, too.", ["Fine.", "When you come, and only then, I go, too."]),
    # titles and abbreviations
    ("Dr. Smith met Mr. Jones. They left.", ["Dr. Smith met Mr. Jones.", "They left."]),
    ("M. Dupont et Mme. Durand sont là. Bien.", ["M. Dupont et Mme. Durand sont là.", "Bien."]),
    ("I met Mrs. Hill and Prof. Gray. Then St. Paul.", ["I met Mrs. Hill and Prof. Gray.", "Then St. Paul."]),
    ("Take e.g. apples or i.e. fruit. Good.", ["Take e.g. apples or i.e. fruit.", "Good."]),
    ("Prends p. ex. Paris ou cf. Lyon. Bien.", ["Prends p. ex. Paris ou cf. Lyon.", "Bien."]),
    ("Tea, milk etc. and bread. Come.", ["Tea, milk etc. and bread.", "Come."]),
    ("Tea, etc. Come in.", ["Tea, etc.", "Come in."]),
    ("The U.S. Army left. Good.", ["The U.S. Army left.", "Good."]),
    ("J. R. R. Tolkien wrote it. Nice.", ["J. R. R. Tolkien wrote it.", "Nice."]),
    ("It was you, so was I. Then we left.", ["It was you,", "so was I.", "Then we left."]),
    ("Acme Inc. is here. Acme Inc. Good.", ["Acme Inc. is here.", "Acme Inc.", "Good."]),
    ("Voir l'art. 5 et le no. 7. Bien.", ["Voir l'art. 5 et le no. 7.", "Bien."]),
    # numbers, dates, times
    ("Pi is 3.14 and a bit. Yes.", ["Pi is 3.14 and a bit.", "Yes."]),
    ("Il a gagné 3,5 % hier. Bien.", ["Il a gagné 3,5 % hier.", "Bien."]),
    ("It costs $1,299.99 today. Hm.", ["It costs $1,299.99 today.", "Hm."]),
    ("Il y a 1\u202f234\u202f567 gens ici. Oui.", ["Il y a 1\u202f234\u202f567 gens ici.", "Oui."]),
    ("Come at 10:30 p.m. or at 11. Bye.", ["Come at 10:30 p.m. or at 11.", "Bye."]),
    ("Come at 9 a.m. Then we go.", ["Come at 9 a.m.", "Then we go."]),
    ("On Jan. 5 it rained. Today not.", ["On Jan. 5 it rained.", "Today not."]),
    ("Le 14.07.1789, on danse. Oui.", ["Le 14.07.1789, on danse.", "Oui."]),
    ("He is the 1st, she the 2nd. Good.", ["He is the 1st,", "she the 2nd.", "Good."]),
    (
        "Nous partons en train le 25 décembre 2024 à 10 h 30 du matin.",
        ["Nous partons en train le 25 décembre 2024 à 10 h 30 du matin."],
    ),
    # addresses
    ("See https://a.example/b.c?x=1. Then mail a.b@c.example. Ok.",
     ["See https://a.example/b.c?x=1.", "Then mail a.b@c.example.", "Ok."]),
    ("Go to example.com/now or file.txt. Done.", ["Go to example.com/now or file.txt.", "Done."]),
    # ellipses, quotes, brackets
    ("Wait... what? No… Yes.", ["Wait... what?", "No…", "Yes."]),
    ("He said “I came. I saw.” Then he left.", ["He said “I came. I saw.”", "Then he left."]),
    ('She said "Stop. Now!" and left. Ok.', ['She said "Stop. Now!" and left.', "Ok."]),
    ("Il dit « Viens. Vite ! » et part. Bien.", ["Il dit « Viens. Vite ! » et part.", "Bien."]),
    ("It (see p. 3. Yes) works. Good.", ["It (see p. 3. Yes) works.", "Good."]),
    ("“Really?” he asked. Yes.", ["“Really?” he asked.", "Yes."]),
    # French spacing
    ("Bonjour ! Ça va ? Voici : du thé. Oui ; bien.",
     ["Bonjour !", "Ça va ?", "Voici : du thé.", "Oui ; bien."]),
    ("L’eau est froide. J’attends.", ["L’eau est froide.", "J’attends."]),
    # lists, lines, markdown
    ("Buy:\n- milk\n- two eggs\n* tea\n\nThat's all.", ["Buy:", "milk", "two eggs", "tea", "That's all."]),
    ("1. First do this.\n2. Then that.\n", ["1. First do this.", "2. Then that."]),
    ("# Title\nText here.\n> Quoted", ["Title", "Text here.", "Quoted"]),
    ("**Bold** and *it* and `x1`. __Yes__, _so_.", ["Bold and it and x1.", "Yes, so."]),
    ("The snake_case name. 2 * 3 = 6.", ["The snake_case name.", "2 * 3 = 6."]),
    ("One\n---\n***\nTwo", ["One", "Two"]),
    ("| a | b |\n|---|---|\n| 1 | 2 |", ["a b", "1 2"]),
    ("Look:\n```python\nprint('a. b')\n```\nThat's it.", ["Look:", "code", "That's it."]),
    ("Do it.```x```Ok.", ["Do it.", "code", "Ok."]),
    ("Look ```x. Y``` here", ["Look", "code", "here"]),
    ("```\nnever closed. No", ["code"]),
    # emoji
    ("👍", []),
    ("👍🏽 👨‍👩‍👧 ❤️", []),
    ("I love that 😊 How are you?", ["I love that", "How are you?"]),
    ("Nice 😊 day. Ok.", ["Nice day.", "Ok."]),
    ("I like tea ☕ and milk. Ok.", ["I like tea and milk.", "Ok."]),
    # nothing to say
    ("", []),
    ("  \n\n ", []),
    ("— ! ... **", []),
    # scripts without spaces
    ("你好！今天天气很好，我们去公园吧。好吗？", ["你好！", "今天天气很好，我们去公园吧。", "好吗？"]),
    ("今天天气很好，我们去公园吧。", ["今天天气很好，", "我们去公园吧。"]),
    ("こんにちは。「元気。本当」と言った。", ["こんにちは。", "「元気。本当」と言った。"]),
    ("我用Python写代码。它很好。", ["我用Python写代码。", "它很好。"]),
    ("नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
    # no place to cut: not for ever
    ("(" + "word " * 20 + ")", ["(" + " ".join(["word"] * 16), "word word word word )"]),
    ("(" + "word " * 40 + "end. More.",
     ["(" + " ".join(["word"] * 16), " ".join(["word"] * 24) + " end.", "More."]),
    ("x" * 900, ["x" * 900]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "segments"), CASES, ids=lambda value: str(value)[:30])
def test_segments_are(text: str, segments: list[str]) -> None:
    assert cut(text) == segments


@pytest.mark.parametrize(("text", "segments"), CASES, ids=lambda value: str(value)[:30])
def test_segments_are_the_same_letter_by_letter(text: str, segments: list[str]) -> None:
    assert cut_in(list(text)) == segments


def test_a_clause_is_given_out_before_the_rest_is_there() -> None:
    cutter = Cutter()
    assert cutter.feed("When you come home, I", 0.0) == ["When you come home,"]


def test_a_long_first_phrase_is_cut_at_a_breath_and_not_behind_a_leaning_word() -> None:
    first, *_ = cut(LONG_SENTENCE)
    assert SHORTEST_WORDS <= len(first.split()) <= FIRST_WORDS
    assert first.split()[-1] not in {"of", "the", "at", "and"}


def test_a_very_long_sentence_is_cut_at_a_clause() -> None:
    sentence = "Ok. " + "and then they went on and on over the hills, " * 8
    segments = cut(sentence)
    assert all(len(segment.split()) <= LATER_WORDS for segment in segments)
    assert all(segment.endswith(",") for segment in segments[1:-1])


# ---------------------------------------------------------------- the clock


def test_a_long_enough_text_waits_300_ms_for_punctuation_and_no_longer() -> None:
    cutter = Cutter()
    assert cutter.feed("Paris lies on the Seine riv", 10.0) == []
    assert cutter.deadline() == 10.0 + WAIT_S
    assert cutter.poll(10.29) == []
    assert cutter.poll(10.3) == ["Paris lies on the Seine"]
    assert cutter.deadline() is None
    assert cutter.flush() == ["riv"]


def test_a_short_text_is_not_hurried() -> None:
    cutter = Cutter()
    cutter.feed("Well, I thi", 0.0)
    assert cutter.deadline() is None
    assert cutter.poll(9.0) == []


def test_the_clock_prefers_the_last_clause() -> None:
    cutter = Cutter()
    cutter.feed("Ok. ", 0.0)
    cutter.feed("In the end we came, saw the house, and it was so old that nobody k", 0.0)
    assert cutter.poll(1.0) == ["In the end we came, saw the house,"]
    assert cutter.deadline() is None


def test_what_looks_like_a_whole_sentence_hardly_waits_for_the_next_token() -> None:
    cutter = Cutter()
    assert cutter.feed("I am here.", 5.0) == []
    due = cutter.deadline()
    assert due is not None
    assert due <= 5.06
    assert cutter.poll(due) == ["I am here."]
    assert cutter.feed(" - is it", 6.0) + cutter.flush() == ["- is it"]


@pytest.mark.parametrize(
    "text",
    ["I met Dr.", "It is 3.", "Use e.g.", "(I am here.", "See www.", "```x.", "Hm", "On Jan.", "‘It is."],
)
def test_what_may_go_on_is_not_taken_for_a_whole_sentence(text: str) -> None:
    cutter = Cutter()
    cutter.feed(text, 0.0)
    assert cutter.deadline() is None


@pytest.mark.parametrize("text", ["Really?", "Oh!", "好。", "He said “yes.”"])
def test_other_ends_of_sentences_are_known(text: str) -> None:
    cutter = Cutter()
    cutter.feed(text, 0.0)
    assert cutter.deadline() is not None


# ---------------------------------------------------------------- properties

_PIECE = st.sampled_from(
    [
        "word", "a", "the", "Paris", "Dr.", "end.", "End. ", "3.14", "e.g.", "U.S.", "I.", "really?", "oui !",
        "\n", "\n- ", ", ", ": ", " — ", "—", "(", ")", '"', "“", "”", "« ", " »", "...", "…", "**",
        "*", "_", "`", "```", "#", "> ", "😊", "👍🏽", "你", "好", "。", "，", "！", "12", "%", "https://a.b/c",
        "'", "‘", "’", "„", "»x", "'Go", ":)", "am 5. Mai", "8 h. Puis", '5"', "No.", "2, 3",
        "l'", "l’eau", "\u202f", "-", " ", "  ",
    ]
)  # fmt: skip
_TEXT = st.lists(st.tuples(_PIECE, st.sampled_from(["", " "])), max_size=60).map(
    lambda parts: "".join(piece + gap for piece, gap in parts)
)


@given(_TEXT, st.data())
def test_chunking_changes_nothing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert cut_in(chunks) == cut(text)


@given(_TEXT.filter(lambda text: "```" not in text), st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_every_word_is_kept_in_order_even_when_the_clock_cuts(text: str, gaps: list[float]) -> None:
    cutter, now, segments = Cutter(), 0.0, []
    size = max(1, len(text) // len(gaps))
    for index, start in enumerate(range(0, len(text), size)):
        segments += cutter.feed(text[start : start + size], now)
        now += gaps[index % len(gaps)]
        segments += cutter.poll(now)
    segments += cutter.flush()
    assert re.findall(r"\w", "".join(segments).replace("_", "")) == re.findall(r"\w", text.replace("_", ""))
    assert all(any(char.isalnum() for char in segment) for segment in segments)
    assert all(segment == segment.strip() and "\n" not in segment for segment in segments)


@given(
    st.lists(st.tuples(st.sampled_from(["word ", "the ", "so, ", "(go "]), st.floats(0, 0.4)), max_size=80)
)
def test_no_long_enough_text_waits_more_than_300_ms(tokens: list[tuple[str, float]]) -> None:
    cutter, now = Cutter(), 0.0
    fed: list[float] = []
    given_out = 0
    for token, gap in tokens:
        given_out += sum(len(segment.split()) for segment in cutter.feed(token, now))
        fed.append(now)
        for moment in (now, now + gap):
            while (due := cutter.deadline()) is not None and due <= moment:
                polled = cutter.poll(due)
                assert polled, "the clock called for nothing"
                given_out += sum(len(segment.split()) for segment in polled)
        now += gap
        enough = given_out + (LATER_LONG_WORDS if given_out else SHORTEST_WORDS)
        if enough < len(fed):  # a word is whole once the next token is there
            assert now - fed[enough] <= WAIT_S + 1e-6


@given(st.text(max_size=300))
def test_any_text_is_cut_without_an_error(text: str) -> None:
    assert cut_in(list(text)) == cut(text)
