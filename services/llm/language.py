"""Which language a text is in, English or French, by its small words. Pure; unsure means unsaid ("")."""

from __future__ import annotations

import re

from services.llm.tables import words

_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH = words(
    "the is are what who how you your my me and of to it that this hello hi hey thanks thank please "
    "can could would do does have name i'm am with for not be was will an in yes why when where there "
    "bye good morning tell about say i"
)
_FRENCH = words(
    "le la les un une des du de et est es que qui quoi quel quelle comment je tu il elle nous vous "
    "mon ma mes ton ta tes moi toi ce cette ces pas ne bonjour salut bonsoir merci oui non appelle "
    "suis avec pour dans sur au aux combien font heure jour suis ça ca va quoi fais peux dis donc où "
    "revoir répète blague raconte"
)


def guess(text: str) -> str:
    """Returns ``en``, ``fr`` or an empty string."""
    found = _WORD.findall(text.casefold())
    english = sum(word in _ENGLISH for word in found)
    french = sum(word in _FRENCH for word in found) + sum(char in "éèêàçùûîôœ" for char in text.casefold())
    if english == french:
        return ""
    return "en" if english > french else "fr"
