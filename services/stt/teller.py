"""What one session is told, and what a worker counts over all of them.

Finals are insisted on when the broker is away for a moment; everything else is worth telling now or never.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.bus import Bus
from shared.errors import BusDown
from shared.messages import Message

INSIST_TIMES, INSIST_EVERY_S = 50, 0.1


@dataclass(kw_only=True)
class Counts:
    """What a worker counts over all its sessions."""

    done: int = 0
    failed: int = 0
    succeeded_at: float | None = None
    """The loop's time of the last final."""
    frames_dropped: int = 0
    frames_lost: int = 0
    frames_unusable: int = 0
    drafts: int = 0
    """Transcriptions begun in a pause."""
    drafts_used: int = 0
    """Those that were the final."""
    partials: int = 0
    settled: int = 0
    """Pieces of utterances that were settled before their end."""


class Teller:
    """Publishes one session's events."""

    def __init__(self, bus: Bus, subject: str) -> None:
        self._bus, self._subject = bus, subject

    async def say(self, message: Message) -> bool:
        """Tells now or never; False: never."""
        try:
            await self._bus.publish(self._subject, message)
        except BusDown:
            return False
        return True

    async def insist(self, message: Message) -> None:
        """Tells what must not get lost; gives up when the gateway has certainly gone elsewhere."""
        for _ in range(INSIST_TIMES):
            if await self.say(message):
                return
            await asyncio.sleep(INSIST_EVERY_S)
