"""Ids of spoken answers that a later request may name instead of their words. Pure.

Nothing is kept of them: the id holds the words, packed, and the moment until which it may be used, so that
any gateway can read it.
"""

from __future__ import annotations

import base64
import contextlib
import zlib

from shared.errors import BadInput

PREFIX = "audio_"
GOOD_FOR_S = 86_400
MAX_ID_CHARS, MAX_TEXT_BYTES = 32_768, 65_536
_CLOCK_BYTES = 8


def new_id(transcript: str, expires_at: int) -> str:
    """Returns the id of an answer; ``expires_at``: Unix time, seconds."""
    packed = expires_at.to_bytes(_CLOCK_BYTES, "big") + zlib.compress(transcript.encode(), 9)
    return PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def transcript_of(audio_id: str, now_s: float, *, param: str) -> str:
    """Returns the words of an answer. Raises ``BadInput`` where it is no id, or too old."""
    packed = audio_id.removeprefix(PREFIX)
    unpacker, data, words = zlib.decompressobj(), b"", ""
    if packed != audio_id and len(audio_id) <= MAX_ID_CHARS:
        with contextlib.suppress(ValueError, zlib.error):
            data = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
            words = unpacker.decompress(data[_CLOCK_BYTES:], MAX_TEXT_BYTES).decode()
    if not unpacker.eof:
        raise BadInput("this is no id of an answer", param=param)
    if int.from_bytes(data[:_CLOCK_BYTES], "big") < now_s:
        raise BadInput("this answer is too old to be named by its id", param=param)
    return words
