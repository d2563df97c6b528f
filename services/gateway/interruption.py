"""Whether the person who speaks into EVA's turn wants the floor. Pure; times are seconds, durations ms.

EVA falls silent at the first sound and decides afterwards, so that waiting for evidence costs nothing but a
longer pause. In the order of their weight:

- words: one that stops EVA, or enough real ones, is an interruption; backchannels and EVA's own words are
  none. A partial's single word is not trusted, for it is often the beginning of another one;
- time: who still speaks when ``decide_ms`` are over, and has spoken for ``min_speech_ms``, wants the floor.
  A sound that has ended by then, was mostly silence, or has no word in it as far as the ears have listened,
  is let pass: an answer that goes on in error is stopped by the words that follow, while one that was thrown
  away cannot be had back. (LiveKit's agents likewise resume after a false interruption; Pipecat asks for a
  number of words.)

After the answer was let go on, only an interruption can follow: by words, or by time if the sound lasted
through the whole pause. One that stops with EVA's playback and begins again with it is her own echo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.gateway.backchannels import (
    Words,
    has_stop,
    is_backchannel,
    is_faint,
    may_become_backchannel,
    real,
    words,
)
from services.gateway.chat_protocol import BargeIn
from services.gateway.echo import not_ours

Verdict = Literal["interruption", "backchannel", "echo", "noise"]

GOING_ON_MS = 64
"""A silence up to two frames of voice activity still counts as speech that goes on."""
SURE_WORDS = 2
"""So many real words are believed before the speech has paused."""
SUSPECTED_WORDS = 3
"""So many clear ones of a sound that comes and goes with hers."""
ECHO_WORDS = 3
"""So many words of ours are believed to be an echo before the speech has paused."""
AT_LEAST_S = 0.2
"""Time for evidence, however late the first sound was told."""


def weigh(
    text: str, said: Words, *, min_words: int = 1, is_asked: bool = False, is_suspected: bool = False
) -> Verdict:
    """Says what the words alone make of it.

    Args:
        text: what was understood of the person.
        said: words that EVA has said within the last seconds, as ``backchannels.words`` gives them.
        min_words: so many real words are an interruption.
        is_asked: EVA has just asked something, so that "yes" is an answer.
        is_suspected: the sound comes and goes with hers.
    """
    heard = words(text)
    own = not_ours(heard, said, is_suspected=is_suspected)
    if heard and not own:
        return "echo"
    if has_stop(own) or len(own if is_asked else real(own)) >= min_words:
        return "interruption"
    return "backchannel" if is_backchannel(own) or real(own) else "noise"


@dataclass(slots=True, kw_only=True)
class Judge:
    """Weighs one utterance that began while EVA had the floor."""

    barge_in: BargeIn
    turn: int
    """The answer that is spoken into."""
    due_at: float
    """When a verdict is wanted at the latest."""
    is_audible: bool
    """EVA was heard when it began; else the answer was only being made, and time decides nothing."""
    is_asked: bool = False
    hears_herself: bool = False
    """Echo was heard in this session, so speech alone proves nothing."""
    said: Words = ()
    verdict: Verdict | None = None
    _likely: Verdict | None = None
    """What the words so far make of it."""
    _is_wordless: bool = False
    """The ears listened, and understood no word."""
    _weighed_ms: int = 0
    """Speech that the words, or the verdict, account for."""
    _speech_ms: int = 0
    _silence_ms: int = 0
    _has_lasted: bool = False
    """The person still spoke when the answer was let go on."""
    _is_suspected: bool = False
    """The sound had stopped in the pause, and began again with EVA's."""

    def progress(self, speech_ms: int, silence_ms: int) -> Verdict | None:
        """Takes how much was spoken; returns a verdict if there is a new one."""
        self._speech_ms, self._silence_ms = speech_ms, silence_ms
        if self.verdict not in {"noise", "backchannel"} or not self.is_audible or silence_ms > GOING_ON_MS:
            return None
        self._is_suspected |= not self._has_lasted
        return self._decide("interruption") if self._has_lasted and self._goes_on else None

    def weigh(self, text: str) -> Verdict:
        """Says what these words alone make of it."""
        return weigh(
            text,
            self.said,
            min_words=self.barge_in.min_words,
            is_asked=self.is_asked,
            is_suspected=self._is_suspected,
        )

    def words(self, text: str, *, is_settled: bool) -> Verdict | None:
        """Takes what was understood so far.

        Args:
            text: of the whole utterance.
            is_settled: the speech has paused or is over; else the last words may become others.
        """
        likely, heard = self.weigh(text), words(text)
        if likely in {"interruption", "noise"} and not (is_settled or self.is_asked or has_stop(heard)):
            likely = "backchannel" if may_become_backchannel(heard) else likely
        self._likely, self._weighed_ms, self._is_wordless = likely, self._speech_ms, not heard
        if likely == "interruption":
            is_sure = is_settled or has_stop(heard) or self._are_enough(heard)
            return self._decide(likely) if is_sure else None
        is_sure = is_settled or (likely == "echo" and len(heard) >= ECHO_WORDS)
        return self._decide(likely) if is_sure else None

    def overdue(self, now: float) -> Verdict | None:
        """Returns the verdict that is due by now, if it is."""
        if self.verdict is not None or now < self.due_at:
            return None
        if not self.is_audible:
            return self._decide("noise")
        if self._likely != "backchannel" and (self._likely == "echo" or self.hears_herself):
            return self._decide("echo")
        if self._goes_on:
            return self._decide("interruption")
        return self._decide("backchannel" if self._likely == "backchannel" else "noise")

    def _are_enough(self, heard: Words) -> bool:
        """Whether unsettled words are believed: two, and more clear ones of a sound that follows hers."""
        if self._is_suspected:
            return sum(not is_faint(word) for word in real(heard)) >= SUSPECTED_WORDS
        return len(real(heard)) >= SURE_WORDS

    def is_turn(self, text: str) -> bool:
        """Whether the utterance, over now and understood so, is to be answered."""
        likely = self.weigh(text)
        return likely == "interruption" or (self.verdict == "interruption" and likely != "echo")

    @property
    def _goes_on(self) -> bool:
        """Whether the person speaks now, and has for long enough beyond what is accounted for."""
        is_accounted = self._likely == "backchannel" or self._is_wordless
        speech_ms = self._speech_ms - (self._weighed_ms if is_accounted else 0)
        is_long = speech_ms >= self.barge_in.min_speech_ms and not self.hears_herself
        return is_long and self._silence_ms <= GOING_ON_MS

    def _decide(self, verdict: Verdict) -> Verdict | None:
        if self.verdict is not None and verdict != "interruption":
            return None
        if self.verdict == "interruption":
            return None
        self.verdict = verdict
        self._has_lasted = self._silence_ms <= GOING_ON_MS
        return verdict
