"""How much of one server-sent event is kept: a line or an event without end must not fill the memory.

Pure; fed with the bytes as they come. SDKs gather an event until its empty line, however long that takes.
"""

from __future__ import annotations

from typing import Final

MAX_EVENT_BYTES: Final = 262_144
"""A chunk of an answer has a few hundred bytes, one with a whole call of a function some thousand."""
_ENDS: Final = (b"\n\n", b"\r\r", b"\r\n\r\n")
_LAST: Final = b"data: [DONE]", b"data:[DONE]"
_KEPT: Final = 16
"""Bytes that are looked at again, as a mark may come in two pieces; longer than any of them."""


class EventBound:
    """Of one stream."""

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self.is_done = False
        """Whether the mark of the stream's end has come."""
        self._max_bytes = max_bytes
        self._open_bytes = 0
        self._tail = b""

    def feed(self, data: bytes) -> bool:
        """Takes what has come; returns False if an event has become too long."""
        seen = self._tail + data
        end = max((at + len(mark) for mark in _ENDS if (at := seen.rfind(mark)) >= 0), default=0)
        is_ended = end > len(self._tail)
        self._open_bytes = len(seen) - end if is_ended else self._open_bytes + len(data)
        self.is_done = self.is_done or any(mark in seen for mark in _LAST)
        self._tail = seen[-_KEPT:]
        return self._open_bytes <= self._max_bytes
