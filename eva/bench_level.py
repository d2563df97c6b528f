"""What a number of people met, whether EVA carried them, and which number is tried next. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from eva.bench_talk import Met
from eva.review_scale import percentile, percentiles
from shared.errors import BadInput

OBJECTIVE_MS: Final = 500.0
MOST: Final = 1024
"""People that are tried at most, unless told otherwise."""
MOST_EVER: Final = 10_000
ENOUGH: Final = 4
LONGER: Final = 3.0
FEWEST: Final = 20
"""Of fewer answers the 95th percentile is the slowest one: a pause that was left to somebody who was taken to
go on would be told as load. The median judges them."""
LATE_MS, BUSY = 20.0, 0.85
"""From a frame's length of lateness (99th percentile), or from so much of a core on, it is the load
generator that is measured."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What a service's processes, with their children, took while it was measured."""

    cores: float
    """Processor time a second."""
    memory_mib: float
    """Their own, with their share of what several share (PSS), at the end."""


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """How the load generator itself did, at its worst process."""

    late_p99_ms: float = 0.0
    """How much later than planned frames were sent."""
    cores: float = 0.0
    people: int = 0
    """That it could open a conversation for."""

    @property
    def is_limit(self) -> bool:
        """Whether figures say more of it than of EVA."""
        return self.late_p99_ms > LATE_MS or self.cores > BUSY


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """So many people at a time. Times are milliseconds."""

    users: int
    seconds: float
    """How long it was measured."""
    turns: int
    """Questions that ended in this time."""
    ok: int
    """Those whose answer was heard."""
    failures: dict[str, int] = {}
    """Why the others were not: how often."""
    response: dict[str, float] = {}
    """p50, p95, and p99 from 100 answers on."""
    typed: dict[str, float] = {}
    spoken: dict[str, float] = {}
    """Of those who let EVA find the end of what they say."""
    push_to_talk: dict[str, float] = {}
    interruptions: int = 0
    """Questions that were said into an answer, and stopped it."""
    stop_p50_ms: float | None = None
    """First voiced frame of such a one → the answer was held."""
    underruns: int = 0
    """Breaks in answers' sound."""
    underrun_turns: int = 0
    """Answers that had one or more."""
    silence_ms: float = 0.0
    """How long the breaks were, in all."""
    services: dict[str, Use] = {}
    """By stage; empty where EVA is not this command's own."""
    generator: Generator = Generator()

    @property
    def ok_share(self) -> float:
        """0..1; of nothing, 0."""
        return self.ok / self.turns if self.turns else 0.0

    @property
    def judged(self) -> str:
        """By which percentile: that of enough answers, or the median of few."""
        return "p95" if self.ok >= FEWEST else "p50"

    def why_not(self, objective_ms: float) -> str:
        """Returns why EVA did not carry these people; empty: she did."""
        if not self.turns:
            return "nobody was answered"
        if self.failures:
            told = ", ".join(f"{count} × {why}" for why, count in self.failures.items())
            return f"{self.turns - self.ok} of {self.turns} questions failed ({told})"
        if (late_ms := self.response[self.judged]) > objective_ms:
            return f"{self.judged} of the response is {late_ms:.0f} ms"
        return ""


def level_of(
    users: int, seconds: float, met: Sequence[Met], services: Mapping[str, Use], generator: Generator
) -> Level:
    """Returns what came of a number of people; ``met``: the questions that ended while it was measured."""
    failures = Counter(one.outcome for one in met if one.outcome != "ok")
    stops = [one.stopped_ms for one in met if one.stopped_ms is not None]
    broken = [one for one in met if one.underruns]
    return Level(
        users=users,
        seconds=seconds,
        turns=len(met),
        ok=len(met) - failures.total(),
        failures=dict(failures.most_common()),
        response=_responses(met),
        typed=_responses([one for one in met if one.kind == "typed"]),
        spoken=_responses([one for one in met if one.kind == "spoken"]),
        push_to_talk=_responses([one for one in met if one.kind == "push_to_talk"]),
        interruptions=len(stops),
        stop_p50_ms=percentile(stops, 0.5) if stops else None,
        underruns=sum(one.underruns for one in broken),
        underrun_turns=len(broken),
        silence_ms=round(sum(one.silence_ms for one in broken), 1),
        services=dict(services),
        generator=generator,
    )


def _responses(met: Sequence[Met]) -> dict[str, float]:
    return percentiles(
        [one.response_ms for one in met if one.outcome == "ok" and one.response_ms is not None]
    )


def next_users(levels: Sequence[Level], objective_ms: float, most: int = MOST) -> int | None:
    """Returns how many people are tried next: twice as many until they are not carried, then once between.

    None: it is known, or ``most`` were carried.
    """
    if not levels:
        return 1
    carried, last = carried_users(levels, objective_ms), levels[-1].users
    if len(levels) > 1 and last < levels[-2].users:
        return None
    if carried == last:
        return min(2 * last, most) if last < most else None
    middle = (carried + last) // 2
    return middle if middle > carried else None


def seconds_for(users: int, seconds: float) -> float:
    """Returns how long a level is measured: up to three times as long where few people ask few questions."""
    return seconds * max(1.0, min(LONGER, ENOUGH / users))


def carried_users(levels: Sequence[Level], objective_ms: float) -> int:
    """Returns the most people that were carried, fewer than at any level that was not; 0: nobody was."""
    broken = min((one.users for one in levels if one.why_not(objective_ms)), default=math.inf)
    return max((one.users for one in levels if one.users < broken), default=0)


def parse_users(text: str) -> tuple[int, ...]:
    """Returns ``1,5,10`` as numbers in rising order; of nothing, none. Raises ``BadInput``."""
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    if not all(word.isascii() and word.isdigit() and 0 < int(word) <= MOST_EVER for word in words):
        raise BadInput(f"{text!r} are no numbers of people as `1,5,10`, 1 to {MOST_EVER} each", param="users")
    return tuple(sorted({int(word) for word in words}))
