"""Errors over HTTP: ``{"error": {"code", "message", "param"}}`` for everything, with a fitting status."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from services.gateway.chat_protocol import ErrorEvent
from shared.errors import BadInput, EvaError
from shared.observe import Log

log = Log("eva.gateway")

_STATUS = {
    "invalid_request": 400,
    "session_busy": 409,
    "interrupted": 409,
    "too_large": 413,
    "turn_timeout": 504,
    "broker_lost": 503,
    "busy": 503,
    "draining": 503,
    "llm_unavailable": 503,
    "tts_unavailable": 503,
    "no_responders": 503,
    "internal": 500,
}
_FAILED_BEHIND_US = 502
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
GONE = 499
"""The client has left; nobody reads this."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    code: str
    message: str
    param: str | None = None


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error."""

    error: Problem


class TurnFailed(EvaError):
    """A turn that was asked for over HTTP did not end well; ``code`` is the turn's own."""

    def __init__(self, event: ErrorEvent) -> None:
        super().__init__(event.message)
        self.event = event


class SessionBusy(EvaError):
    """The session is in use by another client."""

    code: ClassVar[str] = "session_busy"


class TooLarge(EvaError):
    """The body is longer than any that makes sense."""

    code: ClassVar[str] = "too_large"


class ClientGone(EvaError):
    """The client closed its connection before the answer was there."""

    code: ClassVar[str] = "client_gone"


class Forbidden(EvaError):
    """A web page of a foreign origin."""

    code: ClassVar[str] = "forbidden_origin"


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Returns a value of ours as JSON."""
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def problem(
    status: int, code: str, message: str, *, param: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Returns an error."""
    headers = dict(headers or {})
    if status == 503:
        headers.setdefault("retry-after", "1")
    return json_response(Body(error=Problem(code=code, message=message, param=param)), status, headers)


def of_error(error: EvaError) -> Response:
    """Returns one of our errors as a response."""
    if isinstance(error, ClientGone):
        return Response(status_code=GONE)
    if isinstance(error, Forbidden):
        return problem(403, error.code, str(error))
    code = error.event.code if isinstance(error, TurnFailed) else error.code
    param = error.param if isinstance(error, BadInput) else None
    return problem(_STATUS.get(code, _FAILED_BEHIND_US), code, str(error), param=param)


def install(app: FastAPI) -> None:
    """Makes the application answer every error this way."""

    @app.exception_handler(EvaError)
    async def ours(_request: Request, error: Exception) -> Response:
        assert isinstance(error, EvaError)
        return of_error(error)

    @app.exception_handler(HTTPException)
    async def theirs(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _HTTP_CODES.get(error.status_code, "invalid_request")
        headers = dict(error.headers or {})
        return problem(error.status_code, code, str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    async def defects(_request: Request, _error: Exception) -> Response:
        return problem(500, "internal", "something broke inside EVA; it is in the log")
