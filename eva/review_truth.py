"""What a review makes of what EVA says about herself: her health against her turns, her GPU at work. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from eva.review_facts import CardSeen, Seen
from eva.review_scale import Criterion, State
from services.gateway.chat_protocol import EngineReport

LEAST_BUSY = 0.01
"""Utilisation that is more than a card's idling."""
LEAST_PROCESS_BYTES = 50e6
"""Memory that a stage's workers hold at least, where a model is loaded."""


def health(seen: Seen) -> Criterion:
    """Whether ``/health`` and ``/readyz`` say what the turns show."""
    row = Criterion(name="health", title="Health against truth", of=10, n=len(seen.turns))
    lies, faults = lies_of(seen), faults_of(seen)
    state: State = "blocker" if lies else "short" if faults else "ok"
    return replace(
        row,
        points=0.0 if lies else row.of * (0.5 if faults else 1.0),
        state=state,
        found=f"{seen.after.status}, {'ready' if seen.is_ready else 'not ready'}",
        wanted="says what turns show",
        why="; ".join(lies + faults),
    )


def lies_of(seen: Seen) -> list[str]:
    """Returns where it says better than it is."""
    bad = [turn for turn in seen.turns if turn.is_mute or turn.outcome != "done"]
    lies: list[str] = []
    if bad and seen.after.status == "healthy":
        lies.append(f"healthy, but {len(bad)} of {len(seen.turns)} turns were not heard")
    elif bad and 2 * len(bad) > len(seen.turns) and seen.after.status != "unhealthy":
        lies.append(f"{seen.after.status}, but most turns were not heard")
    if bad and len(bad) == len(seen.turns) and seen.is_ready:
        lies.append("ready, but no turn was heard")
    return lies + sorted({lie for turn in seen.turns for lie in _false_engines(seen, turn.engines)})


def _false_engines(seen: Seen, engines: dict[str, EngineReport]) -> list[str]:
    """Returns the makeshifts that served while their stage was told to be at its best, before and after."""
    lies = []
    for stage, report in engines.items():
        told = [health.stages.get(stage) for health in (seen.before, seen.after)]
        is_praised = all(one is not None and one.state == "ready" and not one.is_degraded for one in told)
        if is_praised and report.is_degraded:
            lies.append(f"{stage} is told to be at its best, and a makeshift ({report.engine}) served")
    return lies


def faults_of(seen: Seen) -> list[str]:
    """Returns where it says worse than it is, or too little."""
    heard = [turn for turn in seen.turns if not turn.is_mute and turn.outcome == "done"]
    faults = []
    if seen.turns and len(heard) == len(seen.turns):
        if seen.after.status == "unhealthy":
            faults.append("unhealthy, though every turn was heard")
        if not seen.is_ready:
            faults.append("not ready, though every turn was heard")
    if seen.after.status != "healthy" and not seen.after.reasons:
        faults.append(f"{seen.after.status}, without a reason")
    return faults


def gpu(seen: Seen) -> Criterion:
    """Whether a GPU that was asked for, or is told to be in use, really worked during the turns."""
    row = Criterion(
        name="gpu", title="GPU really used", of=5, n=max((one.samples for one in seen.cards), default=0)
    )
    stages = seen.after.stages
    asked = {name for name, stage in stages.items() if stage.device_wanted.startswith("cuda")}
    told = {name for name, stage in stages.items() if stage.device.startswith("cuda")}
    row = replace(row, wanted="at work where asked for")
    if not asked | told:
        return replace(row, state="n/a", found="no GPU was asked for")
    if not seen.has_metrics:
        return replace(row, state="blocker", found="unknown", why="/metrics cannot be read")
    problems = [f"{stage} was asked to use a GPU and does not" for stage in sorted(asked - told)]
    for stage in sorted(told):
        problems += _idle(stage, [card for card in seen.cards if card.stage == stage])
    return replace(
        row,
        points=0.0 if problems else row.of,
        state="blocker" if problems else "ok",
        found=", ".join(map(_shown, seen.cards)) or "no figures",
        why="; ".join(problems),
        figures=_figures(seen.cards),
    )


def _idle(stage: str, cards: list[CardSeen]) -> list[str]:
    if not cards:
        return [f"{stage} says that it uses a GPU, and no figure of one is told"]
    if max(card.utilisation or 0.0 for card in cards) < LEAST_BUSY:
        return [f"{stage} says that it uses a GPU, and the card computed nothing during the turns"]
    holds = [card.process_bytes for card in cards if card.process_bytes is not None]
    if holds and max(holds) < LEAST_PROCESS_BYTES:
        return [f"{stage} says that it uses a GPU, and holds no memory of it"]
    return []


def _shown(card: CardSeen) -> str:
    busy = "?" if card.utilisation is None else f"{card.utilisation:.0%}"
    memory = "?" if card.memory_bytes is None else f"{card.memory_bytes / 2**30:.1f} GiB"
    return f"{card.stage} {card.device} {busy} busy, {memory}"


def _figures(cards: list[CardSeen]) -> dict[str, float]:
    busy = [card.utilisation for card in cards if card.utilisation is not None]
    memory = [card.memory_bytes for card in cards if card.memory_bytes is not None]
    figures = {"gpu_idle": round(1 - max(busy), 6)} if busy else {}
    return figures | ({"gpu_memory": max(memory)} if memory else {})
