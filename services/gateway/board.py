"""What the gateway knows about all of EVA, each fact with its age, and the judgement of it. Pure.

Nothing here is a constant that says "healthy": a stage is up while a ready worker has been heard of within
3 s, and EVA is up while whole turns, real ones or the canary's, have lately produced audible sound.
Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from services.gateway.health import Health, RecentTurns, RouteHealth, StageHealth, Status, TurnHealth
from services.gateway.mind_routes import routes_of, troubles
from services.gateway.turn_io import TurnReport
from shared.gpu_metrics import Card, cards_of
from shared.messages import EngineFact, Facts, Stage

SILENT_S = 3.0
"""A worker that has said nothing for so long is gone."""
LOST_S = 15.0
"""So long a worker that vanished without a farewell is reported."""
RECENT_S = 60.0
AUDIBLE_RATIO = 0.98
MUTE_IN_A_ROW = 2
DATABASE_STALE_S = 10.0
MAX_TURNS = 1000
STAGES: tuple[Stage, ...] = ("stt", "llm", "tts")
_ORDER = ("ready", "degraded", "starting", "draining", "failed")
_NAMES: dict[str, str] = {"stt": "ears (stt)", "llm": "mind (llm)", "tts": "voice (tts)"}

Proof = Literal["audible", "mute", "none"]
Outlook = Literal["busy", "starting", "gone", "unknown"]


@dataclass(frozen=True, slots=True)
class _Heard:
    facts: Facts
    at: float


@dataclass(frozen=True, slots=True)
class _Turn:
    at: float
    is_audible: bool


class Board:
    """Facts in, judgement out."""

    def __init__(self, *, version: str = "") -> None:
        self.is_broker_up = False
        self._version = version
        self._workers: dict[tuple[Stage, str], _Heard] = {}
        self._database: tuple[bool, float] | None = None
        self._turns: deque[_Turn] = deque(maxlen=MAX_TURNS)
        self._last_outcome = ""
        self._audible_at: float | None = None
        self._response_ms: float | None = None
        self._mute_in_a_row = 0

    def hear(self, facts: Facts, now: float) -> None:
        """Takes a worker's facts."""
        self._workers[facts.stage, facts.worker] = _Heard(facts, now)
        for key, heard in list(self._workers.items()):
            if now - heard.at > SILENT_S + LOST_S:
                del self._workers[key]

    def database_answered(self, is_answered: bool, now: float) -> None:  # noqa: FBT001 - one fact, one flag
        """Takes the result of a look into the store."""
        self._database = (is_answered, now)

    def turn_over(self, report: TurnReport, now: float) -> None:
        """Takes the end of a turn, real or the canary's."""
        self._last_outcome = report.outcome if not report.code else f"{report.outcome}: {report.code}"
        if not report.wanted_audio or report.outcome == "interrupted":
            return
        self._turns.append(_Turn(now, report.outcome == "completed" and report.has_audio))
        proof = prove(report)
        if proof == "audible":
            self._audible_at, self._mute_in_a_row = now, 0
            self._response_ms = report.timeline.response_ms
        elif proof == "mute":
            self._mute_in_a_row += 1

    def canary_failed(self, reason: str, now: float) -> None:
        """The canary's turn did not even end: as mute as can be."""
        self._last_outcome = f"failed: {reason}"
        self._turns.append(_Turn(now, is_audible=False))
        self._mute_in_a_row += 1

    @property
    def was_audible(self) -> bool:
        """Whether the last proof of sound stands."""
        return self._audible_at is not None and self._mute_in_a_row == 0

    def idle_s(self, now: float) -> float:
        """Seconds since the last audible turn; infinite if there was none."""
        return float("inf") if self._audible_at is None else now - self._audible_at

    def is_up(self, stage: Stage, now: float) -> bool:
        """Whether a worker of the stage is ready."""
        return any(heard.facts.state in {"ready", "degraded"} for heard in self._alive(stage, now))

    def outlook(self, stage: Stage, now: float) -> Outlook:
        """Returns why nobody of the stage takes anybody in, as far as that is known."""
        states = [(heard.facts.state, heard.facts) for heard in self._alive(stage, now)]
        serving = [facts for state, facts in states if state in {"ready", "degraded"}]
        if serving:
            return "busy" if all(facts.busy >= facts.slots for facts in serving) else "unknown"
        return "starting" if any(state in {"starting", "draining"} for state, _ in states) else "gone"

    def routes(self, now: float) -> list[RouteHealth]:
        """Returns the routes to a language model, as the workers that live have learnt them."""
        return routes_of(heard.facts.engines for heard in self._alive("llm", now))

    def cards(self, now: float) -> list[Card]:
        """Returns the GPUs of the workers that live."""
        return cards_of(heard.facts for stage in STAGES for heard in self._alive(stage, now))

    def report(self, now: float) -> Health:
        """Returns the judgement."""
        stages: dict[str, StageHealth] = {stage: self._stage(stage, now) for stage in STAGES}
        broken, weak = self._broken(stages), self._weak(stages, now)
        status: Status = "unhealthy" if broken else "degraded" if weak else "healthy"
        serving = {stage: state.engine for stage, state in stages.items() if state.workers}
        age = None if self._audible_at is None else round(now - self._audible_at, 1)
        return Health(
            status=status,
            groq=serving.get("llm", "").partition(":")[0] == "groq",
            whisper="whisper" in serving.get("stt", ""),
            tts="tts" in serving and self.was_audible,
            database=self._is_database_up(now),
            broker=self.is_broker_up,
            gpu=any(stage.device.startswith("cuda") for stage in stages.values() if stage.workers),
            stages=stages,
            turn=TurnHealth(
                last_audible_age_s=age,
                last_response_ms=self._response_ms,
                last_outcome=self._last_outcome,
                recent=self._recent(now),
            ),
            reasons=broken + weak,
            version=self._version,
        )

    def _alive(self, stage: Stage, now: float) -> list[_Heard]:
        """Returns the stage's workers that have been heard of lately, the best first."""
        alive = [
            heard for (of, _), heard in self._workers.items() if of == stage and now - heard.at <= SILENT_S
        ]
        return sorted(alive, key=lambda heard: _ORDER.index(heard.facts.state))

    def _stage(self, stage: Stage, now: float) -> StageHealth:
        alive = self._alive(stage, now)
        if not alive:
            return StageHealth()
        best = alive[0].facts
        ready = [heard for heard in alive if heard.facts.state in {"ready", "degraded"}]
        engine = serving_engine(best)
        ages = [
            heard.facts.last_success_s + now - heard.at
            for heard in alive
            if heard.facts.last_success_s is not None
        ]
        return StageHealth(
            state=best.state,
            engine=engine.name,
            device=engine.device,
            device_wanted=best.device_wanted,
            model=engine.model,
            model_sha256=engine.model_sha256,
            is_degraded=any(heard.facts.state == "degraded" for heard in ready),
            slots=sum(heard.facts.slots for heard in ready),
            busy=sum(heard.facts.busy for heard in ready),
            workers=len(ready),
            last_success_age_s=round(min(ages), 1) if ages else None,
            hint=next((fact.hint for fact in best.engines if fact.hint), ""),
            engines=best.engines,
            routes=self.routes(now) if stage == "llm" else [],
        )

    def _broken(self, stages: dict[str, StageHealth]) -> list[str]:
        if not self.is_broker_up:
            return ["The broker is not reachable."]
        reasons = [
            f"No worker for the {_NAMES[name]} is ready: {_why(stage)}."
            for name, stage in stages.items()
            if not stage.workers
        ]
        if self._audible_at is None:
            reasons.append("No turn has been audible yet.")
        elif self._mute_in_a_row >= MUTE_IN_A_ROW:
            reasons.append(f"The last {self._mute_in_a_row} turns were mute ({self._last_outcome}).")
        return reasons

    def _weak(self, stages: dict[str, StageHealth], now: float) -> list[str]:
        reasons = []
        for name, stage in stages.items():
            if stage.is_degraded:
                reasons.append(
                    f"The {_NAMES[name]} is served by a lesser engine: {stage.engine}."
                    + (f" To better it: {stage.hint}" if stage.hint else "")
                )
            if stage.workers and stage.device_wanted == "cuda" and not stage.device.startswith("cuda"):
                reasons.append(
                    f"The {_NAMES[name]} was to run on cuda and runs on {stage.device or 'nothing'}."
                )
        mind = stages["llm"]
        reasons += troubles(mind.routes, answering=mind.engine if mind.workers else "")
        reasons += [
            f"A worker for the {_NAMES[stage]} was lost {now - heard.at:.0f} s ago: {worker}."
            for (stage, worker), heard in self._workers.items()
            if self.is_broker_up and self._is_lost(heard, now)
        ]
        if self.is_broker_up and not self._is_database_up(now):
            reasons.append("The store of conversations does not answer; nothing is remembered.")
        recent = self._recent(now)
        if recent.audible < AUDIBLE_RATIO * recent.accepted:
            reasons.append(
                f"{recent.accepted - recent.audible} of {recent.accepted} turns failed in the last minute."
            )
        return reasons

    def _is_lost(self, heard: _Heard, now: float) -> bool:
        is_silent = SILENT_S < now - heard.at <= SILENT_S + LOST_S
        return is_silent and heard.facts.state in {"ready", "degraded"}

    def _is_database_up(self, now: float) -> bool:
        return (
            self._database is not None and self._database[0] and now - self._database[1] <= DATABASE_STALE_S
        )

    def _recent(self, now: float) -> RecentTurns:
        recent = [turn for turn in self._turns if now - turn.at <= RECENT_S]
        return RecentTurns(accepted=len(recent), audible=sum(turn.is_audible for turn in recent))


def prove(report: TurnReport) -> Proof:
    """Returns what a turn proves: an apology, or a text that the mind had no part in, proves nothing."""
    if not report.has_audio:
        return "mute"
    return "audible" if report.outcome == "completed" and "llm" in report.engines else "none"


def serving_engine(facts: Facts) -> EngineFact:
    """Returns the first engine of the chain that serves; an empty one if none does."""
    serving = (engine for engine in facts.engines if engine.state == "serving")
    return next(serving, EngineFact(name="", state="absent"))


def _why(stage: StageHealth) -> str:
    match stage.state:
        case "absent":
            return "none has been heard of in the last seconds"
        case "failed":
            details = [f"{engine.name}: {engine.detail}" for engine in stage.engines if engine.detail]
            return "it failed" + (f" ({'; '.join(details)})" if details else "")
        case state:
            return f"it is {state}"
