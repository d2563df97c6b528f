"""The frames of RFC 6455 that nearly all messages are: whole, unfragmented. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from websockets.frames import apply_mask  # type: ignore[attr-defined] # in C where it was built

TEXT, BINARY = 1, 2
Message = tuple[int, bytes]
"""``TEXT`` or ``BINARY``, and the content."""
_FINAL = 0x80
_SHORT, _MEDIUM, _LONG = 125, 126, 127
"""The length stands in seven bits; or, behind one of the other two, in 16 or 64 bits (section 5.2)."""
_MEDIUM_HEAD = struct.Struct(">BBH").pack
_WHOLE = {_FINAL | TEXT: TEXT, _FINAL | BINARY: BINARY}


def joined(messages: Iterable[Message]) -> bytes:
    """Returns messages as a server sends them, each in one frame, behind one another."""
    parts: list[bytes] = []
    for kind, content in messages:
        first, size = _FINAL | kind, len(content)
        if size <= _SHORT:
            head = bytes((first, size))
        elif size < 1 << 16:
            head = _MEDIUM_HEAD(first, _MEDIUM, size)
        else:
            head = bytes((first, _LONG)) + size.to_bytes(8, "big")
        parts += (head, content)
    return b"".join(parts)


def whole(data: bytes) -> Message | None:
    """Returns kind and content if a client's bytes are one whole message of 126 to 65,535 bytes, no more.

    None of anything else, and of what is not as it should be: that is for whoever reads all frames.
    """
    size = len(data) - 8
    if size <= _SHORT or data[1] != (_FINAL | _MEDIUM) or int.from_bytes(data[2:4], "big") != size:
        return None
    kind = _WHOLE.get(data[0])
    return None if kind is None else (kind, apply_mask(data[8:], data[4:8]))
