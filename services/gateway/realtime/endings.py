"""How a response ended, from the event that ended its turn. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET

from services.gateway.chat_protocol import ErrorEvent, Interrupted, TurnDone, Usage
from services.gateway.realtime.events import ResponseError, ResponseUsage, StatusDetails

Cut = Literal["turn_detected", "client_cancelled"]
"""Why a response was cancelled: somebody speaks, or the client wants it so."""
Terminal = TurnDone | Interrupted | ErrorEvent
_REASONS: dict[str, Cut] = {
    "speech": "turn_detected",
    "client": "client_cancelled",
    "message": "client_cancelled",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a response ended."""

    status: Literal["completed", "cancelled", "failed", "incomplete"]
    reason: Cut | Literal["max_output_tokens"] | None = None
    code: str = ""
    message: str = ""
    usage: Usage | None = None


def ending_of(event: Terminal, cut: Cut | None) -> Ending:
    """Returns how a response ended. ``cut``: it was cancelled, although the turn may have come to its end."""
    usage = event.usage
    match event:
        case ErrorEvent(code=code, message=message) if cut is None:
            return Ending(status="failed", code=code, message=message, usage=usage)
        case Interrupted(reason="closed") if cut is None:
            message = "the session was closed"
            return Ending(status="failed", code="session_closed", message=message, usage=usage)
        case Interrupted(reason=reason) if cut is None:
            return Ending(status="cancelled", reason=_REASONS[reason], usage=usage)
        case TurnDone(is_cut_short=True) if cut is None:
            return Ending(status="incomplete", reason="max_output_tokens", usage=usage)
        case _ if cut is None:
            return Ending(status="completed", usage=usage)
        case _:
            return Ending(status="cancelled", reason=cut, usage=usage)


def details_of(ending: Ending) -> StatusDetails:
    """Returns the same as it stands on the wire."""
    if ending.status != "failed":
        return StatusDetails(type=ending.status, reason=ending.reason or UNSET)
    error = ResponseError(type="server_error", code=ending.code, message=ending.message)
    return StatusDetails(type="failed", error=error)


def usage_of(usage: Usage | None) -> ResponseUsage:
    """Returns the usage in any case: clients read its sums without asking whether it is there."""
    known = usage or Usage(input_tokens=0, output_tokens=0)
    return ResponseUsage.of(
        input_tokens=known.input_tokens, cached_tokens=known.cached_tokens, output_tokens=known.output_tokens
    )
