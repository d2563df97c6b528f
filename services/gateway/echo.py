"""EVA's own words, come back through the person's microphone. Pure.

Where the client cancels no echo, the ears transcribe what the loudspeaker plays. Such words are, in order,
words that EVA said a moment ago; the recogniser garbles some of them, and the pause that they cause cuts the
last one in two. The longest common subsequence (Wagner & Fischer 1974) of both is taken, with a tolerant
comparison of words. The fewer the words, the stricter: a person may well repeat a word of EVA's.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from services.gateway.backchannels import Words, has_stop
from services.gateway.backchannels import words as words_of

ALIKE = 0.75
"""Two longer words count as one if so much of them agrees (Ratcliff & Obershelp 1988)."""
SHARE = 0.6
"""So many of three or more words must be EVA's …"""
SUSPECTED_SHARE = 0.4
"""… and so many where the sound comes and goes with hers: recognisers garble echoes badly."""
LONG_WORD = 4
"""Letters; a shorter word says nothing about whose it is when it stands alone, and is compared exactly."""
FEW_WORDS = 2
MOST_WORDS = 40
_SPELLED = (
    "zero one two three four five six seven eight nine ten eleven twelve",
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze",
)
_NUMBERS = {
    str(number): {words[number] for words in (words_of(line) for line in _SPELLED)} for number in range(13)
}
"""What EVA writes as a digit comes back as a word."""
_QUESTIONS = "what who whom when where why how which que quoi qui quand comment pourquoi combien quel quelle"
_ASKING = frozenset(_QUESTIONS.split())
"""Who takes EVA's words up again in a question begins with one of these."""


def not_ours(heard: Sequence[str], said: Sequence[str], *, is_suspected: bool = False) -> Words:
    """Returns what the person said: ``heard`` without what is an echo of ``said``; all of it if none is.

    Args:
        heard: in the form of ``backchannels.words``, as ``said``.
        said: EVA's words of the last seconds.
        is_suspected: the sound stopped with EVA's playback and began again with it.
    """
    heard, said = tuple(heard[-MOST_WORDS:]), said[-MOST_WORDS:]
    places = _common(heard, said)
    ours = {place for place, _ in places}
    left = tuple(word for place, word in enumerate(heard) if place not in ours)
    if is_suspected and _may_be_echo(heard, ours) and not has_stop(left):
        return ()
    if not _is_echo(heard, places):
        return heard
    before, behind = heard[: min(ours)], heard[max(ours) + 1 :]
    between = tuple(
        word for place, word in enumerate(heard) if min(ours) < place < max(ours) and place not in ours
    )
    # One garbled word at either end is the recogniser's; between ours all are, unless they stop EVA.
    return (*_unless_garbled(before), *(between if has_stop(between) else ()), *_unless_garbled(behind))


def _is_echo(heard: Words, places: list[tuple[int, int]]) -> bool:
    if not places:
        return False
    reach = places[-1][1] - places[0][1] + 1
    if len(heard) <= FEW_WORDS:
        is_whole = len(places) == len(heard) and reach <= len(heard) + 1
        return is_whole and max(len(word) for word in heard) >= LONG_WORD and not has_stop(heard)
    inside = places[-1][0] - places[0][0] + 1
    return len(places) > FEW_WORDS and len(places) >= SHARE * inside and reach <= 2 * len(places) + 1


def _may_be_echo(heard: Words, ours: set[int]) -> bool:
    """Short words alone prove nothing: everybody says them."""
    has_long = any(len(heard[place]) >= LONG_WORD for place in ours)
    return has_long and len(ours) >= max(FEW_WORDS, SUSPECTED_SHARE * len(heard))


def _unless_garbled(words: Words) -> Words:
    return words if len(words) > 1 or has_stop(words) or not _ASKING.isdisjoint(words) else ()


def _common(heard: Sequence[str], said: Sequence[str]) -> list[tuple[int, int]]:
    """Places of the longest common subsequence, in both; of several the latest."""
    lengths = [[0] * (len(said) + 1) for _ in range(len(heard) + 1)]
    for i, word in enumerate(heard, 1):
        for j, own in enumerate(said, 1):
            best = max(lengths[i - 1][j], lengths[i][j - 1])
            lengths[i][j] = lengths[i - 1][j - 1] + 1 if _alike(word, own) else best
    places: list[tuple[int, int]] = []
    i, j = len(heard), len(said)
    while i and j:
        if lengths[i][j] == lengths[i - 1][j]:
            i -= 1
        elif lengths[i][j] == lengths[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            places.append((i, j))
    return places[::-1]


def _alike(one: str, other: str) -> bool:
    if one == other or one in _NUMBERS.get(other, ()):
        return True
    if min(len(one), len(other)) < LONG_WORD:
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE
