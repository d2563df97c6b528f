"""API keys: what they look like, and what is kept of them. Pure but for ``new_secret``.

A key is 256 random bits behind a prefix. What is stored is its SHA-256: a slow hash guards *passwords*, which
can be guessed one by one because people choose them; nobody guesses 256 random bits, however fast a guess is
tried, and a slow one would let anybody with wrong keys keep the gateway's processor busy. Keys of a file,
which somebody else has made, must be long enough for the same to hold.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

import msgspec

from shared.errors import BadInput, ConfigError

KEYS_BUCKET = "eva-keys"
KEY_PREFIX = "eva_sk_"
CLIENT_SECRET_PREFIX = "ek_"  # noqa: S105 - what tells one kind of secret from the other
SHORTEST_KEY = 32
"""Of a key in a file, characters: 128 bits in hexadecimal."""
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,62}[^\s\x00-\x1f\x7f])?")


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may use; 0: as much as there is."""

    sessions: int = 0
    """Conversations at a time, of all gateways together."""
    audio_s_per_day: float = 0.0
    """Sound heard and spoken within a day of UTC, seconds."""
    tokens_per_min: int = 0
    """Tokens of the language model, read and written."""


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key, under its id."""

    id: str
    name: str
    digest: str
    """SHA-256 of the key, in hexadecimal."""
    limits: KeyLimits = msgspec.field(default_factory=KeyLimits)
    created_at: float = 0.0
    """Seconds since 1970."""
    revoked_at: float = 0.0
    """As ``created_at``; 0: it holds."""


_decoder = msgspec.msgpack.Decoder(KeyRecord)
_encoder = msgspec.msgpack.Encoder()


def new_secret(prefix: str) -> str:
    """Returns a new secret: the prefix and 256 random bits, in characters that any header may hold."""
    return prefix + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Returns what is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def id_of(secret: str) -> str:
    """Returns the id of a key: it may be shown, and finds the record without a look at the others."""
    return f"key_{digest_of(secret)[:16]}"


def is_secret_of(record: KeyRecord, secret: str) -> bool:
    """Whether this is the record's key, in a time that does not depend on how much of it is right."""
    return hmac.compare_digest(record.digest, digest_of(secret))


def record_of(secret: str, name: str, *, limits: KeyLimits | None = None, now: float = 0.0) -> KeyRecord:
    """Returns what is to be kept of a new key. Raises ``BadInput`` for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        raise BadInput("a key's name has 1 to 64 characters, and no space at its ends", param="name")
    return KeyRecord(
        id=id_of(secret),
        name=name,
        digest=digest_of(secret),
        limits=limits or KeyLimits(),
        created_at=now,
    )


def pack_record(record: KeyRecord) -> bytes:
    """Returns a record's bytes."""
    return _encoder.encode(record)


def read_record(data: bytes) -> KeyRecord | None:
    """Returns a record; None where these bytes are none (a newer EVA's, or damaged: it opens nothing)."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def read_key_file(text: str) -> list[KeyRecord]:
    """Returns the keys of a file: one a line; empty lines and those that begin with ``#`` are none.

    Raises:
        ConfigError: a line is no key, or too short to be safe behind a fast hash; names the line's number.
    """
    records = []
    for number, line in enumerate(text.splitlines(), 1):
        secret = line.strip()
        if not secret or secret.startswith("#"):
            continue
        if len(secret) < SHORTEST_KEY or not re.fullmatch(r"[!-~]+", secret):
            raise ConfigError(
                f"EVA_API_KEYS_FILE: line {number} is no key: {SHORTEST_KEY} or more random characters "
                "without spaces (openssl rand -hex 32 makes one)"
            )
        records.append(record_of(secret, f"line {number} of the keys' file"))
    return records


def find_record(records: Iterable[KeyRecord], name_or_id: str) -> KeyRecord:
    """Returns the one key of this id or name that holds.

    Raises:
        BadInput: there is none, or several have this name.
    """
    holding = [record for record in records if not record.revoked_at]
    found = [record for record in holding if name_or_id in {record.id, record.name}]
    if not found:
        raise BadInput(f"no key that holds has the name or id {name_or_id!r}: see eva keys list")
    if len(found) > 1:
        ids = ", ".join(record.id for record in found)
        raise BadInput(f"{len(found)} keys are called {name_or_id!r}: name one by its id ({ids})")
    return found[0]
