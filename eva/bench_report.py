"""A finished bench: what its levels say, as JSON and as rows; what is worse than a baseline. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from eva.bench_level import Level, carried_users
from eva.review_card import Machine

Engines = Literal["zero-cost", "own", "of the url"]
SERVICES: Final = ("gateway", "stt", "llm", "tts", "broker")
HEADER: Final = [
    "users", "turns", "ok", "p50", "p95", "p99", "typed p50", "spoken p50", "breaks", "stop",
    *SERVICES, "MiB", "late",
]  # fmt: skip
SLOWER, SLOWER_MS = 1.2, 20.0
"""A percentile that is so many times the baseline's, and so many milliseconds later, is a regression."""
FEWER = 0.8
"""So are people carried, if they are less than this share of the baseline's,"""
LESS_OK = 0.005
"""answers heard, if so much of their share is lost,"""
MORE_BREAKS = 0.02
"""answers with a break, if their share grew by so much,"""
HUNGRIER, MORE_CORES, MORE_MIB = 1.2, 0.05, 16.0
"""and cores or memory of a service that are so many times the baseline's and so much more."""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """One bench, as it is saved."""

    at: str
    """ISO 8601, UTC."""
    url: str
    """Empty: an EVA of the command's own."""
    engines: Engines
    served: dict[str, str]
    """What serves each stage."""
    eva_version: str
    machine: Machine
    seed: int
    seconds: float
    """How long each level of four people and more was measured."""
    objective_ms: float
    levels: list[Level]
    """In the order of their trying."""
    took_s: float = 0.0

    @property
    def carried(self) -> int:
        """So many people within the objective, without a failure."""
        return carried_users(self.levels, self.objective_ms)

    @property
    def by_users(self) -> list[Level]:
        """The curve."""
        return sorted(self.levels, key=lambda level: level.users)


def as_json(bench: Bench) -> dict[str, Any]:
    """Returns the bench as it is saved and printed for programs, with what follows from its levels."""
    shown: dict[str, Any] = msgspec.to_builtins(bench)
    shown["levels"] = [
        {
            **msgspec.to_builtins(level),
            "ok_share": round(level.ok_share, 6),
            "why_not": level.why_not(bench.objective_ms),
            "is_generator_the_limit": level.generator.is_limit,
        }
        for level in bench.levels
    ]
    return {"carried": bench.carried, "verdict": verdict(bench), **shown}


def rows(bench: Bench) -> list[list[str]]:
    """Returns the curve, a list of cells for each level; milliseconds, processor time in % of a core."""
    return [row(level) for level in bench.by_users]


def row(level: Level) -> list[str]:
    """Returns a level as ``HEADER`` names its cells; a star says that the load generator was the limit."""
    services = level.services
    memory = sum(use.memory_mib for use in services.values())
    return [
        f"{level.users}{'*' if level.generator.is_limit else ''}",
        str(level.turns),
        f"{100 * level.ok_share:.1f}%",
        *(_ms(level.response.get(name)) for name in ("p50", "p95", "p99")),
        _ms(level.typed.get("p50")),
        _ms(level.spoken.get("p50")),
        str(level.underruns),
        _ms(level.stop_p50_ms),
        *(f"{100 * services[name].cores:.0f}%" if name in services else "-" for name in SERVICES),
        f"{memory:.0f}" if services else "-",
        f"{level.generator.late_p99_ms:.1f}",
    ]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def verdict(bench: Bench) -> str:
    """Returns what the curve says, in a sentence."""
    who = {0: "not one person", 1: "1 person"}.get(bench.carried, f"{bench.carried} people at a time")
    most = next((one for one in bench.levels if one.users == bench.carried), None)
    judged = "p95" if most is None else most.judged
    few = "" if most is None or judged == "p95" else f" (of only {most.ok} answers)"
    told = f"{who} with {judged}{few} within {bench.objective_ms:.0f} ms and no failure"
    over = next((one for one in bench.by_users if one.why_not(bench.objective_ms)), None)
    if over is None:
        return f"{told}; more were not tried"
    fault = " (the load generator was at its limit, too)" if over.generator.is_limit else ""
    return f"{told}; with {over.users}: {over.why_not(bench.objective_ms)}{fault}"


def regressions(before: Bench, now: Bench) -> list[str]:
    """Returns what is worse than in the baseline, a line each."""
    found = []
    if now.carried < FEWER * before.carried:
        found.append(f"people carried: {before.carried} → {now.carried}")
    old = {level.users: level for level in before.levels}
    for level in now.by_users:
        if level.users in old:
            found += [f"{level.users} users: {what}" for what in _worse(old[level.users], level)]
    return found


def _worse(before: Level, now: Level) -> Iterator[str]:
    for name, ms in now.response.items():
        was = before.response.get(name)
        if was is not None and ms > SLOWER * was and ms - was > SLOWER_MS:
            yield f"response {name} {was:.0f} → {ms:.0f} ms"
    if now.ok_share < before.ok_share - LESS_OK:
        yield f"answers heard {before.ok_share:.1%} → {now.ok_share:.1%}"
    was_broken, is_broken = _broken(before), _broken(now)
    if is_broken > was_broken + MORE_BREAKS:
        yield f"answers with breaks {was_broken:.1%} → {is_broken:.1%}"
    for name, use in now.services.items():
        if (last := before.services.get(name)) is not None:
            if use.cores > HUNGRIER * last.cores and use.cores - last.cores > MORE_CORES:
                yield f"{name} {100 * last.cores:.0f} → {100 * use.cores:.0f} % of a core"
            if use.memory_mib > HUNGRIER * last.memory_mib and use.memory_mib - last.memory_mib > MORE_MIB:
                yield f"{name} {last.memory_mib:.0f} → {use.memory_mib:.0f} MiB"


def _broken(level: Level) -> float:
    return level.underrun_turns / max(1, level.turns)


def differences(before: Bench, now: Bench) -> list[str]:
    """Returns what makes two benches hard to compare."""
    pairs: Sequence[tuple[str, object, object]] = (
        ("engines", before.engines, now.engines),
        ("what serves", before.served, now.served),
        ("machine", (before.machine.cpu, before.machine.cores), (now.machine.cpu, now.machine.cores)),
        ("seed", before.seed, now.seed),
        ("seconds", before.seconds, now.seconds),
        ("objective", before.objective_ms, now.objective_ms),
    )
    return [name for name, one, other in pairs if one != other]
