"""How a running EVA is shown: a line per process while it starts, and what serves each stage. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eva.output import columns
from services.gateway.health import Health, StageHealth

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
    name = " ".join(part for part in (stage.engine, stage.model) if part)
    return f"{name} on {stage.device}" if name and stage.device else name


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
