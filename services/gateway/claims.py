"""Who holds a session that was opened at two gateways, and what a record says to who takes it up. Pure.

Whoever opens a session that has a name asks first who holds it (``SessionClaim``); the holder ends it and
hands it over. Two that ask at the same moment find nobody; so each tells all that it holds the session, once
it hears the others, and the greater key stays. A key is made when a session is opened (a ULID), so that is
the newer one.
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from services.gateway.chat_protocol import Has
from services.gateway.conversation import Conversation
from shared.messages import Pending, SessionRecord


class Verdict(Enum):
    """What a holder does when another one tells that it holds the same session."""

    YIELD = auto()
    """It is over here."""
    INSIST = auto()
    """Tell them again: they did not hear it."""
    IGNORE = auto()
    """It is our own word."""


def judge(mine: str, theirs: str) -> Verdict:
    """Decides by the keys of both holders."""
    if mine == theirs:
        return Verdict.IGNORE
    return Verdict.YIELD if theirs > mine else Verdict.INSIST


def open_record(
    record: SessionRecord | None, *, now: float, within_s: float, can_go_on: bool
) -> tuple[SessionRecord | None, Pending | None]:
    """Returns the memory, and the turn that is to be gone on with, if there is one and somebody can.

    Who comes back later finds the question, and what they heard of its answer, among what was said.

    Args:
        record: as it was handed over, or lies in the store.
        now: Unix time, seconds.
        within_s: how old a question may be.
        can_go_on: whether this kind of session can.
    """
    if record is None or record.pending is None:
        return record, None
    pending, record = record.pending, msgspec.structs.replace(record, pending=None)
    if can_go_on and abs(now - pending.asked_at) <= within_s:
        return msgspec.structs.replace(record, turns=pending.turn - 1), pending
    return Conversation(record).remember(pending.turn, pending.question, pending.heard), None


def as_told(pending: Pending, has: Has, *, own_id: str) -> Pending:
    """Returns it with the client's account, where its holder is gone and only the client knows.

    ``own_id``: what clients call the turn.
    """
    if has.turn_id != own_id or pending.heard or pending.rest or not has.heard:
        return pending
    return msgspec.structs.replace(pending, heard=has.heard, heard_ms=has.ms)
