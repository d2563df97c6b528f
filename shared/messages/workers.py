"""What any worker tells."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.messages.base import Message, Stage, State


class Working(Message, frozen=True, kw_only=True, tag="work.working"):
    """A worker has taken the item up (``beat`` 0) and is at it (each 250 ms)."""

    stage: Stage
    worker: str
    turn: int
    attempt: int
    segment: int = -1
    """-1 for the mind."""
    take: int = 1
    delivery: int = 1
    beat: int = 0


class Failed(Message, frozen=True, kw_only=True, tag="work.failed"):
    """A worker could not do an item; the gateway decides what follows."""

    stage: Stage
    worker: str
    turn: int
    attempt: int
    code: str
    """``expired``, ``engine_failed``, ``redelivered``, ``unsupported_language``, ``needs_tools``,
    ``internal``."""
    message: str
    segment: int = -1
    take: int = 1


class Cancel(Message, frozen=True, kw_only=True, tag="cancel"):
    """To all workers: drop everything of this session up to and including ``turn``."""

    sid: str
    turn: int


class EngineFact(msgspec.Struct, frozen=True, kw_only=True):
    """One engine of a worker's chain, as it was proven at start or has failed since."""

    name: str
    state: Literal["serving", "standby", "failed", "absent"]
    model: str = ""
    model_sha256: str = ""
    device: str = ""
    detail: str = ""
    """Why it is not serving, in one line."""
    hint: str = ""
    """The command that would mend or better it."""
    breaker: Literal["", "closed", "open", "half_open"] = ""
    """Of a route to a provider, as this worker has learnt it."""
    numbers: dict[str, float] = {}
    """Figures of this engine (first token, remaining rate limits…)."""


class Facts(Message, frozen=True, kw_only=True, tag="facts"):
    """What a worker is and does, each second; silence for 3 s means that it is gone."""

    stage: Stage
    worker: str
    state: State
    pid: int
    engines: list[EngineFact] = []
    """In the order of the chain; the first one ``serving`` is in use."""
    device_wanted: str = ""
    slots: int = 0
    busy: int = 0
    done: int = 0
    """Work items completed since start."""
    failed: int = 0
    last_success_s: float | None = None
    """Seconds since the last completed item (warm-up counts); None: never."""
    languages: list[str] = []
    """Languages it serves; empty: any."""
    detail: str = ""
    numbers: dict[str, float] = {}
    """Further figures by name (loop lag, real-time factor…)."""
