from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.passage import Passage
from services.tts.speech_text import LONGEST_SENTENCE, has_words, passages, sentences, speech_text

HERE = Path(__file__).parent


def table(language: str) -> list[tuple[str, str]]:
    """Written and spoken, tab between; ``\\n`` is a new line."""
    lines = (HERE / f"spoken_{language}.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line]
    return [(written.replace("\\n", "\n"), said) for written, said in pairs]


ENGLISH, FRENCH = table("en"), table("fr")
MARKUP = [
    ("Hello there.", "Hello there."),
    ("**Bold** and *soft* and ~~gone~~ `code`", "Bold and soft and gone code"),
    ("# Title\nText", "Title. Text."),
    ("- one\n- two", "one. two."),
    ("> quoted\n> text.", "quoted. text."),
    ("- [x] done\n- [ ] open", "done. open."),
    ("See [the guide](https://example.com/a?b=c).", "See the guide."),
    ("![a cat](cat.png)", "a cat"),
    ("Run this:\n```python\nprint('hi')\n```\nThen wait.", "Run this: Then wait."),
    ("```\nonly code", ""),
    ("above\n\n---\n\nbelow", "above. below."),
    ("<b>bold</b> &amp; <!-- no --> more", "bold and more"),
    ("un<b>believ</b>able", "unbelievable"),
    ("snake_case and __init__", "snake case and init"),
    ("http://???", "a link?"),
    ("http://[::1]:80/", "a link"),
    ("Nice 😀👍🏽 work 🇫🇷!", "Nice work!"),
    ("👨\u200d👩\u200d👧", ""),
    ("1\ufe0f\u20e3 first", "one first"),
    ("© 2024 ACME™", "twenty twenty-four ACME"),
    ("𝐛𝐨𝐥𝐝 ｆｕｌｌ", "bold full"),
    ("cafe\u0301", "café"),
    ("", ""),
    ("...", ""),
    ("***", ""),
    ("$ & ¥", ""),
    ("[[h@l@U]] hi", "h@l@U hi"),
    ("line\x00with\x07controls\u200b", "line with controls"),
]
OTHERS = [
    ("de", "**Hallo** 5 kg & $5", "Hallo 5 kg & $5"),
    ("de", "Siehe https://www.example.de/x", "Siehe example.de"),
    ("de", "An a@b.de", "An a@b.de"),
    ("de", "½ Liter, #Wetter_heute von @ada_l", "1/2 Liter, Wetter heute von ada l"),
    ("de", '<say-as interpret-as="characters">AB</say-as>', "A B"),
    ("de", '<say-as interpret-as="digits">42</say-as>', "42"),
    ("", "你好，世界！", "你好,世界!"),
    ("ar", "مرحبا", "مرحبا"),
    ("hi", "नमस्ते", "नमस्ते"),
]
HARD = st.text(
    st.sampled_from(
        "*_`#~|<>[](){}!-=+&@$€£%‰°/\\.,:;?^\"' \n\t0123456789abhkmxXMIVe😀👍🏽\u200d\ufe0f½²⁶©̃é×√"
    ),
    max_size=80,
)
LANGUAGES = st.sampled_from(["en", "fr", "de", ""])


@pytest.mark.parametrize(("written", "said"), ENGLISH)
def test_english_is_written_out_for_the_ear(written: str, said: str) -> None:
    assert speech_text(written, "en") == said


@pytest.mark.parametrize(("written", "said"), FRENCH)
def test_french_is_written_out_for_the_ear(written: str, said: str) -> None:
    assert speech_text(written, "fr") == said


@pytest.mark.parametrize(("written", "said"), MARKUP)
def test_markup_and_pictures_are_taken_off(written: str, said: str) -> None:
    assert speech_text(written, "en") == said


@pytest.mark.parametrize(("language", "written", "said"), OTHERS)
def test_other_languages_lose_their_markup_only(language: str, written: str, said: str) -> None:
    assert speech_text(written, language) == said


def test_the_tables_are_long_and_say_nothing_twice() -> None:
    for rows in (ENGLISH, FRENCH):
        assert len({written for written, _ in rows}) == len(rows) >= 120


@given(st.one_of(st.text(), HARD), LANGUAGES)
def test_any_text_becomes_one_clean_line(written: str, language: str) -> None:
    said = speech_text(written, language)
    assert not set("*_`#~|<>[]{}\\^\n\t") & set(said)
    assert not any(unicodedata.category(char) in {"Cs", "Cc", "Cf", "Co"} for char in said)
    assert not any(unicodedata.category(char) == "So" and char != "°" for char in said)
    assert "  " not in said
    assert said == said.strip()
    assert said == "" or has_words(said)


@given(st.one_of(st.text(), HARD), st.sampled_from(["en", "fr"]))
def test_no_digit_is_left_in_english_and_french(written: str, language: str) -> None:
    assert not any(char.isdecimal() for char in speech_text(written, language))


@given(
    st.lists(st.sampled_from(["tea", "été", "Ada", "Well,", "no.", "3", "$5", "NASA"]), min_size=1), LANGUAGES
)
def test_a_text_with_words_is_never_silent(words: list[str], language: str) -> None:
    assert has_words(speech_text(" ".join(words), language))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_is_said_already_is_said_the_same(language: str) -> None:
    for _, said in ENGLISH if language == "en" else FRENCH:
        if not any(word in said for word in ("dot", "point", "slash", "barre", "A.M. I", "Louis V ")):
            assert speech_text(said, language).replace(",", "") == said.replace(",", "")


def check(written: str, found: list[Passage]) -> None:
    """A passage's entries are its words, in order, and lie in order in what was written."""
    for passage in found:
        at, spoken_at = 0, 0
        for word in passage.words:
            assert at <= word.begin < word.end <= len(written)
            assert spoken_at <= word.spoken_begin < word.spoken_end <= len(passage.text)
            assert not has_words(passage.text[spoken_at : word.spoken_begin])
            at, spoken_at = word.end, word.spoken_end
        assert not has_words(passage.text[spoken_at:])
        assert 0.0 <= passage.pause_s <= 5.0


@given(st.one_of(st.text(), HARD), LANGUAGES)
def test_every_spoken_word_is_known_in_the_written_text(written: str, language: str) -> None:
    check(written, passages(written, language))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_word_of_the_tables_is_known_in_the_written_text(language: str) -> None:
    for written, _ in ENGLISH if language == "en" else FRENCH:
        check(written, passages(written, language))


def pairs(written: str, language: str) -> list[tuple[str, str]]:
    return [
        (written[word.begin : word.end], passage.text[word.spoken_begin : word.spoken_end])
        for passage in passages(written, language)
        for word in passage.words
    ]


def test_a_caption_can_show_what_is_written_while_something_else_is_said() -> None:
    assert pairs("Il gagne 3,5 % de **plus**, le 14/07/2026.", "fr") == [
        ("Il", "Il"),
        ("gagne", "gagne"),
        ("3,5 %", "trois virgule cinq pour cent"),
        ("de", "de"),
        ("plus", "plus"),
        ("le", "le"),
        ("14/07/2026", "quatorze juillet deux mille vingt-six"),
    ]
    assert pairs("Mail ada@example.com 😀 for $5 &amp; tea.", "en") == [
        ("Mail", "Mail"),
        ("ada@example.com", "ada at example dot com"),
        ("for", "for"),
        ("$5", "five dollars"),
        ("&amp;", "and"),
        ("tea", "tea"),
    ]
    assert pairs("Page 12. It's [the end](http://x.org/y)!", "en") == [
        ("Page", "Page"), ("12", "twelve"), ("It's", "It's"), ("the", "the"), ("end", "end"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('One.<break time="500ms"/> Two.', [("One.", 0.5), ("Two.", 0.0)]),
        ('<break time="1.5s"/>Late.', [("", 1.5), ("Late.", 0.0)]),
        ('So <break time="99s" /> long', [("So", 5.0), ("long", 0.0)]),
        ('A<break time="3s"/><break time="3s"/>', [("A", 5.0)]),
        ("Well <break/> then", [("Well", 0.5), ("then", 0.0)]),
        ('Well <break strength="strong"/> then', [("Well", 1.0), ("then", 0.0)]),
        ('Well <break strength="none"/> then', [("Well", 0.0), ("then", 0.0)]),
        ('Well <break time="s"/> then', [("Well", 0.0), ("then", 0.0)]),
        ('<break time="200ms"/>', [("", 0.2)]),
    ],
)
def test_a_break_is_a_pause_behind_what_was_said(written: str, expected: list[tuple[str, float]]) -> None:
    assert [(passage.text, passage.pause_s) for passage in passages(written, "en")] == expected


HOSTILE = [
    "-", "a.", "<!--", "|-", "*_", "```", "[", "[a](", "<break", "<say-as interpret-as=characters>",
    "1", "1,", "1/", "1-", "1 000 ", "$", "A-", "A.", "/a", "a@",
    "@a", "#a", "&amp;", "\u0301", "XI", "12:", "+1 ", "0 1", "1.", "a.py",
    "http://", "²", "⁶", "<a ", "'", "M. ", "x=", "AB", "A1",
]  # fmt: skip


@pytest.mark.parametrize("part", HOSTILE)
def test_hostile_text_takes_linear_time(part: str) -> None:
    """Processor time: about 0.2 s; a pattern that backtracks takes minutes."""
    begin = time.process_time()
    speech_text(part * (6000 // len(part)) + "x", "en" if HOSTILE.index(part) % 2 else "fr")
    assert time.process_time() - begin < 5.0


def test_more_addresses_than_there_are_stand_ins_do_no_harm() -> None:
    assert speech_text("@a " * 2100, "de").split() == ["a"] * 2000


def test_text_is_cut_into_sentences() -> None:
    assert sentences('One. Two! "Three?" Four… five 3.5 six') == [
        "One.", "Two!", '"Three?"', "Four… five 3.5 six",
    ]  # fmt: skip


def test_a_sentence_without_a_word_is_dropped() -> None:
    assert sentences("Yes. ... No.") == ["Yes.", "No."]
    assert sentences("") == []


def test_a_long_sentence_is_cut_at_its_last_comma_in_reach() -> None:
    clause = "word " * 30 + "end, "
    cut = sentences(clause * 3)
    assert all(len(part) <= LONGEST_SENTENCE for part in cut)
    assert cut[0].endswith("end,")
    assert " ".join(cut).split() == (clause * 3).split()


def test_a_long_sentence_without_comma_is_cut_at_a_space_and_a_long_word_not_at_all() -> None:
    cut = sentences("word " * 100)
    assert all(len(part) <= LONGEST_SENTENCE for part in cut)
    assert " ".join(cut).split() == ["word"] * 100
    word = "w" * (LONGEST_SENTENCE + 60)
    assert sentences(word) == [word]
    assert sentences(f"{word} next") == [word, "next"]
