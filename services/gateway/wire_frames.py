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


def whole(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """Returns kind and content if a whole message of 126 to 65,535 bytes begins there, and where it ends.

    None of anything else, and of what is not as it should be: that is for whoever reads all frames.
    """
    begin = at + 8
    if len(data) <= begin or data[at + 1] != (_FINAL | _MEDIUM):
        return None
    size = int.from_bytes(data[at + 2 : at + 4], "big")
    end = begin + size
    kind = _WHOLE.get(data[at])
    if size <= _SHORT or end > len(data) or kind is None:
        return None
    return kind, apply_mask(data[begin:end], data[at + 4 : begin]), end
