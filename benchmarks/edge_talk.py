"""What callers of ``benchmarks.edge`` say to each server: how a session begins, and how sound is put. Pure.

All speak 16-bit mono PCM at 24 kHz, 20 ms a frame. A frame begins with a mark and the moment of its sending.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

from eva.bench_frames import BINARY, TEXT

FRAME_S = 0.02
RATE_HZ = 24_000
MARK = b"EVA-echo!"
"""Nine bytes, as the moment behind it with its spare one: whole groups of base64."""
_REST = bytes(2 * int(RATE_HZ * FRAME_S) - 2 * len(MARK))
_MARK64 = base64.b64encode(MARK)


@dataclass(frozen=True, slots=True)
class Step:
    """What is said once the server has said ``after``; empty: at once."""

    after: bytes
    say: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Talk:
    """How one kind of server is spoken to."""

    path: str
    steps: tuple[Step, ...]
    opcode: int
    say: Callable[[int], bytes]
    """Returns a frame that carries a moment, ns."""
    heard: Callable[[bytes], int | None]
    """Returns the moment that a message carries; None: it is no sound of the caller's."""


def sound(at_ns: int) -> bytes:
    """Returns 20 ms that carry a moment."""
    return MARK + at_ns.to_bytes(8, "big") + b"\0" + _REST


def moment(message: bytes) -> int | None:
    """Returns the moment that sound carries, wherever in a message it stands."""
    at = message.find(MARK)
    return int.from_bytes(message[at + 9 : at + 17], "big") if at >= 0 else None


def _say_base64(at_ns: int) -> bytes:
    return b'{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(sound(at_ns)) + b'"}'


def _heard_base64(message: bytes) -> int | None:
    at = message.find(_MARK64)
    return int.from_bytes(base64.b64decode(message[at + 12 : at + 24])[:8], "big") if at >= 0 else None


def _field(number: int, content: bytes) -> bytes:
    """Returns a field of protobuf's that has a length (protobuf.dev/programming-guides/encoding)."""
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


_FORM = bytes((4 << 3,)) + _varint(RATE_HZ) + bytes((5 << 3, 1))


def _say_protobuf(at_ns: int) -> bytes:
    """Returns Pipecat's ``Frame``, whose second kind is ``AudioRawFrame``: sound 3, rate 4, channels 5."""
    return _field(2, _field(3, sound(at_ns)) + _FORM)


_FORM_OF_CHAT = {
    "audio_in": {"rate_hz": RATE_HZ},
    "audio_out": {"format": "pcm", "rate_hz": RATE_HZ},
}
_ASK = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
TALKS = {
    "chat": Talk(
        "/ws/chat",
        (
            Step(b"", (json.dumps({"type": "start", **_FORM_OF_CHAT}),)),
            Step(b'"ready"', (json.dumps({"type": "message", "text": "hello"}),)),
        ),
        BINARY,
        sound,
        moment,
    ),
    "realtime": Talk(
        "/v1/realtime?model=gpt-realtime",
        (
            Step(
                b'"session.created"',
                (
                    _say_base64(0).decode(),  # ears are claimed with the first sound
                    json.dumps({"type": "conversation.item.create", "item": _ASK}),
                    json.dumps({"type": "response.create"}),
                ),
            ),
        ),
        TEXT,
        _say_base64,
        _heard_base64,
    ),
    "protobuf": Talk("/ws", (), BINARY, _say_protobuf, moment),
    "raw": Talk("/ws", (), BINARY, sound, moment),
}
"""``protobuf`` and ``raw`` are Pipecat's: its own serializer, and sound as it is."""
