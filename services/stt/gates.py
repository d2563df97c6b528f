"""Whether a text was said or made up, judged by what the model tells of itself. Pure.

The first gate stands elsewhere: only what the voice activity detector takes for speech gets to an engine.
Then those of Whisper's paper (Radford et al. 2022, section 4.5): silence that is unsure of its words, and
loops, which compress well. Shorter loops are known from windows below 30 s, where the decoder does not find
its end and says the sentence twice; so they are a doubt, to be settled by the full window. Then more words
than a mouth can say, and the known phantoms.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

from services.stt.phantoms import is_annotation, is_courtesy, is_credit, plain

NO_SPEECH = 0.6
MIN_LOGPROB = -1.0
MAX_COMPRESSION = 2.4
WEAK_NO_SPEECH, WEAK_LOGPROB = 0.3, -0.7
"""Beyond these a courtesy is not believed."""
SHORT_SPEECH_S = 0.25
"""Less speech than this holds no word: "oui" takes 0.2 s and its detection begins late."""
LONG_SPEECH_S = 4.0
"""Who speaks for so long says more than a courtesy."""
TOKENS_PER_S = 12
"""Nobody speaks faster in a language of Latin script (6 words or 8 tokens are fast)."""
TOKENS_PER_S_ELSEWHERE = 30
"""Where a letter takes up to three tokens: Hindi, Thai, Burmese."""
TOKENS_FREE = 6
_LATIN = (
    "af az br bs ca cs cy da de en es et eu fi fo fr gl ha haw hr ht hu id is it jw la lb ln lt lv mg mi ms "
    "mt nl nn no oc pl pt ro sk sl sn so sq su sv sw tl tr uz vi yo"
)
LATIN = frozenset(_LATIN.split())
"""Languages of Latin script that Whisper knows (ISO 639-1, or Whisper's own tag)."""

Verdict = Literal["said", "doubtful", "silence", "loop", "phantom"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a decoder tells about a text."""

    text: str
    seconds: float
    """Length of the audio."""
    tokens: int
    no_speech: float = 0.0
    """Probability of ``<|nospeech|>``."""
    logprob: float = 0.0
    """Mean over the tokens, their end included."""
    language: str = "en"
    speech_s: float = 0.0
    """How much of the audio is speech; 0: not known."""


def max_tokens(seconds: float, language: str) -> int:
    """Returns how many tokens so much audio can hold."""
    return TOKENS_FREE + int((TOKENS_PER_S if language in LATIN else TOKENS_PER_S_ELSEWHERE) * seconds)


def judge(evidence: Evidence) -> Verdict:
    """Returns what is to be made of the text.

    ``said``: it stands. ``doubtful``: it may be a loop of the decoder's; it stands if a second look agrees.
    ``loop``: it is wrong, but something was said. ``silence``, ``phantom``: nothing was said.
    """
    text = evidence.text
    if evidence.no_speech > NO_SPEECH and evidence.logprob < MIN_LOGPROB:
        return "silence"
    if is_credit(text) or is_annotation(text):
        return "phantom"
    if is_courtesy(text) and _is_weak(evidence):
        return "phantom"
    raw = text.encode()
    if len(raw) > MAX_COMPRESSION * len(zlib.compress(raw)):
        return "loop"
    if evidence.tokens >= max_tokens(evidence.seconds, evidence.language):
        return "loop"
    return "doubtful" if is_said_twice(text) else "said"


def is_said_twice(text: str) -> bool:
    """Whether the text is one phrase of four words or more, again and again; "no, no, no" is not."""
    words = plain(text).split()
    lengths = (length for length in range(4, len(words) // 2 + 1) if len(words) % length == 0)
    return any(words == words[:length] * (len(words) // length) for length in lengths)


def _is_weak(evidence: Evidence) -> bool:
    is_short = 0 < evidence.speech_s < SHORT_SPEECH_S
    is_long = evidence.speech_s > LONG_SPEECH_S
    return is_short or is_long or evidence.no_speech > WEAK_NO_SPEECH or evidence.logprob < WEAK_LOGPROB
