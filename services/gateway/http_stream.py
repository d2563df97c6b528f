"""Answers that are sent while they are being made; their status is known with their first bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from services.gateway.problems import ClientGone, told_of
from shared.errors import EvaError
from shared.observe import Log

log = Log("eva.gateway")

EVENTS_MIME = "text/event-stream"
Write = Callable[[bytes], Awaitable[None]]
Produce = Callable[[Request, Write], Awaitable[None]]
"""Writes the whole answer, piece by piece."""


def server_event(data: object) -> bytes:
    """Returns one server-sent event."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


class Streamed(Response):
    """What ``produce`` writes. An error before its first bytes is an ordinary error.

    Behind them server-sent events end with an event that holds the error; other bytes cannot say it, so the
    connection is broken off: the client sees that something is missing.

    Args:
        produce: writes the answer.
        media_type: of the answer; ``EVENTS_MIME`` for server-sent events.
        late_headers: those that are known with the first bytes only.
    """

    def __init__(
        self,
        produce: Produce,
        *,
        media_type: str,
        late_headers: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._is_events = False
        self._produce, self._late_headers = produce, late_headers
        self.use(media_type)

    def use(self, media_type: str) -> None:
        """Sets the media type, until the first bytes are written."""
        self.headers["content-type"] = media_type
        self._is_events = media_type == EVENTS_MIME
        if self._is_events:
            self.headers["cache-control"] = "no-cache"
            self.headers["x-accel-buffering"] = "no"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer."""
        is_started = False

        async def write(piece: bytes) -> None:
            nonlocal is_started
            if not is_started:
                await send(self._head())
                is_started = True
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        try:
            await self._produce(Request(scope, receive), write)
        except ClientGone:
            log.info("stream.client_gone")
            return
        except EvaError as error:
            if not is_started:
                raise
            log.warning("stream.broken_off", code=told_of(error).code)
            if not self._is_events:
                return
            await write(server_event({"type": "error", "error": told_of(error)}))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _head(self) -> dict[str, object]:
        if self._late_headers is not None:
            self.headers.update(self._late_headers())
        return {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
