"""Short-lived secrets for browsers: a server that has a key makes one, and a page connects with it.

A client secret (``POST /v1/realtime/client_secrets``, as OpenAI's) opens one WebSocket session, within the
time that it is given, for the key that made it, from the origin that was named, with the session
configuration that was sent. It works at every gateway; that it works once is a compare-and-set in the store,
which knows only its hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import msgspec

from services.gateway.keys_offered import InvalidKey
from services.gateway.origins import read_origin, spell
from shared.bus import Bucket, Bus, Conflict
from shared.errors import BadInput, BusDown
from shared.keys import CLIENT_SECRET_PREFIX, digest_of, new_secret
from shared.subjects import new_token

SECRETS_BUCKET = "eva-client-secrets"
SHORTEST_S, LONGEST_S, USUAL_S = 10, 7200, 60
KEPT_S = LONGEST_S + 3600.0
"""So long is still told apart what was used or has ended from what never was."""
PATH = "/v1/realtime/client_secrets"


class SecretExpired(InvalidKey):
    """The time to connect with a client secret is over."""

    code: ClassVar[str] = "client_secret_expired"


class SecretUsed(InvalidKey):
    """A client secret opens one session."""

    code: ClassVar[str] = "client_secret_used"


class SecretElsewhere(InvalidKey):
    """A client secret was made for pages of another origin."""

    code: ClassVar[str] = "client_secret_wrong_origin"


class ExpiresAfter(msgspec.Struct, frozen=True):
    """How long there is time to connect."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = USUAL_S


class SecretWish(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/realtime/client_secrets``."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: dict[str, Any] | None = None
    """As in ``session.update``; it holds from the beginning of the session."""
    origin: str | None = None
    """Of the only pages that may use it; without it, the origin of this request, if it has one."""


class SecretMade(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``POST /v1/realtime/client_secrets``."""

    value: str
    expires_at: int
    """Seconds since 1970."""
    session: dict[str, Any]


class SecretRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a client secret, under its hash."""

    key_id: str
    origin: str = ""
    expires_at: float
    session: dict[str, Any] = msgspec.field(default_factory=dict)
    is_used: bool = False


_decoder = msgspec.msgpack.Decoder(SecretRecord)
_encoder = msgspec.msgpack.Encoder()


def check(record: SecretRecord, origin: str | None, now: float) -> None:
    """Raises ``SecretUsed``, ``SecretExpired`` or ``SecretElsewhere`` unless it opens a session now. Pure."""
    if record.is_used:
        raise SecretUsed("this client secret was used: each opens one session")
    if now >= record.expires_at:
        raise SecretExpired("the time to connect with this client secret is over: make a new one")
    place = read_origin((origin or "").lower())
    if record.origin and (place is None or record.origin != spell(place)):
        raise SecretElsewhere("this client secret was made for pages of another origin")


def spelled(origin: str | None) -> str:
    """Returns an origin in one spelling; "" for none. Raises ``BadInput`` if it cannot be one."""
    if not origin:
        return ""
    place = read_origin(origin.lower())
    if place is None:
        raise BadInput("an origin has a scheme and a host, as https://app.example", param="origin")
    return spell(place)


class ClientSecrets:
    """The client secrets of all gateways."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._bus: Bus | None = None
        self._opened: Bucket | None = None

    def use(self, bus: Bus) -> None:
        """From now on there is a store."""
        self._bus = bus

    async def make(self, key_id: str, wish: SecretWish, origin: str | None) -> SecretMade:
        """Returns a new secret; ``origin``: of the request. Raises ``BadInput``, ``BusDown``."""
        seconds = wish.expires_after.seconds
        if not SHORTEST_S <= seconds <= LONGEST_S:
            raise BadInput(f"from {SHORTEST_S} to {LONGEST_S}", param="expires_after.seconds")
        session = {"type": "realtime", **(wish.session or {})}
        if session["type"] not in {"realtime", "transcription"}:
            raise BadInput("`realtime` or `transcription`", param="session.type")
        value, expires_at = new_secret(CLIENT_SECRET_PREFIX), int(self._clock()) + seconds
        record = SecretRecord(
            key_id=key_id, origin=spelled(wish.origin or origin), expires_at=expires_at, session=session
        )
        await (await self._bucket()).create(digest_of(value), _encoder.encode(record))
        # What a client is shown has the marks of a session's resource; what is kept is as it was sent.
        shown = {"id": f"sess_{new_token()}", "object": f"realtime.{_kind(session)}", **session}
        return SecretMade(value=value, expires_at=expires_at, session=shown)

    async def claim(self, value: str, origin: str | None) -> SecretRecord:
        """Uses a secret up; returns what it opens.

        Raises:
            InvalidKey: it never was one, or it opens nothing (any more): see ``check``.
            BusDown: that cannot be known now.
        """
        bucket, name = await self._bucket(), digest_of(value)
        entry = await bucket.get_entry(name)
        if entry is None:
            raise InvalidKey("this client secret was never made here, or long ago")
        record = _decoder.decode(entry.value)
        check(record, origin, self._clock())
        used = msgspec.structs.replace(record, is_used=True)
        try:
            await bucket.update(name, _encoder.encode(used), entry.revision)
        except Conflict as error:
            raise SecretUsed("this client secret was used: each opens one session") from error
        return record

    async def _bucket(self) -> Bucket:
        if self._bus is None:
            raise BusDown("client secrets are kept at the broker, which was not reached yet")
        if self._opened is None:
            self._opened = await self._bus.bucket(SECRETS_BUCKET, ttl_s=KEPT_S)
        return self._opened


def _kind(session: Mapping[str, Any]) -> str:
    return "session" if session["type"] == "realtime" else "transcription_session"
