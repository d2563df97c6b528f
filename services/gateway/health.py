"""The shape of ``GET /health``. Pure data."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.messages import EngineFact, State

Status = Literal["healthy", "degraded", "unhealthy"]
StageState = State | Literal["absent"]


class StageHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One stage, as its workers have told within the last seconds."""

    state: StageState = "absent"
    """Of its best worker; ``absent``: none has been heard of."""
    engine: str = ""
    """In use; of several workers, that of the best."""
    device: str = ""
    """Really in use."""
    device_wanted: str = ""
    model: str = ""
    model_sha256: str = ""
    is_degraded: bool = False
    slots: int = 0
    busy: int = 0
    workers: int = 0
    """That are ready."""
    last_success_age_s: float | None = None
    """None: never."""
    hint: str = ""
    """How to get a better engine."""
    engines: list[EngineFact] = []


class RecentTurns(msgspec.Struct, frozen=True, kw_only=True):
    """Turns that wanted sound and were not interrupted, in the last minute."""

    accepted: int = 0
    audible: int = 0


class TurnHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What whole turns have proven."""

    last_audible_age_s: float | None = None
    """None: no turn has been audible since this gateway's start."""
    last_response_ms: float | None = None
    """Of the last audible turn: its arrival → first audible audio."""
    last_outcome: str = ""
    recent: RecentTurns = RecentTurns()


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /health``."""

    status: Status
    groq: bool
    """Groq is the mind in use."""
    whisper: bool
    """Whisper is the ears in use."""
    tts: bool
    """A voice is ready and has been audible."""
    database: bool
    """The store of conversations answers."""
    broker: bool
    gpu: bool
    """An engine in use runs on a GPU."""
    stages: dict[str, StageHealth]
    turn: TurnHealth
    reasons: list[str]
    """Why it is not healthy, in plain sentences."""
    version: str = ""
