"""What a voice can say of a written answer: no markup, no code, no emoji, no address letter by letter. Pure.

The language model writes for the eye even when told not to. An empty result means that there is nothing to
say, which is no failure.
"""

from __future__ import annotations

import html
import re
import unicodedata

from services.tts.spoken_forms import WORDS, Words, spoken

LONGEST_SENTENCE = 240
"""Characters; a longer one is cut at a comma or a space, so that its first audio does not wait long."""

_FRACTIONS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
_DASHES = str.maketrans({"—": ", ", "―": ", ", "→": ", ", "\u2010": "-", "\u2011": "-", "′": "'", "…": "..."})
_KEPT_SYMBOLS = set("°²³№℃℉→×÷≈−")
_KEPT_IN_SPEECH = set(" .,;:!?'’\"«»“”()-–%€$£¥°+=@&/²³")

_CODE_FENCE = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]+)\]\([^)\n]*\)")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,300}>|<!--.*?-->", re.DOTALL)
_RULE_LINE = re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$|^[ \t|:-]*--[ \t|:-]*$", re.MULTILINE)
_LINE_MARK = re.compile(
    r"^[ \t]*(?:>[ \t]?)*(?:#{1,6}[ \t]+|[-*+•‣◦][ \t]+(?:\[[ xX]\][ \t]+)?)?", re.MULTILINE
)
_LIST_NUMBER = re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+", re.MULTILINE)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"<?\b(?:https?://|www\.)([^\s<>\"'()]+)>?", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?<![\w@.-])(?:[a-z0-9][a-z0-9-]{0,62}\.)+(?:com|org|net|io|dev|ai|app|info|edu|gov|fr|be|ch|ca|eu|de|uk)"
    r"(?![\w-])(?:/[^\s<>\"'()]*)?",
    re.IGNORECASE,
)
_UNDERSCORE_INSIDE = re.compile(r"(?<=[^\W_])_+(?=[^\W_])")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'’»”)]*\s+")


def speech_text(text: str, language: str = "") -> str:
    """Returns one line of plain text to be spoken, or "" if there is nothing to say.

    ``language`` is ISO 639-1; English and French have their numbers and abbreviations written out.
    """
    words = WORDS.get(language)
    plain = _without_markup(_normalised(text), words)
    line = spoken(_joined(plain), language)
    return _tidy("".join(char if _is_spoken(char) else " " for char in line))


def sentences(line: str) -> list[str]:
    """Cuts spoken text into sentences of at most ``LONGEST_SENTENCE`` characters; no word is cut."""
    found: list[str] = []
    begin = 0
    for match in _SENTENCE_END.finditer(line):
        found.extend(_cut(line[begin : match.end()].strip()))
        begin = match.end()
    found.extend(_cut(line[begin:].strip()))
    return [sentence for sentence in found if has_words(sentence)]


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit in it."""
    return any(char.isalnum() for char in text)


def _normalised(text: str) -> str:
    """Compatibility forms (full width, mathematical bold) as plain letters; pictures and controls gone."""
    for fraction, digits in _FRACTIONS.items():
        text = re.sub(rf"(?<=\d)\s?{fraction}", f" {digits}", text).replace(fraction, digits)
    kept = (char if char in _KEPT_SYMBOLS or not _is_picture(char) else " " for char in html.unescape(text))
    squares = "".join(kept).replace("²", "\ue002").replace("³", "\ue003")
    plain = unicodedata.normalize("NFKC", squares).replace("\ue002", "²").replace("\ue003", "³")
    return plain.translate(_DASHES)


def _is_picture(char: str) -> bool:
    category = unicodedata.category(char)
    if category in {"So", "Cs", "Co", "Cn", "Me"}:
        return True
    is_modifier = category == "Sk" and char not in "^`"
    is_control = category in {"Cc", "Cf"} and char not in "\n\t"
    return is_modifier or is_control or "\ufe00" <= char <= "\ufe0f"


def _without_markup(text: str, words: Words | None) -> str:
    text = _CODE_FENCE.sub("\n", text)
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _EMAIL.sub(lambda match: _address(match[0], words), text)
    text = _URL.sub(lambda match: _host(match[1], words), text)
    text = _DOMAIN.sub(lambda match: _host(match[0], words), text)
    text = _TAG.sub(" ", text)
    text = _RULE_LINE.sub("", text)
    text = _LINE_MARK.sub("", text)
    text = _LIST_NUMBER.sub(r"\1, ", text)
    return _UNDERSCORE_INSIDE.sub(" ", text)


def _host(address: str, words: Words | None) -> str:
    """Returns the speakable part of an address: its host, and the punctuation that was behind it."""
    body = address.rstrip(".,;:!?»”*_")
    tail = address[len(body) :].rstrip("*_")
    host = re.split(r"[/?#:]", body.rpartition("@")[2], maxsplit=1)[0].removeprefix("www.")
    if not words:
        return host + tail
    return (host.replace(".", f" {words.dot} ") if has_words(host) else words.link) + tail


def _address(email: str, words: Words | None) -> str:
    if not words:
        return email
    return email.replace("@", f" {words.at} ").replace(".", f" {words.dot} ")


def _joined(text: str) -> str:
    """Joins lines; one without a full stop gets one, so that a list is not read in one breath."""
    lines = []
    for raw in text.splitlines():
        line = re.sub(r"\s*\|\s*", ", ", raw.strip(" \t|")).strip(" ,*_`")
        if has_words(line):
            lines.append(line if line[-1] in ".,;:!?" else line + "." if "\n" in text.strip() else line)
    return re.sub(r"\s+", " ", " ".join(lines))


def _is_spoken(char: str) -> bool:
    return char in _KEPT_IN_SPEECH or unicodedata.category(char)[0] in "LN" or (
        unicodedata.category(char) in {"Mn", "Mc"} and not "\ufe00" <= char <= "\ufe0f"
    )  # fmt: skip


def _tidy(line: str) -> str:
    line = re.sub(r"\s+", " ", line)
    line = re.sub(r"\(\s*\)|\"\s*\"|«\s*»|“\s*”", "", line)
    line = re.sub(r"\s+(?=[.,;:!?)])", "", line)
    line = re.sub(r",(?=[.,;:!?])|([.!?;:])[.,;:!?]+", r"\1", line)
    line = re.sub(r"\s+", " ", line).strip(" ,;:-–/")
    return line if has_words(line) else ""


def _cut(sentence: str) -> list[str]:
    """Cuts what is too long at the last comma in reach, else at the last space in reach, else at the next."""
    parts = []
    while len(sentence) > LONGEST_SENTENCE:
        reach = sentence[:LONGEST_SENTENCE]
        comma = max(reach.rfind(mark) for mark in (", ", "; ", ": "))
        at = comma + 1 or max(reach.rfind(" "), 0) or sentence.find(" ")
        if at < 0:
            break
        parts.append(sentence[:at])
        sentence = sentence[at:].strip()
    return [*parts, sentence]
