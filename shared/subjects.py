"""Every subject of the bus. Tokens (``gw``, ``sid``, ``worker``) are opaque; nobody's text is in one."""

from __future__ import annotations

import secrets
import time

from shared.messages import Stage

_ROOT = "eva.v1"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

STT_OPEN = f"{_ROOT}.stt.open"
STT_QUEUE = "stt"
CANCEL_ALL = f"{_ROOT}.cancel.>"
FACTS_ALL = f"{_ROOT}.fact.>"
TAKEN_ALL = f"{_ROOT}.session.*.taken"
SESSIONS_BUCKET = "eva-sessions"


def new_token() -> str:
    """Returns a new ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def mic(worker: str, sid: str) -> str:
    """Microphone frames of one session to the worker that claimed it."""
    return f"{_ROOT}.mic.{worker}.{sid}"


def recording(worker: str, sid: str) -> str:
    """A recording's bytes to the worker that claimed it."""
    return f"{mic(worker, sid)}.file"


def work(stage: Stage, gw: str, sid: str) -> str:
    """A work item of a stage."""
    return f"{_ROOT}.work.{stage}.{gw}.{sid}"


def work_of_stage(stage: Stage) -> str:
    """All work of a stage: what its queue stores."""
    return f"{_ROOT}.work.{stage}.>"


def work_of_gateway(stage: Stage, gw: str) -> str:
    """What a gateway reads along, as its checkpoints."""
    return f"{_ROOT}.work.{stage}.{gw}.*"


def rush(work_subject: str) -> str:
    """Returns where work of the same stage goes past its queue (``shared.bus.rush``).

    Behind it: ``free`` (who is?), ``to.<consumer>`` (an item), ``had`` (the id of one that was given away).
    """
    return f"{_ROOT}.rush.{work_subject.split('.')[3]}"


def taken_up(publisher: str) -> str:
    """Tells who published an item, in a cluster, that somebody has it in hand."""
    return f"{_ROOT}.rush-taken.{publisher}"


def event(gw: str, sid: str, stage: Stage) -> str:
    """What a stage tells a session's gateway."""
    return f"{_ROOT}.evt.{gw}.{sid}.{stage}"


def events_of_gateway(gw: str) -> str:
    """All events for a gateway."""
    return f"{_ROOT}.evt.{gw}.>"


def session_of(subject: str) -> str:
    """Returns the session token of an event or work subject."""
    parts = subject.split(".")
    return parts[5] if parts[2] == "work" else parts[4]


def cancel(gw: str, sid: str) -> str:
    """Cancels of one session, read by all workers."""
    return f"{_ROOT}.cancel.{gw}.{sid}"


def fact(stage: Stage, worker: str) -> str:
    """A worker's facts."""
    return f"{_ROOT}.fact.{stage}.{worker}"


def claim(name: str) -> str:
    """Asks whoever holds a session for it. ``name``: the conversation's own, among gateways."""
    return f"{_ROOT}.session.{name}.claim"


def taken(name: str) -> str:
    """Tells all gateways who holds a session now."""
    return f"{_ROOT}.session.{name}.taken"
