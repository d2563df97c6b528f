"""A WebSocket client's bytes, made and read by hand (RFC 6455), for load generators. Pure.

A client library would cost more than the gateway does. The mask is zero, which a server has to undo like any
other one.
"""

from __future__ import annotations

from collections.abc import Mapping

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def framed(opcode: int, payload: bytes) -> bytes:
    """Returns a client's frame, masked with zeros; of 65535 bytes at most."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


def unframed(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Returns the whole frames that a server's bytes begin with, as opcode and payload, and the rest."""
    frames, at = [], 0
    while len(data) - at >= 2:
        size, begin = data[at + 1], at + 2
        if size == 126:
            size, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if len(data) < begin + size:
            break
        frames.append((data[at] & 15, data[begin : begin + size]))
        at = begin + size
    return frames, data[at:]


def handshake(host: str, path: str, headers: Mapping[str, str]) -> bytes:
    """Returns the request that opens a WebSocket; ``host`` with its port, if it is not the usual one."""
    fixed = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": _KEY,
        "Sec-WebSocket-Version": "13",
    }
    lines = [f"{name}: {value}" for name, value in (fixed | dict(headers)).items()]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def answered(data: bytes) -> tuple[int, bytes] | None:
    """Returns the status of the answer to a handshake and what came behind its head; None: not all is there.

    0 is the status of what is no HTTP.
    """
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    words = head.split(maxsplit=2)
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit()
    return int(words[1]) if is_http else 0, rest
