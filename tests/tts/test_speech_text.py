from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.speech_text import LONGEST_SENTENCE, has_words, sentences, speech_text

ENGLISH = [
    ("Hello there.", "Hello there."),
    ("**Bold** and *soft* and ~~gone~~ `code`", "Bold and soft and gone code"),
    ("# Title\nText", "Title. Text."),
    ("- one\n- two", "one. two."),
    ("1. First\n2. Second", "1, First. 2, Second."),
    ("> quoted\n> text.", "quoted. text."),
    ("- [x] done\n- [ ] open", "done. open."),
    ("See [the guide](https://example.com/a?b=c).", "See the guide."),
    ("![a cat](cat.png)", "a cat"),
    ("Run this:\n```python\nprint('hi')\n```\nThen wait.", "Run this: Then wait."),
    ("```\nonly code", ""),
    ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b. 1, 2."),
    ("above\n\n---\n\nbelow", "above. below."),
    ("<b>bold</b> &amp; <!-- no --> more", "bold and more"),
    ("snake_case and __init__", "snake case and init"),
    ("Visit https://www.example.com/path?q=1.", "Visit example dot com."),
    ("at www.my-site.org, now", "at my-site dot org, now"),
    ("Go to example.co.uk/help!", "Go to example dot co dot uk!"),
    ("http://???", "a link?"),
    ("http://[::1]:80/", "a link"),
    ("Write to jo.smith@mail.example.com please", "Write to jo dot smith at mail dot example dot com please"),
    ("Nice 😀👍🏽 work 🇫🇷!", "Nice work!"),
    ("👨\u200d👩\u200d👧", ""),
    ("1\ufe0f\u20e3 first", "1 first"),
    ("© 2024 ACME™", "2024 ACME"),
    ("𝐛𝐨𝐥𝐝 ｆｕｌｌ", "bold full"),
    ("", ""),
    ("...", ""),
    ("***", ""),
    ("% & $", ""),
    ("[[h@l@U]] hi", "h@l@U hi"),
    ("Dr. Smith and Mrs. Jones", "Doctor Smith and Missis Jones"),
    ("e.g. tea, i.e. leaves, etc.", "for example, tea, that is, leaves, et cetera."),
    ("tea, etc. and more", "tea, et cetera and more"),
    ("$5", "5 dollars"),
    ("It costs $1, £3.50 or €0.99.", "It costs 1 dollar, 3 pounds 50 or 99 cents."),
    ("$0.01 and 3.00€ and $2.5", "1 cent and 3 euros and 2.5 dollars"),
    ("$2 million", "2 million dollars"),
    ("1,000,000 people", "1000000 people"),
    ("100 km/h, 5 kg, 1 m", "100 kilometres per hour, 5 kilograms, 1 metre"),
    ("20°C or 68 °F, 90°", "20 degrees Celsius or 68 degrees Fahrenheit, 90 degrees"),
    ("30 m² and 5m³", "30 square metres and 5 cubic metres"),
    ("5G and 4K", "5G and 4K"),
    ("50%", "50%"),
    ("at 14:30", "at 14 30"),
    ("at 9:05 am", "at 9 oh 5 a m"),
    ("at 3pm, 4:00 p.m. or 9:00", "at 3 p m, 4 p m or 9 o'clock"),
    ("on 2024-05-12", "on May 12, 2024"),
    ("on 12/25/2024", "on December 25, 2024"),
    ("10-20 people", "10 to 20 people"),
    ("3/4 of it, ½ and 1½", "3 over 4 of it, 1 over 2 and 1 1 over 2"),
    ("24/7 help", "24 7 help"),
    ("3 x 4 = 12, 6 ÷ 2", "3 times 4 equals 12, 6 divided by 2"),
    ("a < b and c > d", "a less than b and c greater than d"),
    ("~5 or #7 or -3", "about 5 or number 7 or minus 3"),
    ("cats & dogs", "cats and dogs"),
    ("well — yes… no", "well, yes. no"),
    ("What?! Really!!!", "What? Really!"),
    ("line\x00with\x07controls\u200b", "line with controls"),
]
FRENCH = [
    ("Bonjour à tous !", "Bonjour à tous!"),
    ("**Gras** et `code`", "Gras et code"),
    ("M. Dupont et Mme Martin", "Monsieur Dupont et Madame Martin"),
    ("Dr Petit, St-Malo", "Docteur Petit, Saint-Malo"),
    ("p. ex. du thé, c.-à-d. chaud, etc.", "par exemple du thé, c'est-à-dire chaud, et cétéra."),
    ("n°5, svp", "numéro 5, s'il vous plaît"),
    ("5 €", "5 euros"),
    ("1€ ou 3,50 €", "1 euro ou 3 euros 50"),
    ("2 millions € et 5 mille €", "2 millions d'euros et 5 mille euros"),
    ("0,99 €", "99 centimes"),
    ("1 000 000 de gens", "1000000 de gens"),
    ("12\u202f500 km", "12500 kilomètres"),
    ("3.5 kg", "3,5 kilogrammes"),
    ("version 1.2.3", "version 1.2.3"),
    ("1 km/h, 20 °C", "1 kilomètre heure, 20 degrés Celsius"),
    ("14h30, 9 h, 1h et 18:00", "14 heures 30, 9 heures, 1 heure et 18 heures"),
    ("le 12/05/2024 et le 2024-06-01", "le 12 mai 2024 et le 1er juin 2024"),
    ("le XIXe siècle, la 2e fois", "le 19ème siècle, la 2ème fois"),
    ("10-20 personnes", "10 à 20 personnes"),
    ("1/2 litre", "1 sur 2 litre"),
    ("3 x 4 = 12", "3 fois 4 égale 12"),
    ("thé & café", "thé et café"),
    ("Voir https://example.fr/page", "Voir example point fr"),
    ("écrire à a@b.fr", "écrire à a arobase b point fr"),
    ("C'est l'été 🌞", "C'est l'été"),
    ("« Oui »", "« Oui »"),
]
OTHERS = [
    ("de", "**Hallo** 5 kg & $5", "Hallo 5 kg & $5"),
    ("de", "Siehe https://www.example.de/x", "Siehe example.de"),
    ("de", "An a@b.de", "An a@b.de"),
    ("", "你好，世界！", "你好,世界!"),
    ("ar", "مرحبا", "مرحبا"),
    ("hi", "नमस्ते", "नमस्ते"),
]


@pytest.mark.parametrize(("written", "said"), ENGLISH)
def test_english_is_written_out_for_the_ear(written: str, said: str) -> None:
    assert speech_text(written, "en") == said


@pytest.mark.parametrize(("written", "said"), FRENCH)
def test_french_is_written_out_for_the_ear(written: str, said: str) -> None:
    assert speech_text(written, "fr") == said


@pytest.mark.parametrize(("language", "written", "said"), OTHERS)
def test_other_languages_lose_their_markup_only(language: str, written: str, said: str) -> None:
    assert speech_text(written, language) == said


MARKDOWN = st.text(
    st.sampled_from("*_`#~|<>[](){}!-=+&@$€%°/\\.,:;?^\"' \n\t0123456789abhkmxXMe😀👍🏽\u200d\ufe0f½²©̃"),
    max_size=80,
)


@given(st.one_of(st.text(), MARKDOWN), st.sampled_from(["en", "fr", "de", ""]))
def test_any_text_becomes_one_clean_line(written: str, language: str) -> None:
    said = speech_text(written, language)
    assert not set("*_`#~|<>[]{}\\^\n\t") & set(said)
    assert not any(unicodedata.category(char) in {"Cs", "Cc", "Cf"} for char in said)
    assert not any(unicodedata.category(char) == "So" and char != "°" for char in said)
    assert "  " not in said
    assert said == said.strip()
    assert said == "" or has_words(said)


def test_long_runs_of_markup_take_no_time() -> None:
    for run in ("-" * 5000 + "x", "a." * 2500, "<!--" * 1200, "|-" * 2500 + "x", "*_" * 2500, "```" * 1500):
        speech_text(run, "en")  # a pattern that backtracks would meet the suite's time limit here


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
