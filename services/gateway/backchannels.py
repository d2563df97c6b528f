"""What people say without wanting the floor ("mm-hm", "d'accord"), and what stops EVA however short. Pure.

Yngve (1970) called them backchannels: signs of listening, which a speaker goes on over. English and French
stand in one list, since people mix them and recognisers mistake one for the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

Words = tuple[str, ...]

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_LISTENING = """
    mm | mmm | mhm | mmhm | mm hm | hm | hmm | hmmm | huh | uh | uh huh | uhuh | um | erm | er | ah | aha
    oh | yeah | yea | yep | yup | yes | ok | okay | kay | right | all right | alright | sure | of course
    i see | i know | i understand | i get it | got it | gotcha | go on | go ahead | good | very good | great
    cool | nice | fine | wow | really | exactly | indeed | true | that's true | that's right | absolutely
    totally | definitely | makes sense | that makes sense | fair enough | interesting | perfect | lovely
    amazing | oui | ouais | ouaip | mouais | d'accord | d accord | hum | euh | heu | hein | bah | ben | bon
    bien | ah bon | tres bien | je vois | je comprends | je sais | c'est ca | c'est vrai | c'est bien
    voila | exact | exactement | tout a fait | bien sur | en effet | effectivement | entendu | compris
    super | genial | parfait | vas y | continue | carrement | evidemment | absolument | vraiment | oh la la
    pas mal | ca marche | ah oui | ca va | interessant | si si
"""
_STOPPING = """
    stop | wait | no | nope | hold on | hang on | pause | quiet | be quiet | enough | shut up | shush | hush
    excuse me | cancel | never mind | nevermind | hey | one moment | one second
    arrete | arretez | attends | attendez | non | tais toi | taisez vous | silence | chut | assez | ca suffit
    pardon | une minute | une seconde | un instant | un moment | annule | laisse tomber
"""
_FAINTLY = "a an the and of to in it i is at as on or he her le la les l un une de des du et en y ou au se"
_FAINT = frozenset(_FAINTLY.split())
"""What recognisers make of breath and coughs; alone they are no words of anybody's."""


def words(text: str) -> Words:
    """Returns the words of a text in small letters, without accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("’", "'"))
    return tuple(_WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter))))


def _phrases(text: str) -> frozenset[Words]:
    return frozenset(tuple(phrase.split()) for line in text.splitlines() for phrase in line.split("|"))


_BACKCHANNELS = _phrases(_LISTENING) - {()}
_STOPS = _phrases(_STOPPING) - {()}
_LONGEST = max(len(phrase) for phrase in _BACKCHANNELS | _STOPS)


def real(heard: Sequence[str]) -> Words:
    """Returns the words that are neither a backchannel nor what a recogniser makes of breath."""
    left = tuple(_without(heard, _BACKCHANNELS))
    return () if all(word in _FAINT for word in left) else left


def is_faint(word: str) -> bool:
    """Whether it is a word that recognisers make of breath as well."""
    return word in _FAINT


def is_backchannel(heard: Sequence[str]) -> bool:
    """Whether there are words, and all of them are backchannels: one, or several in a row."""
    return bool(heard) and not tuple(_without(heard, _BACKCHANNELS))


def may_become_backchannel(heard: Sequence[str]) -> bool:
    """Whether the last words are how a backchannel begins ("je" of "je vois"), nothing real before it."""
    begun = " ".join(_without(heard, _BACKCHANNELS))
    return bool(begun) and any(" ".join(phrase).startswith(begun) for phrase in _BACKCHANNELS)


def has_stop(heard: Sequence[str]) -> bool:
    """Whether a word or phrase is among them that is always meant to stop EVA."""
    return len(tuple(_without(heard, _STOPS))) < len(heard)


def _without(heard: Sequence[str], phrases: frozenset[Words]) -> list[str]:
    """Leaves the phrases out, the longest that fits first."""
    left: list[str] = []
    at = 0
    while at < len(heard):
        for size in range(_LONGEST, 0, -1):
            if at + size <= len(heard) and tuple(heard[at : at + size]) in phrases:
                at += size
                break
        else:
            left.append(heard[at])
            at += 1
    return left
