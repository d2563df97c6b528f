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
_MASKED = 0x80
_MASKED_MEDIUM = struct.Struct(">HH4s")
_WHOLE = {(_FINAL | kind) << 8 | _MASKED | _MEDIUM: kind for kind in (TEXT, BINARY)}


def joined(messages: Iterable[Message]) -> bytes:
    """Returns messages as a server sends them, each in one frame, behind one another."""
    parts: list[bytes] = []
    for kind, content in messages:
        size = len(content)
        if _SHORT < size < 1 << 16:
            head = _MEDIUM_HEAD(_FINAL | kind, _MEDIUM, size)
        elif size <= _SHORT:
            head = bytes((_FINAL | kind, size))
        else:
            head = bytes((_FINAL | kind, _LONG)) + size.to_bytes(8, "big")
        parts.append(head)
        parts.append(content)
    return b"".join(parts)


def whole(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """Returns kind and content if a whole message of 126 to 65,535 bytes begins there, and where it ends.

    None of anything else, and of what is not as it should be: that is for whoever reads all frames.
    """
    begin = at + _MASKED_MEDIUM.size
    if len(data) <= begin:
        return None
    head, size, mask = _MASKED_MEDIUM.unpack_from(data, at)
    kind, end = _WHOLE.get(head), begin + size
    if kind is None or size <= _SHORT or end > len(data):
        return None
    return kind, apply_mask(data[begin:end], mask), end
