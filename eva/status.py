"""How a running EVA is shown: a line per process while it starts, and what serves each stage. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eva.output import columns
from services.gateway.health import Health, RouteHealth, StageHealth

STAGE_NAMES = {"stt": "ears", "llm": "mind", "tts": "voice"}
HEADER = ["process", "pid", "state", "engine", "restarts"]


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """What is known of one process from outside."""

    name: str
    stage: str
    pid: int | None
    state: str
    restarts: int
    reason: str


def process_row(process: ProcessState, health: Health | None) -> list[str]:
    """Returns name, pid, state, engine and device, restarts; a process that died shows why."""
    stage = health.stages.get(process.stage) if health is not None else None
    state, engine = process.state, ""
    if process.state == "running":
        engine = engine_of(stage) if stage is not None else ""
        if stage is not None and stage.state != "absent":
            state = stage.state
        elif process.stage in STAGE_NAMES:
            state = "starting"
    if process.reason and process.state != "running":
        engine = process.reason
    return [process.name, str(process.pid or "-"), state, engine, str(process.restarts)]


def engine_of(stage: StageHealth) -> str:
    """Returns an engine with its model and device, as ``piper en_US-lessac-medium on cpu``."""
    is_named = stage.engine.endswith(f":{stage.model}")  # a route has its model in its name
    name = " ".join(part for part in (stage.engine, "" if is_named else stage.model) if part)
    return f"{name} on {stage.device}" if name and stage.device else name


def is_whole(health: Health) -> bool:
    """Whether EVA is ready, and each of several gateway processes: who comes in next may meet any of them."""
    told = [health.status, *(process.status for process in health.processes.values())]
    return all(status in {"healthy", "degraded"} for status in told)


def hint_of(stage: StageHealth) -> str:
    """Returns the command that gets a better engine; a makeshift never stands without one."""
    return stage.hint or ("eva doctor" if stage.is_degraded else "")


def stage_rows(health: Health) -> list[list[str]]:
    """Returns a table: stage, engine, device, model, and how to get a better one."""
    rows = [["stage", "engine", "device", "model", "to better it"]]
    for name, title in STAGE_NAMES.items():
        stage = health.stages.get(name, StageHealth())
        engine = stage.engine + (" (degraded)" if stage.is_degraded else "")
        rows.append(
            [title, engine or stage.state, stage.device or "-", stage.model or "-", hint_of(stage) or "-"]
        )
    return rows


def route_rows(routes: list[RouteHealth]) -> list[list[str]]:
    """Returns a table: route, state, breaker, quantiles of the first token, rate limits left, why."""
    rows = [["route", "state", "breaker", "p50 ms", "p90 ms", "requests left", "tokens left", "why"]]
    for route in routes:
        told = sum(route.workers.values())
        worst = route.workers.get(route.breaker, 0)
        breaker = route.breaker.replace("_", "-") + (f" at {worst} of {told}" if told > worst else "")
        rows.append([
            route.route, route.state, breaker or "-",
            _number(route.first_token_p50_ms), _number(route.first_token_p90_ms),
            _share(route.requests_left), _share(route.tokens_left),
            " → ".join(filter(None, (route.detail, route.hint))) or "-",
        ])  # fmt: skip
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def announcement(url: str, health: Health, first_turn_ms: float | None) -> list[str]:
    """Returns what ``eva up`` prints when EVA is ready."""
    turn = f", first turn audible after {first_turn_ms:.0f} ms" if first_turn_ms else ""
    return [f"EVA is ready at {url} ({health.status}{turn})", *columns(stage_rows(health))]


def as_json(
    url: str, health: Health, first_turn_ms: float | None, processes: list[ProcessState]
) -> dict[str, Any]:
    """Returns the same for programs."""
    stages = {
        name: {
            "engine": stage.engine,
            "model": stage.model,
            "device": stage.device,
            "is_degraded": stage.is_degraded,
            "hint": hint_of(stage),
        }
        for name, stage in health.stages.items()
    }
    return {
        "url": url,
        "status": health.status,
        "first_turn_ms": first_turn_ms,
        "stages": stages,
        "processes": {process.name: process.pid for process in processes},
    }


def why_not_ready(processes: list[ProcessState], health: Health | None) -> list[str]:
    """Returns sentences that say which part is not ready, and why."""
    dead = [
        f"{process.name} does not stay up ({process.restarts} restarts): {process.reason}"
        for process in processes
        if process.reason and (process.state != "running" or process.restarts > 1)
    ]
    if health is None:
        return [*dead, "The gateway does not answer."]
    return [*dead, *health.reasons] or ["No turn has been audible yet."]
