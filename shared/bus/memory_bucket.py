"""Buckets of the bus in one process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from shared.bus import Conflict, Entry, Subscription
from shared.bus.wire import check_key, check_size
from shared.errors import BusDown

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Kept:
    entry: Entry
    until: float


@dataclass(eq=False)
class _Watch:
    watches: dict[_Watch, Tell]

    async def close(self) -> None:
        """Tells nothing any more."""
        self.watches.pop(self, None)


class MemoryBucket:
    """Keys and values, with a time to live that is counted anew at each change, or for good."""

    def __init__(self, is_up: Callable[[], bool], ttl_s: float) -> None:
        self._is_up, self._ttl_s = is_up, ttl_s or math.inf
        self._values: dict[str, _Kept] = {}
        self._watches: dict[_Watch, Tell] = {}
        self._revision = 0

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None. Raises ``BusDown``, ``BadInput`` for an impossible key."""
        entry = await self.get_entry(key)
        return None if entry is None else entry.value

    async def get_entry(self, key: str) -> Entry | None:
        """Returns the value with its revision, or None. Raises ``BusDown``, ``BadInput``."""
        check_key(key)
        kept = self._fresh().get(key)
        return None if kept is None else kept.entry

    async def put(self, key: str, value: bytes) -> None:
        """Stores the value. Raises ``BusDown``, ``BadInput`` for an impossible key or more than 256 KiB."""
        self._store(key, value, None)

    async def create(self, key: str, value: bytes) -> int:
        """Stores the value where there is none; returns its revision. Raises ``Conflict``, ``BusDown``."""
        return self._store(key, value, 0)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Replaces this revision of the value; returns the new one. Raises ``Conflict``, ``BusDown``."""
        return self._store(key, value, revision)

    async def delete(self, key: str) -> bool:
        """Erases the value; False if there was none. Raises ``BusDown``, ``BadInput``."""
        check_key(key)
        return self._fresh().pop(key, None) is not None

    async def keys(self) -> list[str]:
        """Returns all keys that have a value, sorted. Raises ``BusDown``."""
        return sorted(self._fresh())

    async def watch(self, tell: Tell) -> Subscription:
        """Calls ``tell`` with the key of each value that may have changed. Raises ``BusDown``."""
        self._fresh()
        watch = _Watch(self._watches)
        self._watches[watch] = tell
        return watch

    def _fresh(self) -> dict[str, _Kept]:
        if not self._is_up():
            raise BusDown("the broker is down")
        now = asyncio.get_running_loop().time()
        self._values = {key: kept for key, kept in self._values.items() if kept.until > now}
        return self._values

    def _store(self, key: str, value: bytes, instead_of: int | None) -> int:
        check_key(key)
        check_size(value)
        values, loop = self._fresh(), asyncio.get_running_loop()
        if instead_of is not None and instead_of != (values[key].entry.revision if key in values else 0):
            raise Conflict(key)
        self._revision += 1
        values[key] = _Kept(Entry(bytes(value), self._revision), loop.time() + self._ttl_s)
        for tell in self._watches.values():
            loop.call_soon(tell, key)
        return self._revision
