"""What a client of the Realtime API is told that it did wrong; its code and parameter are OpenAI's. Pure."""

from __future__ import annotations

import msgspec

from shared.errors import BadInput


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The object in an ``error`` event."""

    type: str
    """``invalid_request_error``: the client's mistake; ``server_error``: ours."""
    message: str
    code: str | None = None
    param: str | None = None
    """The path of the parameter at fault: ``session.audio.output.speed``."""
    event_id: str | None = None
    """Of the client's event that this is about."""


class FailureDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why something of EVA's own failed that no event of the client's is to blame for."""

    type: str
    message: str
    code: str


class RealtimeError(BadInput):
    """Theirs: a client's event that cannot be done; the session goes on."""

    def __init__(self, message: str, *, code: str, param: str | None = None, event_id: str = "") -> None:
        super().__init__(message, param=param)
        self.detail = ErrorDetail(
            type="invalid_request_error",
            message=message,
            code=code,
            param=param,
            event_id=event_id or None,
        )

    def of(self, event_id: str | None) -> ErrorDetail:
        """Returns the detail as an answer to this event of the client's."""
        return msgspec.structs.replace(self.detail, event_id=event_id or self.detail.event_id)


def invalid_value(param: str, message: str) -> RealtimeError:
    """Returns the error for a value that is not among the possible ones."""
    return RealtimeError(message, code="invalid_value", param=param)


def missing(param: str) -> RealtimeError:
    """Returns the error for a parameter that is needed."""
    return RealtimeError(
        f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )
