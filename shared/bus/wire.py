"""What both buses do alike with a message: its bytes, its limit, which subjects it matches. Pure."""

from __future__ import annotations

import re

from shared.errors import BadInput
from shared.messages import Message, encode

MAX_BYTES = 256 * 1024
"""Of one message. A server that gets more than it takes answers with an error, at which the client library
closes for good: so what is too big never leaves this process."""


def pack(message: Message) -> bytes:
    """Returns the bytes of a message.

    Raises:
        BadInput: there are more than ``MAX_BYTES``.
    """
    payload = encode(message)
    check_size(payload)
    return payload


def check_size(payload: bytes) -> None:
    """Raises ``BadInput`` for more than ``MAX_BYTES``."""
    if len(payload) > MAX_BYTES:
        raise BadInput(f"a message may have {MAX_BYTES} bytes, this one has {len(payload)}")


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject falls under a pattern: ``*`` is one token, ``>`` at the end is one or more."""
    wanted, got = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(got) <= len(wanted):
            return False
        got = got[: len(wanted)]
    return len(wanted) == len(got) and all(w in {"*", g} for w, g in zip(wanted, got, strict=True))


def check_key(key: str) -> None:
    """Raises ``BadInput`` unless a bucket can have this key: ASCII letters, digits, ``-``, ``_``, ``=``."""
    if not re.fullmatch(r"[A-Za-z0-9_=-]{1,128}", key):
        raise BadInput("a key has 1 to 128 letters, digits, and - _ =")
