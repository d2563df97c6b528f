"""The keys that hold: those of the store, which all gateways share, and those of a secret file.

The store is watched, so that a key made or revoked anywhere counts here within a second or two. While the
broker is away, what was last known goes on to hold: nobody is locked out by its restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import NoReturn

from services.gateway.keys_offered import InvalidKey
from shared.bus import Bucket, Bus
from shared.errors import BusDown
from shared.keys import KEYS_BUCKET, KeyRecord, id_of, is_secret_of, read_record
from shared.observe import Log

log = Log("eva.gateway")

LOOK_EVERY_S = 1.0
READ_ALL_EVERY_S = 30.0
"""The net below the watch."""
OnLost = Callable[[frozenset[str]], None]


class KeyRing:
    """Knows which keys hold; ``on_lost`` is told the ids of keys that no longer do."""

    def __init__(self, of_file: Iterable[KeyRecord] = (), *, on_lost: OnLost = lambda _ids: None) -> None:
        self._of_file = {record.id: record for record in of_file}
        self._on_lost = on_lost
        self._stored: dict[str, KeyRecord] | None = None
        """None: the store was never read."""
        self._hinted: set[str] = set()
        self._news = asyncio.Event()

    def find(self, secret: str) -> KeyRecord:
        """Returns the record of a key.

        Raises:
            InvalidKey: it is none that holds; says nothing about why.
            BusDown: that cannot be known yet.
        """
        wanted = id_of(secret)
        record = self._of_file.get(wanted) or (self._stored or {}).get(wanted)
        if record is not None and is_secret_of(record, secret):
            return record
        if self._stored is None:
            raise BusDown("the keys are kept at the broker, which was not reached yet")
        raise InvalidKey("this API key does not hold here")

    def by_id(self, key_id: str) -> KeyRecord | None:
        """Returns the record of a key that holds."""
        return self._of_file.get(key_id) or (self._stored or {}).get(key_id)

    async def run(self, bus: Bus) -> NoReturn:
        """Follows the store until cancelled."""
        was_told = False
        while True:
            try:
                await self._follow(bus)
            except BusDown as error:
                if not was_told:
                    log.warning("keys.not_read", reason=str(error))
                was_told = True
                await asyncio.sleep(LOOK_EVERY_S)

    async def _follow(self, bus: Bus) -> NoReturn:
        """Reads all, then what is hinted at. Raises ``BusDown``: then all is to be read again."""
        bucket = await bus.bucket(KEYS_BUCKET, ttl_s=0)
        watch = await bucket.watch(self._note)
        loop = asyncio.get_running_loop()
        try:
            await self._read_all(bucket)
            read_at, lately = loop.time(), frozenset[str]()
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._news.wait()
                if not bus.is_up:
                    raise BusDown("the broker went away")
                hinted = frozenset(self._hinted)
                self._hinted.clear()
                self._news.clear()
                if loop.time() - read_at > READ_ALL_EVERY_S:
                    await self._read_all(bucket)
                    read_at = loop.time()
                else:
                    await self._read(bucket, hinted | lately)
                lately = hinted  # once more: a hint can come before what it hints at is stored
        finally:
            await watch.close()

    def _note(self, key_id: str) -> None:
        self._hinted.add(key_id)
        self._news.set()

    async def _read_all(self, bucket: Bucket) -> None:
        known = await bucket.keys()
        read = {key_id: await bucket.get(key_id) for key_id in known}
        self._know({key_id: data for key_id, data in read.items() if data is not None})

    async def _read(self, bucket: Bucket, key_ids: frozenset[str]) -> None:
        if key_ids:
            kept = {record.id: record for record in (self._stored or {}).values() if record.id not in key_ids}
            read = {key_id: await bucket.get(key_id) for key_id in key_ids}
            self._know({key_id: data for key_id, data in read.items() if data is not None}, kept)

    def _know(self, read: dict[str, bytes], kept: dict[str, KeyRecord] | None = None) -> None:
        holding = dict(kept or {})
        for key_id, data in read.items():
            record = read_record(data)
            if record is None or record.id != key_id:
                log.error("keys.malformed", key=key_id)
            elif not record.revoked_at:
                holding[key_id] = record
        lost = frozenset(self._stored or {}) - frozenset(holding) - frozenset(self._of_file)
        self._stored = holding
        if lost:
            log.info("keys.lost", keys=",".join(sorted(lost)))
            self._on_lost(lost)
