"""Addresses of mail and web, hashtags and names on networks, as they are said. Pure.

An address is said in full where a person can follow it; of a long path only the host is: it can be read on
the screen, and thirty names of signs cannot be listened to.
"""

from __future__ import annotations

import re

from services.tts.text_letters import name
from services.tts.text_numbers import listed
from services.tts.text_words import Words

LONGEST_PATH = 24
"""Characters of a path that is still said."""

_SIGNS = re.compile(r"[.@/_+-]")
_PATH = re.compile(r"/[\w/.-]*")
EMAIL = re.compile(r"(?<![\w.+-])[\w+-][\w.+-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
URL = re.compile(r"<?\b(?:https?://|www\.|mailto:)([^\s<>\"'()]+)>?", re.IGNORECASE)
DOMAIN = re.compile(
    r"(?<![\w@.-])(?:[a-z0-9][a-z0-9-]{0,62}\.){1,8}(?:com|org|net|io|dev|ai|app|info|edu|gov|fr|be|ch|ca|eu|de|uk)"
    r"(?![\w-])(?:/[^\s<>\"'()]*)?",
    re.IGNORECASE,
)
HASHTAG = re.compile(r"(?<![\w&#/])#(?=\w{0,60}[^\W\d_])(\w{1,60})")
HANDLE = re.compile(r"(?<![\w.@])@([A-Za-z_]\w{0,40})")


def email(written: str, words: Words | None) -> str:
    """``ada@example.com`` → ``ada at example dot com``."""
    return _said(written, words) if words else written


def address(written: str, words: Words | None) -> str:
    """Returns the speakable part of an address, and the punctuation that was behind it."""
    body = written.rstrip(".,;:!?»”*_")
    tail = written[len(body) :].rstrip("*_")
    plain = body.rpartition("@")[2] if "@" in body.partition("/")[0] else body
    host = re.split(r"[/?#:]", plain, maxsplit=1)[0].removeprefix("www.")
    if not any(char.isalnum() for char in host):
        return (words.link if words else host) + tail
    if not words:
        return host + tail
    path = plain.removeprefix("www.").removeprefix(host).rstrip("/")
    if not _PATH.fullmatch(path) or len(path) > LONGEST_PATH or path.count("/") > 2:
        path = ""
    return _said(host + path, words) + tail


def hashtag(written: str, words: Words | None) -> str:
    """``LoveParis`` → ``hashtag Love Paris``."""
    return f"{words.signs['#']} {name(words, written)}" if words else written.replace("_", " ")


def handle(written: str, words: Words | None) -> str:
    """``ada_l`` → ``at ada l``."""
    return f"{words.signs['@']} {name(words, written)}" if words else written.replace("_", " ")


def _said(text: str, words: Words) -> str:
    said = []
    at = 0
    for match in _SIGNS.finditer(text):
        said += [_part(text[at : match.start()], words), words.signs[match[0]]]
        at = match.end()
    return " ".join(filter(None, [*said, _part(text[at:], words)]))


def _part(text: str, words: Words) -> str:
    if text.isalpha() and len(text) > 1:
        return words.spelled(text) if text in _SPELLED else text
    return name(words, text.lower())


_SPELLED = frozenset(listed("uk fr be ch eu de")) - {"be", "de"}
