"""What a review makes of what it has seen: one row for each criterion, 100 points in all. Pure.

A row that does not apply (no GPU was asked for, breaking things was not allowed) has no points to lose: the
score is the share of the points that could be had. A blocker is what an operator must not live with, whatever
the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from msgspec.structs import replace

from eva.review_facts import Seen, TurnSeen
from eva.review_scale import Criterion, latency, percentile, ramp, words_of
from eva.review_sound import audible, said_back, understood
from eva.review_truth import gpu, health

LLM_MS, FIRST_TOKEN_MS, TTS_MS, CONNECT_MS, RESPONSE_MS, AIM_MS = 500, 500, 300, 50, 500, 300
SPREAD_MS = 250.0
"""Between the mind's median and its 95th percentile."""
STOP_MS, STOP_NEVER_MS = 200.0, 1000.0
OVER_MS, OVER_NEVER_MS = 1000.0, 4000.0
"""Somebody speaks into an answer: when it has to be quiet and dropped, and when it is too late for points."""
BACK_S, BACK_NEVER_S = 15.0, 60.0


def judge(seen: Seen) -> list[Criterion]:
    """Returns the scorecard's rows, in their order."""
    typed = [turn for turn in seen.turns if turn.kind == "typed"]
    spoken = [turn for turn in seen.turns if turn.kind == "spoken"]
    return [
        health(seen),
        latency(_row("connect", "WebSocket connect", 5), seen.connects_ms, objective_ms=CONNECT_MS)
        if not seen.connects_failed
        else _row("connect", "WebSocket connect", 5, why=f"{seen.connects_failed} did not open"),
        latency(_row("llm", "Mind: first segment", 10), _minded(seen.turns, "llm_ms"), objective_ms=LLM_MS),
        spread(_minded(seen.turns, "llm_ms")),
        latency(
            _row("first_token", "Mind: first token", 5),
            _minded(seen.turns, "first_token_ms"),
            objective_ms=FIRST_TOKEN_MS,
        ),
        latency(_row("tts", "Voice: first audio", 10), _voiced(seen.turns), objective_ms=TTS_MS),
        _response("typed_response", "End to end, typed", typed),
        _response("response", "End to end, spoken", spoken),
        audible(seen.turns),
        said_back(seen.turns),
        understood(spoken),
        gpu(seen),
        interruption(seen),
        fallback(seen),
        memory(seen),
    ]


def _row(name: str, title: str, of: float, *, why: str = "") -> Criterion:
    """An empty row; with ``why`` it is a blocker."""
    return Criterion(name=name, title=title, of=of, why=why, state="blocker" if why else "ok")


def _response(name: str, title: str, turns: Sequence[TurnSeen]) -> Criterion:
    values = [turn.response_ms for turn in turns if turn.response_ms is not None and not turn.is_mute]
    return latency(_row(name, title, 7.5), values, objective_ms=RESPONSE_MS, aim_ms=AIM_MS)


def _minded(turns: Sequence[TurnSeen], part: str) -> list[float]:
    """A part's times; what was begun ahead of time and was ready took none, and says nothing of the mind."""
    whole = [turn.timeline for turn in turns if turn.outcome == "done" and not turn.timeline.is_speculative]
    return [float(getattr(timeline, part)) for timeline in whole]


def _voiced(turns: Sequence[TurnSeen]) -> list[float]:
    return [
        turn.timeline.tts_ms
        for turn in turns
        if turn.outcome == "done" and not turn.is_mute and not turn.timeline.is_speculative
    ]


def spread(values_ms: Sequence[float]) -> Criterion:
    """How far the mind's slow turns are from its usual ones."""
    row = _row("llm_spread", "Mind: spread", 5)
    if not values_ms:
        return replace(row, state="blocker", found="nothing", why="not one turn has shown it")
    wide = percentile(values_ms, 0.95) - percentile(values_ms, 0.5)
    return replace(
        row,
        points=row.of * ramp(wide, SPREAD_MS, 4 * SPREAD_MS),
        state="ok" if wide <= SPREAD_MS else "short",
        found=f"p95 - p50 = {wide:.0f} ms",
        wanted=f"< {SPREAD_MS:.0f} ms",
        why="" if wide <= SPREAD_MS else "a slow turn feels like another system",
        n=len(values_ms),
        figures={"llm_spread": round(wide / 1000, 6)},
    )


def interruption(seen: Seen) -> Criterion:
    """Whether EVA stops when she is spoken to, how soon, and what she believes was heard of her."""
    row = _row("interruption", "Interruption", 5)
    saw = seen.interruption
    row = replace(row, wanted=f"quiet within {STOP_MS:.0f} ms, heard text kept", n=1)
    if saw.stopped_ms is None or saw.ended_ms is None:
        why = saw.error or "EVA went on speaking over the person"
        return replace(row, state="blocker", found="not interrupted", why=why)
    is_kept = not saw.is_kept_told or is_beginning(saw.kept, saw.text)
    soon = 0.5 * ramp(saw.stopped_ms, STOP_MS, STOP_NEVER_MS)
    over = 0.2 * ramp(saw.ended_ms, OVER_MS, OVER_NEVER_MS)
    points = row.of * (soon + over + (0.3 if is_kept else 0.0))
    problems = [f"quiet only after {saw.stopped_ms:.0f} ms"] if saw.stopped_ms > STOP_MS else []
    problems += [f"dropped only after {saw.ended_ms:.0f} ms"] if saw.ended_ms > OVER_MS else []
    problems += [] if is_kept else ["what is remembered as heard is no beginning of what was said"]
    return replace(
        row,
        points=points,
        state="short" if problems else "ok",
        found=f"quiet after {saw.stopped_ms:.0f} ms, over after {saw.ended_ms:.0f} ms",
        why="; ".join(problems),
        figures={"barge_in": round(saw.stopped_ms / 1000, 6)},
    )


def is_beginning(kept: str, text: str) -> bool:
    """Whether the words that were kept are the first words of the answer."""
    first = words_of(kept)
    return words_of(text)[: len(first)] == first


def fallback(seen: Seen) -> Criterion:
    """Whether a killed worker costs a turn its end, and how soon EVA is whole again."""
    row = _row("fallback", "Fallback", 5)
    row = replace(row, wanted=f"each turn ends; whole again within {BACK_S:.0f} s")
    if seen.breaks is None:
        return replace(row, state="n/a", found="not allowed (--break-things)")
    row = replace(row, n=len(seen.breaks))
    problems = list(
        chain.from_iterable(
            (f"{one.stage}: {problem}" for problem in _broken(one.outcome, one.back_s, one.error))
            for one in seen.breaks
        )
    )
    if problems or not seen.breaks:
        return replace(
            row, state="blocker", found="broken", why="; ".join(problems) or "nothing could be killed"
        )
    slowest = max(one.back_s or 0.0 for one in seen.breaks)
    silent = [one.stage for one in seen.breaks if not one.is_audible]
    share = 0.7 * ramp(slowest, BACK_S, BACK_NEVER_S) + 0.3 * (1 - len(silent) / len(seen.breaks))
    is_ok = slowest <= BACK_S and not silent
    return replace(
        row,
        points=row.of * share,
        state="ok" if is_ok else "short",
        found=f"whole again after {slowest:.1f} s at most",
        why=""
        if is_ok
        else f"not heard in the turn of the loss: {', '.join(silent)}"
        if silent
        else "slow to return",
        figures={"recovery": round(slowest, 3)},
    )


def _broken(outcome: str, back_s: float | None, error: str) -> list[str]:
    problems = [error] if error else []
    problems += ["the turn in flight had no end"] if outcome == "open" and not error else []
    return problems + (["no turn was audible again"] if back_s is None and not error else [])


def memory(seen: Seen) -> Criterion:
    """Whether a conversation knows what it was told, also on another socket."""
    row = _row("memory", "Memory of the session", 5)
    saw = seen.memory
    claims: tuple[tuple[bool, float, str], ...] = (
        (saw.is_known, 0.5, "a name was forgotten within the conversation"),
        (saw.is_resumed, 0.1, "the session was not resumed on a new socket"),
        (saw.is_known_after, 0.4, "a name was forgotten on a new socket"),
    )
    missing = [why for holds, _, why in claims if not holds]
    return replace(
        row,
        points=row.of * sum(share for holds, share, _ in claims if holds),
        state="blocker" if missing else "ok",
        found="forgotten" if missing else "known, also on a new socket",
        wanted="a name that was told",
        why=saw.error or "; ".join(missing),
        n=1,
    )
