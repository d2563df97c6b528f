"""The conversations' memory: one record per session in a key-value bucket, with a time to live.

A session belongs to the API key that made it (its ``owner``): each key has session ids of its own, so that
the id of another key's session is one that nobody has used yet, for whoever asks in whatever way.

The bucket is opened at the first use, so a gateway can start before its broker. Erasing holds against a
session that is being talked in: what it would still save is dropped, until it is loaded anew.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

from shared.bus import Bucket, Bus
from shared.errors import BadInput
from shared.messages import SessionRecord
from shared.observe import Log
from shared.subjects import SESSIONS_BUCKET

log = Log("eva.gateway.memory")

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_ERASED = 10_000

_decoder = msgspec.msgpack.Decoder(SessionRecord)
_encoder = msgspec.msgpack.Encoder()


def check_session_id(session_id: str) -> str:
    """Returns the id if it can stand in a key and in a subject.

    Raises:
        BadInput: it has other characters than letters, digits, ``_`` and ``-``, or not 1 to 64 of them.
    """
    if not _SESSION_ID.fullmatch(session_id):
        raise BadInput("a session id has 1 to 64 letters, digits, _ and -", param="session_id")
    return session_id


def name_of(sid: str, owner: str) -> str:
    """Returns what gateways call a session among themselves; fits a key of the store, and one of a subject.

    ``owner``: the id of the API key that it belongs to; "" where no key is asked for.

    Raises:
        BadInput: as ``check_session_id``.
    """
    check_session_id(sid)
    return f"{owner}={sid}" if owner else sid


class Memory:
    """What was said in each session."""

    def __init__(self, bus: Bus, *, ttl_s: float) -> None:
        self._bus = bus
        self._ttl_s = ttl_s
        self._opened: Bucket | None = None
        self._erased: OrderedDict[str, None] = OrderedDict()
        self.malformed = 0
        """Records that could not be read."""

    async def load(self, sid: str, *, owner: str = "") -> SessionRecord | None:
        """Returns the session's memory; None if there is none that can be read. Raises ``BusDown``."""
        name = name_of(sid, owner)
        data = await (await self._bucket()).get(name)
        self._erased.pop(name, None)
        if data is None:
            return None
        try:
            return _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.malformed += 1
            log.error("memory.malformed", sid=sid, size_bytes=len(data))
            return None

    def keep_again(self, sid: str, *, owner: str = "") -> None:
        """The session was handed over, not loaded: what it saves from now on is kept, whatever was erased."""
        self._erased.pop(name_of(sid, owner), None)

    async def save(self, sid: str, record: SessionRecord, *, owner: str = "") -> None:
        """Keeps the session's memory, unless it was erased since it was loaded. Raises ``BusDown``."""
        name = name_of(sid, owner)
        if name in self._erased:
            return
        bucket = await self._bucket()
        await bucket.put(name, _encoder.encode(record))
        if name in self._erased:  # while this was on its way
            await bucket.delete(name)

    async def erase(self, sid: str, *, owner: str = "") -> bool:
        """Erases the session's memory; False if there was none. Raises ``BusDown``."""
        self.keep_no_more(sid, owner=owner)
        return await (await self._bucket()).delete(name_of(sid, owner))

    def keep_no_more(self, sid: str, *, owner: str = "") -> None:
        """The session is being erased, by whomever: what it would still save is dropped."""
        self._erased[name_of(sid, owner)] = None
        if len(self._erased) > MAX_ERASED:
            self._erased.popitem(last=False)

    async def probe(self) -> None:
        """Reads a key that nobody has: the store answers. Raises ``BusDown``."""
        await (await self._bucket()).get("probe")

    async def _bucket(self) -> Bucket:
        if self._opened is None:
            self._opened = await self._bus.bucket(SESSIONS_BUCKET, ttl_s=self._ttl_s)
        return self._opened
