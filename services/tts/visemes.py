"""Which shape the mouth has when: from the sounds of speech, or guessed from letters. Pure.

The set is the fifteen visemes of Oculus LipSync, which face rigs commonly have:

===  ========================     ==  =====================
sil  silence, at rest             RR  r ɹ ʁ ɚ ɝ
PP   p b m                        aa  a ɑ æ ɐ ʌ ɑ̃
FF   f v                          E   e ɛ ə ɜ ɛ̃
TH   θ ð                          ih  i ɪ ɨ j
DD   t d ɾ                        oh  o ɔ ɒ œ ɔ̃ œ̃
kk   k ɡ ŋ x                      ou  u ʊ w, y ø ɥ (rounded)
CH   tʃ dʒ ʃ ʒ                    nn  n l ɲ
SS   s z
===  ========================     ==  =====================

Sounds are IPA as espeak-ng writes it. h has no shape of its own: the mouth is already that of the next
sound. Stress, length, nasality and tone change nothing. A diphthong is its two vowels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from services.tts.engine import Phone

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
SILENCE = "sil"
Shape = tuple[str, float]
"""A viseme and when it begins, seconds."""

_SOUNDS = {
    "PP": "pbmɓʙɸβɱ", "FF": "fvʋⱱ", "TH": "θð", "DD": "tdɾʈɖɗɽ", "kk": "kgɡŋxɣχqcɟɠɢɴʛʄɧç",
    "CH": "ʃʒʂʐɕʑʧʤ", "SS": "szʦʣ", "nn": "nlɲɳɫɭʎʟɬɮɺ", "RR": "rɹʁʀɻɚɝ", "aa": "aɑæɐʌɶä",
    "E": "eɛəɜɘɞ", "ih": "iɪɨjᵻʝ", "oh": "oɔɒœɤɵ", "ou": "uʊwʉɯyøɥʏɰʍ",
}  # fmt: skip
_SHAPES = {sound: viseme for viseme, sounds in _SOUNDS.items() for sound in sounds}
_SHAPELESS = "hɦʔħʕʜʡʢ"
_STOPS, _HUSHES = "td", "ʃʒ"
_SPELT = {
    "ch": "CH", "sh": "CH", "th": "TH", "ph": "FF", "ou": "ou", "oo": "ou", "au": "oh", "eau": "oh",
    "an": "aa", "en": "aa", "on": "oh", "in": "E", "ai": "E", "oi": "aa", "ee": "ih", "ck": "kk", "qu": "kk",
    "gn": "nn", "œu": "oh", "eu": "oh",
}  # fmt: skip
_LETTERS = {
    letter: viseme
    for viseme, letters in {
        "PP": "pbm", "FF": "fv", "DD": "td", "kk": "kgcqx", "CH": "j", "SS": "sz", "nn": "nl", "RR": "r",
        "aa": "aæ", "E": "e", "ih": "iy", "oh": "oœ", "ou": "uw",
    }.items()
    for letter in letters
}  # fmt: skip


def visemes(phones: Sequence[Phone]) -> list[Shape]:
    """Returns the mouth's shapes in order, each other than the one before; silence at the end."""
    if not phones:
        return []
    shapes: list[Shape] = []
    waits_since: float | None = None
    atoms = [atom for phone in phones for atom in _atoms(phone)]
    for index, (sound, start_s) in enumerate(atoms):
        if sound in _SHAPELESS:
            waits_since = start_s if waits_since is None else waits_since
            continue
        follower = atoms[index + 1][0] if index + 1 < len(atoms) else " "
        viseme = "CH" if sound in _STOPS and follower in _HUSHES else _SHAPES.get(sound, SILENCE)
        shapes.append((viseme, start_s if waits_since is None or viseme == SILENCE else waits_since))
        waits_since = None
    return list(_changes([*shapes, (SILENCE, phones[-1].end_s)]))


def guessed(text: str, start_s: float, end_s: float) -> list[Shape]:
    """Returns the shapes that a word's letters suggest, evenly over its time."""
    word = "".join(char for char in unicodedata.normalize("NFD", text.lower()) if char.isalpha())
    found: list[str] = []
    at = 0
    while at < len(word):
        size = next((size for size in (3, 2) if word[at : at + size] in _SPELT), 1)
        spelt = word[at : at + size]
        viseme = _SPELT.get(spelt) or _LETTERS.get(spelt, "")
        found += [viseme] * bool(viseme)
        at += size
    step_s = (end_s - start_s) / max(1, len(found))
    shapes = [(viseme, start_s + index * step_s) for index, viseme in enumerate(found)]
    return list(_changes([*shapes, (SILENCE, end_s)]))


def _atoms(phone: Phone) -> list[Shape]:
    """Returns the letters of a symbol that are sounds, evenly over its time; a blank for a pause."""
    marks = {"Lm", "Mn", "Sk"}
    sounds = [char for char in phone.symbol if unicodedata.category(char) not in marks and char.isalpha()]
    if not sounds:
        is_mark = any(unicodedata.category(char) in marks for char in phone.symbol)
        return [] if is_mark else [(" ", phone.start_s)]
    step_s = (phone.end_s - phone.start_s) / len(sounds)
    return [(sound, phone.start_s + index * step_s) for index, sound in enumerate(sounds)]


def _changes(shapes: Iterable[Shape]) -> Iterable[Shape]:
    last = ""
    for viseme, start_s in shapes:
        if viseme != last:
            yield viseme, start_s
        last = viseme
