"""What of a long utterance is settled: transcribed once and for all, its audio needed no longer. Pure.

The work that is left when a person stops must not grow with how long they spoke, and what another worker
would have to hear again must stay short. So an utterance is cut into pieces: best in a pause that did not end
it; in speech without pauses where two hypotheses in a row agree on the words (LocalAgreement-2: Macháček,
Dabre, Bojar, "Turning Whisper into a Real-Time Transcription System", 2023, arXiv 2307.14743); and where no
words with times are at hand, at the quietest place of the last seconds. Pieces never overlap: each sample is
transcribed for exactly one of them. What was settled before goes along as context.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.stt.engine import RATE_HZ, EngineInfo, Pcm, Word

PROMPT = 200
"""Characters of settled text that go along as context."""
SHORTEST_S = 1.5
"""No piece that was cut within speech is shorter."""
UNSURE_S = 0.4
"""The last words of a hypothesis are still being spoken."""
AROUND_S = 0.12
"""Recognisers place the border of two words no better."""
STEP = RATE_HZ // 50
SMOOTH = 5
"""Steps of 20 ms over which loudness is averaged: a stop consonant is no border."""


@dataclass(frozen=True, kw_only=True)
class SettlePolicy:
    """How much audio a piece has at least when it is settled, seconds."""

    pause_s: float
    """In a pause that did not end the utterance."""
    agree_s: float
    """By the agreement of two hypotheses."""
    limit_s: float
    """Whatever was heard."""


GROWING = SettlePolicy(pause_s=2.0, agree_s=3.0, limit_s=5.0)
"""Each second of audio costs: little may be left at the end."""
FED = SettlePolicy(pause_s=4.0, agree_s=8.0, limit_s=20.0)
"""Decoded while it is spoken."""
WINDOWED = SettlePolicy(pause_s=6.0, agree_s=12.0, limit_s=24.0)
"""A short piece costs as much as a long one, up to 30 s."""


def policy_for(info: EngineInfo | None, *, is_fed: bool) -> SettlePolicy:
    """Returns what suits the engine; ``is_fed``: it decodes while it is spoken."""
    if info is not None and info.is_windowed:
        return WINDOWED
    return FED if is_fed else GROWING


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What stands of an utterance."""

    text: str = ""
    position: int = 0
    """The sample up to which ``text`` goes."""

    @property
    def prompt(self) -> str:
        """The last words, as context for what follows."""
        return self.text if len(self.text) <= PROMPT else self.text[-PROMPT:].partition(" ")[2]

    def add(self, text: str, position: int) -> Settled:
        """Returns it with one more piece, up to ``position``."""
        return Settled(text=joined(self.text, text), position=position)


def joined(before: str, after: str) -> str:
    """Returns both texts in one, with a blank between them where the script has blanks."""
    before, after = before.strip(), after.strip()
    if not before or not after:
        return before or after
    is_dense = (
        unicodedata.east_asian_width(before[-1]) in "WF" and unicodedata.east_asian_width(after[0]) in "WF"
    )
    return f"{before}{'' if is_dense else ' '}{after}"


def agreed(before: Sequence[Word], now: Sequence[Word]) -> int:
    """Returns how many words both hypotheses begin with, whatever their case and punctuation."""
    count = 0
    for earlier, later in zip(before, now, strict=False):
        if _plain(earlier.text) != _plain(later.text):
            break
        count += 1
    return count


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a piece ends, as its two hypotheses agree."""

    text: str
    rest: str
    """What follows, as far as it is known."""
    from_s: float
    """The border lies between here …"""
    to_s: float
    """… and here, seconds of the piece."""


def cut(before: Sequence[Word], now: Sequence[Word], heard_s: float) -> Cut | None:
    """Returns where the agreed words may be cut off: at the longest gap between two of them.

    None: too little is agreed. ``heard_s``: how long the audio of ``now`` is.
    """
    sure = [word for word in now[: agreed(before, now)] if word.end_s <= heard_s - UNSURE_S]
    gaps = [
        (sure[index + 1].start_s - word.end_s, index)
        for index, word in enumerate(sure[:-1])
        if word.end_s >= max(SHORTEST_S, heard_s / 2)
    ]
    if not gaps:
        return None
    _, last = max(gaps)
    left, right = sure[last], sure[last + 1]
    middle_s = (left.end_s + right.start_s) / 2
    return Cut(
        text=_text(now[: last + 1]),
        rest=_text(now[last + 1 :]),
        from_s=min(left.end_s, middle_s - AROUND_S),
        to_s=max(right.start_s, middle_s + AROUND_S),
    )


def quietest(pcm: Pcm, start: int, end: int) -> int:
    """Returns the sample between ``start`` and ``end`` around which it is quietest."""
    first, last = max(0, start) // STEP, min(end, len(pcm)) // STEP
    if last <= first:
        return min(max(start, 0), len(pcm))
    power = np.square(pcm[: len(pcm) // STEP * STEP].reshape(-1, STEP)).mean(axis=1)
    smooth = np.convolve(np.pad(power, SMOOTH // 2, mode="edge"), np.full(SMOOTH, 1 / SMOOTH), mode="valid")
    return (first + int(np.argmin(smooth[first:last]))) * STEP + STEP // 2


def limit(pcm: Pcm, policy: SettlePolicy) -> int:
    """Returns where a piece is cut that has reached the policy's limit; samples."""
    end = int(policy.limit_s * RATE_HZ)
    return quietest(pcm, end - int(min(3.0, policy.limit_s / 2) * RATE_HZ), end)


def _text(words: Sequence[Word]) -> str:
    text = ""
    for word in words:
        text = joined(text, word.text)
    return text


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == "'")
