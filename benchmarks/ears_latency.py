"""From the last sound of a turn to its final, EVA beside the peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.ears_engines import Engine
from benchmarks.figures import Figure, columns, figure
from benchmarks.listener import Talk, converse, dealt
from benchmarks.speech import turns


@dataclass(frozen=True, slots=True)
class Latency:
    """One engine."""

    engine: Engine
    ours: Talk
    peer: Talk


async def latency(engine: Engine, *, sessions: int, ours: int, peer: int) -> Latency:
    """Lets EVA hear ``ours`` turns and the peer the first ``peer`` of them, in so many sessions at once."""
    said = turns(ours, seed=1)
    async with engine.ours(said) as place:
        by_us = await converse(place, dealt(said, sessions))
    async with engine.peer(said[:peer]) as place:
        by_peer = await converse(place, dealt(said[:peer], sessions))
    return Latency(engine, by_us, by_peer)


def figures(measured: Latency) -> list[Figure]:
    """Returns the whole and its two parts, of both."""
    lines: list[Figure] = []
    for who, talk in (("EVA", measured.ours), ("peer", measured.peer)):
        if not talk.turns:
            continue
        name = f"{measured.engine.name}, {who}"
        lines += [
            figure(f"{name}: speech end → Final", [turn.total_ms for turn in talk.turns]),
            figure(f"{name}: waiting", [turn.last.endpoint_ms for turn in talk.turns]),
            figure(f"{name}: computing", [turn.last.transcribe_ms for turn in talk.turns]),
        ]
    return lines


def shares(measured: Sequence[Latency]) -> str:
    """Returns what is no latency: how often the text was ready, who decided, and what it cost."""
    rows = []
    for each in measured:
        for who, talk in (("EVA", each.ours), ("peer", each.peer)):
            layers = [turn.last.ended_by for turn in talk.turns]
            by = ", ".join(f"{name} {layers.count(name)}" for name in sorted(set(layers)))
            cut = sum(len(turn.finals) > 1 for turn in talk.turns)
            rows.append(
                (
                    f"{each.engine.name}, {who}",
                    f"{len(talk.turns)}",
                    percent(ready(talk)),
                    by if who == "EVA" else "silence (fixed)",
                    f"{cut}",
                    f"{talk.lost}",
                    f"{talk.cpu_s / max(1, len(talk.turns)):.2f}",
                )
            )
    titles = ("", "N", "text ready at the decision", "decided by", "cut in", "lost", "CPU s a turn")
    return columns(titles, rows)


def ready(talk: Talk) -> float:
    """Returns the share of turns whose text was there when the end was decided."""
    return sum(turn.last.was_ready for turn in talk.turns) / max(1, len(talk.turns))


def percent(share: float) -> str:
    """Returns a share for a reader."""
    return f"{100 * share:.1f} %"
