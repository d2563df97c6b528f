"""Which language a session is held in, where nobody said. Pure.

A recogniser that is asked what language a short utterance is in is often wrong, and a sentence in the wrong
language is worse than a word misheard. So the language that was heard clearly once is kept, and another one
takes its place on evidence only: enough speech and a high probability, twice in a row or beyond doubt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

CLEAR, BEYOND_DOUBT = 0.8, 0.95
"""Probability of a language that is evidence; of one that needs no second."""
ENOUGH_S = 1.5
"""Speech that is needed for evidence against what is believed, seconds."""


@dataclass(frozen=True, kw_only=True)
class Detected:
    """What a recogniser made of one utterance."""

    language: str
    probability: float
    speech_s: float
    """Voiced audio that it had."""

    @property
    def is_evidence(self) -> bool:
        """Whether it counts against what is believed."""
        return self.probability >= CLEAR and self.speech_s >= ENOUGH_S


@dataclass(frozen=True, kw_only=True)
class Belief:
    """What is believed of a session; ``heard`` returns what is believed then."""

    language: str = ""
    """ISO 639-1; empty: nothing yet."""
    rival: str = ""
    """Another one that the last evidence spoke for."""

    def choose(self, detected: Detected) -> str:
        """Returns the language in which this utterance is to be understood."""
        return self.heard(detected).language or detected.language

    def heard(self, detected: Detected) -> Belief:
        """An utterance is over in which words were understood."""
        language = detected.language
        if not self.language:
            return Belief(language=language) if detected.probability >= CLEAR else self
        if language == self.language:
            return replace(self, rival="")
        if not detected.is_evidence:
            return self
        if detected.probability >= BEYOND_DOUBT or language == self.rival:
            return Belief(language=language)
        return replace(self, rival=language)
