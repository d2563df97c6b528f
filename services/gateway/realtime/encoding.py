"""Writes what EVA sends to a client of the Realtime API, each event under an id of its own. Pure."""

from __future__ import annotations

import itertools

import msgspec

from services.gateway.realtime.event_base import RealtimeEvent
from shared.subjects import new_token

_encoder = msgspec.json.Encoder()
_process = new_token()[-8:]
_numbers = itertools.count(1)


def encode(event: RealtimeEvent) -> bytes:
    """Returns the event as JSON with a fresh ``event_id``; sound is written as base64 in one pass."""
    head = f'{{"event_id":"event_{_process}{next(_numbers):08x}"'.encode()
    frame = bytearray(head)
    _encoder.encode_into(event, frame, len(head))
    frame[len(head)] = ord(",")
    return bytes(frame)
