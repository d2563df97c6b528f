"""Manners in both directions: cutting in at the end of a turn, being stopped by what is no interruption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.aims import Aim
from benchmarks.ears_engines import Engine
from benchmarks.figures import Figure, columns, figure
from benchmarks.house import house
from benchmarks.interruptions import SPEAKS_S, Kind, Trial, interrupt, stimuli
from benchmarks.known_words import known

VOICE_AND_MIND = {
    "llm": ["eva.stand_ins", "llm"],
    "tts": ["eva.stand_ins", "tts"],
}


@dataclass(frozen=True, slots=True)
class Manners:
    """What came of what people did while EVA spoke."""

    name: str
    trials: tuple[Trial, ...]

    def of(self, *kinds: Kind) -> list[Trial]:
        """Returns the trials of some kinds."""
        return [trial for trial in self.trials if trial.stimulus.kind in kinds]


async def manners(engine: Engine, languages: Sequence[str], *, each: int) -> Manners:
    """Lets one person for each of ``languages`` do ``each`` things while EVA speaks."""
    shares = [stimuli(language, count=each, seed=number + 1) for number, language in enumerate(languages)]
    path = engine.folder / "stimuli.json"
    known(stimulus.sound for own in shares for stimulus in own).write(path)
    ears = ["services.stt"] if engine.is_real else ["benchmarks.known_ears"]
    environment = {
        "EVA_BENCH_PACED_S": str(SPEAKS_S),
        "EVA_BENCH_KNOWN": str(path),
        "EVA_STT_MODEL": engine.model,
        "EVA_STT_SLOTS": str(len(languages) + 1),
        "EVA_LLM_DISCOVER": "off",
    }
    async with house({"stt": ears, **VOICE_AND_MIND}, environment) as built:
        trials = await interrupt(built.socket_url, shares)
    words = "its own words" if engine.is_real else "words known"
    return Manners(f"{engine.name}, {words}, {'/'.join(sorted(set(languages)))}", tuple(trials))


def verdicts(measured: Sequence[Manners]) -> str:
    """Returns how often the judge was wrong."""
    rows = []
    for each in measured:
        for kind in ("backchannel", "cough", "interruption"):
            trials = each.of(kind)
            stopped = sum(trial.verdict == "stopped" for trial in trials)
            wrong = len(trials) - stopped if kind == "interruption" else stopped
            paused = sum(trial.pause_ms is not None for trial in trials)
            name = f"{each.name}: {kind}s"
            share = f"{100 * wrong / max(1, len(trials)):.1f} %"
            rows.append((name, f"{len(trials)}", f"{paused}", f"{stopped}", f"{wrong}", share))
    return columns(("", "N", "paused", "stopped", "wrong", ""), rows)


def manners_aims(measured: Manners) -> list[Aim]:
    """Returns what is to be reached: a pause within 150 ms, a decision within 600 ms, few wrong ones."""
    shown = {line.name.rpartition(": ")[2]: line for line in times([measured])}
    wrong = [trial.verdict == "stopped" for trial in measured.of("backchannel", "cough")]
    return [
        Aim("(f) first sound → pause, p95", shown["first sound → pause"].p95, 150),
        Aim("(f) pause → decision, p95", shown["pause → decision"].p95, 600),
        Aim(
            "(f) first sound of an interruption → flush, p95",
            shown["first sound of an interruption → flush"].p95,
            750,
        ),
        Aim("(f) stopped by what is no interruption", 100 * sum(wrong) / len(wrong), 5, "%"),
    ]


def times(measured: Sequence[Manners]) -> list[Figure]:
    """Returns how long the pause and the decision took."""
    lines: list[Figure] = []
    for each in measured:
        spoken = each.of("backchannel", "interruption")
        samples = {
            "first sound → pause": [trial.pause_ms for trial in spoken],
            "pause → decision": [trial.decision_ms for trial in each.trials],
            "first sound of an interruption → flush": [trial.stopped_ms for trial in each.of("interruption")],
        }
        for name, values in samples.items():
            there = [value for value in values if value is not None]
            if there:
                lines.append(figure(f"{each.name}: {name}", there))
    return lines
