"""What a review makes of what it heard: energy, length against text, and the words read back. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from eva.review_facts import TurnSeen
from eva.review_scale import Criterion, State, percentile, ramp, word_errors
from eva.wav import AUDIBLE_DBFS

CHARS_A_SECOND = (4.0, 30.0)
"""Speech outside of this is cut off, or mostly silence; people speak 12 to 18 characters in a second."""
LEAST_CHARS = 12
"""Shorter answers say nothing about the pace."""
WER, WER_NEVER = 0.15, 0.7
"""All points up to the first, none from the second on, where it is a blocker too."""


def audible(turns: Sequence[TurnSeen]) -> Criterion:
    """Whether each answer could be heard, and lasts as long as its text."""
    row = Criterion(name="audible", title="Audio really audible", of=10, n=len(turns))
    row = replace(row, wanted=f"every answer above {AUDIBLE_DBFS:.0f} dBFS, as long as its text")
    if not turns:
        return replace(row, state="blocker", found="nothing", why="no turn was had")
    mute = [turn for turn in turns if turn.is_mute or turn.outcome != "done"]
    odd = [turn for turn in turns if turn not in mute and not fits(turn)]
    good = len(turns) - len(mute) - len(odd)
    loudest = max((turn.loudest_dbfs for turn in turns if turn.loudest_dbfs is not None), default=-120.0)
    state: State = "blocker" if mute else "short" if odd else "ok"
    why = ""
    if mute:
        reason = next((turn.error for turn in mute if turn.error), "it held no sound")
        why = f"{len(mute)} of {len(turns)} answers could not be heard: {reason}"
    elif odd:
        why = f"{len(odd)} of {len(turns)} answers do not last as long as their text"
    return replace(
        row,
        points=row.of * good / len(turns),
        state=state,
        found=f"{len(turns) - len(mute)} of {len(turns)} audible, loudest {loudest:.0f} dBFS",
        why=why,
        figures={"mute_share": round(len(mute) / len(turns), 6)},
    )


def fits(turn: TurnSeen) -> bool:
    """Whether the sound lasts about as long as somebody needs to say the text."""
    slowest, fastest = CHARS_A_SECOND
    if len(turn.text) < LEAST_CHARS:
        return turn.audio_s > 0
    return slowest <= len(turn.text) / max(turn.audio_s, 1e-9) <= fastest


def said_back(turns: Sequence[TurnSeen]) -> Criterion:
    """Whether EVA's own ears read in her sound what she meant to say."""
    row = Criterion(name="said_back", title="Answers transcribed back", of=5)
    pairs = [(turn.text, turn.back) for turn in turns if turn.back is not None]
    return _compared(row, pairs, figure="said_back_wer", is_makeshift=_is_makeshift(turns, "stt", "tts"))


def understood(spoken: Sequence[TurnSeen]) -> Criterion:
    """Whether EVA understood what was said to her."""
    row = Criterion(name="understood", title="Speech understood", of=5)
    pairs = [(turn.said, turn.heard) for turn in spoken]
    return _compared(row, pairs, figure="understood_wer", is_makeshift=_is_makeshift(spoken, "stt"))


def _is_makeshift(turns: Sequence[TurnSeen], *stages: str) -> bool:
    """Whether offline engines served: they lose points for what they mishear, but are known for it."""
    return any(turn.engines[stage].is_degraded for turn in turns for stage in stages if stage in turn.engines)


def _compared(
    row: Criterion, pairs: Sequence[tuple[str, str]], *, figure: str, is_makeshift: bool
) -> Criterion:
    row = replace(row, wanted=f"word errors < {WER:.0%}", n=len(pairs))
    if not pairs or not any(got.strip() for _, got in pairs):
        return replace(row, state="blocker", found="no word", why="not one word was recognised")
    rates = [word_errors(wanted, got) for wanted, got in pairs]
    rate = percentile(rates, 0.5)
    state: State = "ok" if rate <= WER else "short"
    why = "" if state == "ok" else f"{rate:.0%} of the words are wrong"
    if state == "short" and is_makeshift:
        why += ", with makeshift engines"
    elif rate >= WER_NEVER:
        state = "blocker"
    return replace(
        row,
        points=row.of * ramp(rate, WER, WER_NEVER),
        state=state,
        found=f"median {rate:.0%}, worst {max(rates):.0%}",
        why=why,
        figures={figure: round(rate, 6)},
    )
