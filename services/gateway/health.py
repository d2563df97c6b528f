"""The shape of ``GET /health``. Pure data."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.messages import EngineFact, State

Breaker = Literal["", "closed", "half_open", "open"]
Status = Literal["healthy", "degraded", "unhealthy"]
StageState = State | Literal["absent"]
ProcessStatus = Status | Literal["absent"]


class RouteHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One route to a language model, as the workers of the last seconds have learnt it, each for itself."""

    route: str
    model: str = ""
    state: Literal["serving", "standby", "failed", "absent"] = "absent"
    """At the worker where it does best."""
    breaker: Breaker = ""
    """At the worker where it does worst; empty: none watches it."""
    workers: dict[str, int] = {}
    """How many there are in each state of the breaker."""
    first_token_p50_ms: float | None = None
    """Of its recent turns, at the slowest worker; None: it had none."""
    first_token_p90_ms: float | None = None
    slow_share: float | None = None
    """Of its recent turns, those whose first token came too late, 0..1; at the worst worker."""
    error_share: float | None = None
    requests_left: float | None = None
    """Of the provider's rate limit, 0..1; None: it does not say."""
    tokens_left: float | None = None
    detail: str = ""
    """Why it is not serving, or why its breaker is not closed."""
    hint: str = ""


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
    routes: list[RouteHealth] = []
    """Of the mind: the ways to a language model in their order, all workers together."""


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


class ProcessHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One of several gateway processes."""

    status: ProcessStatus
    """``absent``: it does not answer."""
    sessions: int = 0


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
    processes: dict[str, ProcessHealth] = {}
    """Of all gateway processes behind this address, by name, where there are several; all else is as the one
    that answers sees it."""
