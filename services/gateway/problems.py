"""Errors over HTTP: all are ``{"error": {"message", "type", "param", "code"}}``, with a fitting status.

It is the shape that OpenAI's clients take apart; ``type`` follows from the status, ``code`` says more.
"""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.gateway.chat_protocol import ErrorEvent
from shared.errors import BadInput, EvaError
from shared.observe import Log

log = Log("eva.gateway")

_STATUS = {
    "invalid_request": 400,
    "unsupported_parameter": 400,
    "unsupported_value": 400,
    "context_length_exceeded": 400,
    "invalid_api_key": 401,
    "forbidden_origin": 403,
    "model_not_found": 404,
    "session_busy": 409,
    "interrupted": 409,
    "stalled": 408,
    "too_large": 413,
    "too_long": 413,
    "unsupported_media_type": 415,
    "rate_limit_exceeded": 429,
    "unreadable_audio": 422,
    "unsupported_language": 422,
    "turn_timeout": 504,
    "llm_slow": 504,
    "broker_lost": 503,
    "busy": 503,
    "draining": 503,
    "llm_unavailable": 503,
    "tts_unavailable": 503,
    "no_responders": 503,
    "no_ears": 503,
    "lost": 503,
    "internal": 500,
}
_FAILED_BEHIND_US = 502
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_RETRY_S = {429: "1", 503: "1"}
"""What a client is told that asks again at once; a limit knows better."""
GONE = 499
"""The client has left; nobody reads this."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    message: str
    type: str
    """``invalid_request_error``, ``authentication_error``, ``permission_error``, ``not_found_error``,
    ``rate_limit_error`` or ``server_error``."""
    param: str | None = None
    """The field at fault."""
    code: str


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error."""

    error: Problem


class TurnFailed(EvaError):
    """A turn that was asked for over HTTP did not end well; ``code`` is the turn's own."""

    def __init__(self, event: ErrorEvent) -> None:
        super().__init__(event.message)
        self.event = event


class RecordingFailed(EvaError):
    """A recording was not transcribed; ``code`` of the event is the worker's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.event = ErrorEvent(code=code, message=message)


class UnsupportedMedia(EvaError):
    """The body says of itself that it is nothing that can be used."""

    code: ClassVar[str] = "unsupported_media_type"


class Unsupported(BadInput):
    """The client asked in good form for something that EVA does not do; names the field."""

    code = "unsupported_value"


class Stalled(EvaError):
    """The body does not come."""

    code: ClassVar[str] = "stalled"


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
    if status in _RETRY_S:
        headers.setdefault("retry-after", _RETRY_S[status])
    return json_response(Body(error=_problem(status, code, message, param)), status, headers)


def of_error(error: EvaError) -> Response:
    """Returns one of our errors as a response."""
    if isinstance(error, ClientGone):
        return Response(status_code=GONE)
    told, wait_s = told_of(error), getattr(error, "retry_after_s", None)
    if isinstance(error, TurnFailed) and error.event.retry_after_ms is not None:
        wait_s = error.event.retry_after_ms / 1000
    headers = None if wait_s is None else {"retry-after": str(max(1, math.ceil(wait_s)))}
    return problem(_status_of(told.code), told.code, told.message, param=told.param, headers=headers)


def told_of(error: EvaError) -> Problem:
    """Returns what is said of an error of ours where the status has been sent already."""
    code = error.event.code if isinstance(error, TurnFailed | RecordingFailed) else error.code
    if isinstance(error, BadInput):
        return _problem(_status_of(code), code, str(error), error.param)
    return _problem(_status_of(code), code, str(error), None)


def _status_of(code: str) -> int:
    return _STATUS.get(code, _FAILED_BEHIND_US)


def _problem(status: int, code: str, message: str, param: str | None) -> Problem:
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return Problem(message=message, type=kind, param=param, code=code)


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

    @app.exception_handler(RequestValidationError)
    async def unreadable(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        return problem(422, "invalid_request", str(first["msg"]), param=param)


def of_defect() -> Response:
    """Returns what is said of a defect of ours."""
    return problem(500, "internal", "something broke inside EVA; it is in the log")
