"""Handing messages to handlers, so that nothing a message or a handler does can end a subscription.

A handler is a plain function, so no cancellation can land in it; one that raises ``CancelledError`` all
the same (a cancelled future's ``result()``) is treated like any other that raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared.bus import Handler, Responder
from shared.bus.wire import pack
from shared.errors import MalformedMessage
from shared.messages import decode
from shared.observe import Log

log = Log("eva.bus")


@dataclass(kw_only=True)
class Counts:
    """What went wrong on one connection since it was made."""

    malformed: int = 0
    """Payloads that were no message of ours."""
    handler_errors: int = 0
    """Exceptions of handlers, responders and jobs."""
    dropped: int = 0
    """Messages that the client library threw away because a handler was too slow (lower bound)."""


def taker(handler: Handler, counts: Counts) -> Callable[[str, bytes], None]:
    """Returns what gives messages to a handler; whatever goes wrong is counted and logged, never raised."""

    def take(subject: str, payload: bytes) -> None:
        try:
            message = decode(payload)
        except MalformedMessage as error:
            note_malformed(subject, error, counts)
            return
        try:
            handler(subject, message)
        except (Exception, asyncio.CancelledError):  # the outermost loop of a subscription
            counts.handler_errors += 1
            log.exception("bus.handler_failed", subject=subject, type=type(message).__name__)

    return take


def answer(responder: Responder, subject: str, payload: bytes, counts: Counts) -> bytes | None:
    """Returns the bytes of a responder's reply, or None if there is none: the asker's time runs out."""
    try:
        message = decode(payload)
    except MalformedMessage as error:
        note_malformed(subject, error, counts)
        return None
    try:
        return pack(responder(message))
    except (Exception, asyncio.CancelledError):  # the outermost loop of a subscription
        counts.handler_errors += 1
        log.exception("bus.responder_failed", subject=subject, type=type(message).__name__)
        return None


def note_malformed(subject: str, error: MalformedMessage, counts: Counts) -> None:
    """Counts a malformed payload and logs its size, not its content (nor msgspec's reason, which quotes)."""
    counts.malformed += 1
    log.warning("bus.malformed", subject=subject, size_bytes=error.size_bytes)
