"""Where a client's key may stand, and where not. Pure.

In ``Authorization: Bearer``; in a browser, which cannot set headers of a socket, in the subprotocol
``openai-insecure-api-key.<key>`` beside ``realtime``, which alone is selected, so that the key is not sent
back. Not in the URL: addresses end in the logs of every proxy on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from shared.errors import EvaError
from shared.keys import CLIENT_SECRET_PREFIX, KEY_PREFIX

REALTIME = "realtime"
"""The one subprotocol that is ever selected."""
KEY_PROTOCOL = "openai-insecure-api-key."
_IN_URL = frozenset(
    {"api_key", "api-key", "apikey", "key", "token", "access_token", "client_secret", "authorization"}
)
_SECRET_HEADERS = frozenset({b"authorization", b"sec-websocket-protocol"})
Headers = Iterable[tuple[bytes, bytes]]


class InvalidKey(EvaError):
    """No key, one that does not hold, or one in a place where it must not stand."""

    code: ClassVar[str] = "invalid_api_key"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client brings along."""

    key: str
    """"" where there is none."""
    subprotocol: str | None
    """What may be selected: ``realtime``, if the client offers it."""


def read_offer(headers: Headers, subprotocols: Iterable[str], query: bytes, *, is_asked: bool) -> Offer:
    """Returns the key that a client brings. ``is_asked``: a key is needed here.

    Raises:
        InvalidKey: the key stands in the URL, several differ, or the header holds something else.
    """
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        looks_like_one = value.startswith((KEY_PREFIX, CLIENT_SECRET_PREFIX))
        if looks_like_one or (is_asked and name.lower() in _IN_URL):
            raise InvalidKey(
                "a key in the URL ends in logs, so it is not taken: send `Authorization: Bearer <key>`, or "
                "from a browser the subprotocols `realtime` and `openai-insecure-api-key.<key>`; and make a "
                "new key"
            )
    offered = list(subprotocols)
    found = {name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)}
    for name_, value_ in headers:
        if name_ == b"authorization":
            scheme, _, key = value_.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer":
                found.add(key.strip())
            elif is_asked:
                raise InvalidKey("the Authorization header is to be `Bearer <key>`")
    if len(found) > 1:
        raise InvalidKey("one key, not several that differ")
    return Offer("".join(found), REALTIME if REALTIME in offered else None)


def without_key(headers: Headers, subprotocols: Iterable[str]) -> dict[str, Any]:
    """Returns the parts of a connection's scope that held the key, without it: nobody behind needs it."""
    kept = [name for name in subprotocols if not name.startswith(KEY_PROTOCOL)]
    clean = [(name, value) for name, value in headers if name not in _SECRET_HEADERS]
    if kept:
        clean.append((b"sec-websocket-protocol", ", ".join(kept).encode("latin-1")))
    return {"headers": clean, "subprotocols": kept}
