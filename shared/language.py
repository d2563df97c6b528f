"""Which language a text is in, English or French, by its small words. Pure; unsure means unsaid ("")."""

from __future__ import annotations

import re


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_ENGLISH = _listed(
    "the is are what who how you your my me and of to it that this hello hi hey thanks thank please "
    "can could would do does have name i'm am with for not be was will an in yes why when where there "
    "bye good morning tell about say i"
)
_FRENCH = _listed(
    "le la les un une des du de et est es que qui quoi quel quelle comment je tu il elle nous vous "
    "mon ma mes ton ta tes moi toi ce cette ces pas ne bonjour salut bonsoir merci oui non appelle "
    "suis avec pour dans sur au aux combien font heure jour suis ça ca va quoi fais peux dis donc où "
    "revoir répète blague raconte"
)
_FRENCH_LETTERS = "éèêàçùûîôœ"
_ELIDED = _listed("c d j l m n qu s t")
"""Before an apostrophe: a small French word of its own."""

KNOWN = ("en", "fr")
"""Languages that are told apart."""
CLEAR_WORDS, CLEAR_SIGNS, CLEAR_SHARE, CLEAR_ODDS = 4, 3, 0.25, 3
"""What it takes to go against the language that a session is held in: a sentence of so many words, so many of
them small words of the other language, at least this share of all, and this many for each of its own."""


def guess(text: str) -> str:
    """Returns ``en``, ``fr`` or an empty string."""
    english, french, _ = _signs(text)
    if english == french:
        return ""
    return "en" if english > french else "fr"


def spoken(text: str, session: str) -> str:
    """Returns the language to speak a sentence in; ``session``: that of the session, empty where unsaid.

    A session in a language other than English and French keeps it: its small words are not known here, and
    many of them would be taken for French.
    """
    primary = session.replace("_", "-").partition("-")[0].lower()
    if not primary:
        return guess(text)
    if primary not in KNOWN:
        return session
    english, french, words = _signs(text)
    own, other = (english, french) if primary == "en" else (french, english)
    is_clear = other >= max(CLEAR_SIGNS, CLEAR_SHARE * words, CLEAR_ODDS * own) and words >= CLEAR_WORDS
    if not is_clear:
        return session
    return "fr" if primary == "en" else "en"


def _signs(text: str) -> tuple[int, int, int]:
    """Returns small words of English and of French (and its letters), and all words."""
    lowered = text.casefold().replace("’", "'")
    english, french, words = 0, sum(char in _FRENCH_LETTERS for char in lowered), 0
    for word in _WORD.findall(lowered):
        head, apostrophe, tail = word.partition("'")
        is_elided = bool(apostrophe) and head in _ELIDED and len(tail) > 1
        words += 1
        english += word in _ENGLISH or (not is_elided and head in _ENGLISH)
        french += is_elided or word in _FRENCH or (bool(apostrophe) and tail in _FRENCH)
    return english, french, words
