"""Which voice is meant by a name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from services.tts.voices import espeak_name, find, is_default, language_for, language_of, nearest


@dataclass(frozen=True)
class Somebody:
    name: str
    language: str


AMY = Somebody("en_US-amy-medium", "en")
ALBA = Somebody("en_GB-alba-medium", "en")
SIWIS = Somebody("fr_FR-siwis-medium", "fr")
JESSICA = Somebody("fr_FR-upmc-medium#jessica", "fr")
PIERRE = Somebody("fr_FR-upmc-medium#pierre", "fr")
ALL = (AMY, ALBA, SIWIS, JESSICA, PIERRE)


@pytest.mark.parametrize(
    ("wanted", "language", "found"),
    [
        ("en_GB-alba-medium", "en", ALBA),
        ("EN_gb-ALBA-medium ", "en", ALBA),
        ("en_GB-alba-medium", "fr", ALBA),
        ("alba", "", ALBA),
        ("fr_FR-upmc-medium#pierre", "fr", PIERRE),
        ("upmc#pierre", "fr", PIERRE),
        ("fr_FR-upmc-medium", "fr", JESSICA),
        ("upmc", "en", JESSICA),
        ("fr_FR-upmc-medium#nobody", "fr", JESSICA),
        ("", "en", AMY),
        ("eva", "fr", SIWIS),
        ("Eva", "", AMY),
        ("eva-fr", "en", SIWIS),
        ("eva-en", "fr", AMY),
        ("eva-de", "en", None),
        ("eva-de", "", AMY),
        ("nobody", "fr", SIWIS),
        ("nobody", "de", None),
        ("", "de", None),
        ("en-us+f3", "en", None),
        ("fr", "fr", None),
        ("en-us+f3", "", AMY),
    ],
)
def test_a_voice_is_found_by_name_else_by_language(
    wanted: str, language: str, found: Somebody | None
) -> None:
    assert find(ALL, language, wanted) is found


def test_where_there_is_no_voice_none_is_found() -> None:
    assert find((), "", "") is None
    assert find((), "en", "eva") is None


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("fr_FR-siwis-medium", "fr"),
        ("fr_FR-upmc-medium#pierre", "fr"),
        ("eva-fr", "fr"),
        ("en-us+f3", "en"),
        ("fr", "fr"),
        ("eva", ""),
        ("", ""),
        ("amy", ""),
        ("alloy", ""),
    ],
)
def test_a_name_may_tell_its_language(name: str, language: str) -> None:
    assert language_of(name) == language


@pytest.mark.parametrize(
    ("name", "is_espeaks"),
    [
        ("en", True),
        ("en-us", True),
        ("en-us+f3", True),
        ("fr+croak", True),
        ("cmn-latn-pinyin", True),
        ("eva", False),
        ("eva-fr", False),
        ("amy", False),
        ("en_US-amy-medium", False),
        ("../../etc/passwd", False),
        ("en/../x", False),
        ("", False),
    ],
)
def test_a_name_of_espeaks_kind_is_told_and_is_never_a_path(name: str, is_espeaks: bool) -> None:
    assert bool(espeak_name(name)) is is_espeaks


def test_a_clear_sentence_is_said_in_its_own_language_unless_a_voice_was_chosen() -> None:
    french = "Je ne sais pas où est la gare."
    assert language_for(french, "en", "") == "fr"
    assert language_for(french, "en", "eva") == "fr"
    assert language_for(french, "en", "en_US-amy-medium") == "en"
    assert language_for(french, "", "en_US-amy-medium") == ""
    assert language_for("Bonjour !", "en", "") == "en"


def test_the_nearest_names_are_offered_for_one_that_nobody_has() -> None:
    names = [voice.name for voice in ALL]
    assert nearest("alva", names)[0] == ALBA.name
    assert nearest("fr_FR-siwi-medium", names)[0] == SIWIS.name
    assert nearest("zzzzzz", names) == []
    assert is_default(" EVA ")
    assert not is_default("eva-fr")
