"""What went wrong with a provider, in our words and for the choice of the next route.

A provider's own words are not repeated in a reason: they may quote the conversation, and reasons are logged.
SDKs wrap some errors of HTTP and let others through, so the whole chain of causes is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from services.llm.engine import Fault, MindFailed
from services.llm.passage import TooMuch
from services.llm.rate_limits import limits_of, retry_after_s

_REFUSED = {401, 403}
_TOO_MANY = 429


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What differs between providers when something goes wrong."""

    engine: str
    errors: tuple[type[Exception], ...]
    """Of the SDK, of the HTTP library below it, and of what cannot be parsed."""
    key_name: str
    """The setting that holds its key."""


def failure(error: Exception, provider: Provider, *, has_begun: bool = False) -> MindFailed:
    """Tells an SDK's error in our words; ``has_begun``: the answer was on its way already."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _of_status(status, getattr(error, "response", None), provider)
    if _is_rate_limit(getattr(error, "body", None)):
        return MindFailed(provider.engine, "has no more for now", fault="rate_limited")
    fault, reason = _cause(error, has_begun=has_begun)
    return MindFailed(provider.engine, reason, fault=fault)


def _of_status(status: int, response: Any, provider: Provider) -> MindFailed:
    headers = response.headers if response is not None else {}
    wait_s, limits = retry_after_s(headers, datetime.now(UTC)), limits_of(headers)
    if status in _REFUSED:
        return MindFailed(
            provider.engine,
            f"{provider.key_name} was refused ({status})",
            fault="refused",
            status=status,
            limits=limits,
            hint=f"put a valid {provider.key_name} into .env and start EVA again",
        )
    return MindFailed(
        provider.engine,
        f"answered {status}",
        fault="rate_limited" if status == _TOO_MANY else "status",
        status=status,
        retry_after_s=wait_s,
        limits=limits,
    )


def _cause(error: Exception, *, has_begun: bool) -> tuple[Fault, str]:
    causes = list(_causes(error))
    names = {type(cause).__name__ for cause in causes}
    if any(isinstance(cause, TooMuch) for cause in causes):
        return "garbage", "sent more than an answer can hold"
    is_garbage = any(isinstance(cause, ValueError | RecursionError) for cause in causes)
    if is_garbage or "APIResponseValidationError" in names:
        return "garbage", "sent something that is no chat completion"
    if names & {"ConnectTimeout", "ConnectError"}:
        return "connect", "could not be reached"
    if any("Timeout" in name for name in names):
        return "timeout", "did not answer in time"
    if not has_begun and any(isinstance(cause, httpx.TransportError) for cause in causes):
        return "connect", "hung up before it answered"
    return "broken", f"stopped ({type(error).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _is_rate_limit(body: object) -> bool:
    """Whether an error in mid-answer says so; SDKs differ in whether they unpack the ``error``."""
    if not isinstance(body, dict):
        return False
    inner = body.get("error")
    told = inner if isinstance(inner, dict) else body
    return "rate_limit_exceeded" in {str(told.get("code")), str(told.get("type"))}
