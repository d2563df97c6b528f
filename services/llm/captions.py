"""An answer's text on its way to the gateway: gathered for a moment, and in part taken back again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown
from shared.messages import Generate, TextDelta

COALESCE_S = 0.04
"""Captions are gathered so long; the first goes at once."""


class Captions:
    """Of one attempt."""

    def __init__(self, bus: Bus, work: Generate, *, clock: Callable[[], float]) -> None:
        self._bus, self._work, self._clock = bus, work, clock
        self._unsent = ""
        self._takes_back = 0
        self.text = ""
        """All of it, without what was taken back."""
        self.count = 0
        """Deltas that were sent."""
        self.due_s: float | None = None
        """When ``send`` is to be called, by the clock."""

    async def add(self, text: str) -> None:
        """Takes more text, and sends it if it is time."""
        self._unsent += text
        self.text += text
        if not self.count:
            await self.send()
        elif self.due_s is None:
            self.due_s = self._clock() + COALESCE_S
        else:
            await self.send_if_due()

    def take_back(self, count: int) -> None:
        """Makes the last characters void."""
        if count:
            self.text = self.text[:-count]
            unsent = min(count, len(self._unsent))
            self._unsent = self._unsent[: len(self._unsent) - unsent]
            self._takes_back += count - unsent

    async def send_if_due(self) -> None:
        """Sends what is there if it has waited long enough."""
        if self.due_s is not None and self._clock() >= self.due_s:
            await self.send()

    async def send(self) -> None:
        """Sends what is there; a broker that is away costs it."""
        self.due_s = None
        if not self._unsent and not self._takes_back:
            return
        work = self._work
        delta = TextDelta(
            turn=work.turn,
            attempt=work.attempt,
            seq=self.count,
            text=self._unsent,
            takes_back=self._takes_back,
        )
        self._unsent, self._takes_back = "", 0
        self.count += 1
        with contextlib.suppress(BusDown):  # the gap in ``seq`` tells
            await self._bus.publish(subjects.event(work.gw, work.sid, "llm"), delta)
