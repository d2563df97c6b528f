"""Stores a conversation's memory beside its turns.

Not in line with them: a store that is slow or away would hold the next turn up until nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from shared.errors import BusDown
from shared.messages import SessionRecord
from shared.observe import Log

log = Log("eva.gateway")

Save = Callable[[SessionRecord], Awaitable[None]]
TRIES = 4
"""Together longer than a cluster takes to elect a leader: each may take 2 s."""
AGAIN_S = 0.5
SETTLE_S = 0.1
"""An exchange that is followed or corrected at once (a playback cut short) is stored once."""


class Keeper:
    """Keeps the newest record of one session. ``save`` None: nothing is kept."""

    def __init__(self, sid: str, save: Save | None) -> None:
        self._sid, self._save = sid, save
        self.newest: SessionRecord | None = None
        """What was noted last."""
        self._unsaved: SessionRecord | None = None
        self._changed = asyncio.Event()

    def keep(self, record: SessionRecord) -> None:
        """Notes what is to be stored; what was noted before need not be any more."""
        if self._save is not None:
            self.newest = self._unsaved = record
            self._changed.set()

    async def run(self) -> NoReturn:
        """Stores what is noted, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE_S)
            self._changed.clear()
            await self.finish()

    async def finish(self) -> None:
        """Stores what is not stored yet. A memory that cannot be reached costs the memory, not the turn."""
        for attempt in range(1, TRIES + 1):
            record = self._unsaved
            if record is None or self._save is None:
                return
            try:
                await self._save(record)
            except BusDown as error:
                log.warning("memory.not_saved", session=self._sid, reason=str(error))
                await asyncio.sleep(AGAIN_S * attempt)
                continue
            if self._unsaved is record:
                self._unsaved = None
