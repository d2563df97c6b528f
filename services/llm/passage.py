"""The HTTP below both SDKs: warm connections, what opening one took, and bounds on what comes.

One client per provider, so that all its routes use the same connections. HTTP/1.1: an answer that is left
before its end costs its connection, which ``Passage.is_whole`` tells, so that a new one can be opened
before the next turn needs it.
"""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

from services.llm.event_bound import EventBound

KEEP_ALIVE_S: Final = 120.0
"""Longer than people pause between two turns: a new TLS connection costs two round trips."""
MAX_BODY_BYTES: Final = 1_048_576
"""Of what is no stream: lists of models, errors."""
_PASSAGE: Final = "eva.passage"


class TooMuch(httpx.ProtocolError):
    """What the provider sends is longer, or packed otherwise, than anything that it may send."""


class Passage:
    """What one request met on its way."""

    def __init__(self) -> None:
        self.connect_s = 0.0
        """What opening a connection took, names and TLS included; 0: a warm one was there."""
        self.is_done = False
        """Whether a stream's mark of its end has come."""
        self.is_whole = False
        """Whether the body was read to its end, so that its connection is there for the next."""
        self._opening_since_s = 0.0

    async def trace(self, event: str, _info: object) -> None:
        """Takes httpcore's events: https://www.encode.io/httpcore/extensions/#trace."""
        if event in {"connection.connect_tcp.started", "connection.start_tls.started"}:
            self._opening_since_s = time.monotonic()
        elif event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self.connect_s += time.monotonic() - self._opening_since_s


def passage_of(response: Any) -> Passage:
    """Returns what the request of an SDK's response met; blank if it did not come through ``http_client``."""
    found = response.request.extensions.get(_PASSAGE)
    return found if isinstance(found, Passage) else Passage()


def http_client(connect_s: float) -> httpx.AsyncClient:
    """Returns a client for one provider. Reading has no limit of time here: it is watched token by token."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(None, connect=connect_s),
        limits=httpx.Limits(
            max_connections=None, max_keepalive_connections=32, keepalive_expiry=KEEP_ALIVE_S
        ),
        verify=_tls(),
        headers={
            "accept-encoding": "identity"
        },  # a packed stream would come in lumps, and unpack to anything
        event_hooks={"request": [_follow], "response": [_bound]},
        follow_redirects=False,  # the key and the words go nowhere but where they were told to
    )


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading all certificates takes tens of milliseconds, so it is done once."""
    return httpx.create_ssl_context()


async def _follow(request: httpx.Request) -> None:
    passage = Passage()
    request.extensions[_PASSAGE] = passage
    request.extensions["trace"] = passage.trace


async def _bound(response: httpx.Response) -> None:
    """Stands in a hook and not in a transport, as httpx leaves its proxies aside for a transport of ours."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TooMuch("packed", request=response.request)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    content_type = response.headers.get("content-type", "")
    response.stream = _BoundedStream(response.stream, response.request, content_type)


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, request: httpx.Request, content_type: str) -> None:
        self._inner = inner
        self._request = request
        self._passage = request.extensions.get(_PASSAGE) or Passage()
        self._is_events = content_type.startswith("text/event-stream")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        bound, total = EventBound(), 0
        async for data in self._inner:
            total += len(data)
            is_fitting = bound.feed(data) if self._is_events else total <= MAX_BODY_BYTES
            if not is_fitting:
                raise TooMuch("too long", request=self._request)
            self._passage.is_done = bound.is_done
            yield data
        self._passage.is_whole = True

    async def aclose(self) -> None:
        await self._inner.aclose()
