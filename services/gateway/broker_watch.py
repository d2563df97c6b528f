"""Asks the broker's monitoring port for its figures, in the background, and keeps the last answer."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec

from services.gateway.broker_metrics import Reading, read
from shared.observe import Log

log = Log("eva.gateway")

EVERY_S = 5.0
ANSWER_S = 2.0
STALE_S = 20.0
"""What is older is not shown: no figure is better than one that was true once."""
MOST_BYTES = 4_000_000
MOST_SERVERS = 16
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A broker's port is reached without a proxy."""


class BrokerWatch:
    """``urls``: one for each server, ``http://host:port``."""

    def __init__(self, urls: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._urls, self._clock = list(urls)[:MOST_SERVERS], clock
        self._last: list[Reading | None] = [None] * len(self._urls)

    def told(self) -> list[Reading | None]:
        """Returns what each server told last; None: nothing lately."""
        now_s = self._clock()
        return [one if one is not None and now_s - one.at_s <= STALE_S else None for one in self._last]

    async def run(self) -> NoReturn:
        """Asks now and then, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Asks all of them once."""
        await asyncio.gather(*(self._look(number) for number in range(len(self._urls))))

    async def _look(self, number: int) -> None:
        url = self._urls[number]
        try:
            varz, jsz = await asyncio.to_thread(_fetch, url)
            reading = read(varz, jsz, at_s=self._clock())
        except (OSError, urllib.error.URLError, ValueError, msgspec.MsgspecError) as error:
            if self._last[number] is not None:
                log.warning("broker.figures_lost", server=number, reason=type(error).__name__)
            self._last[number] = None
            return
        self._last[number] = reading


def _fetch(url: str) -> tuple[bytes, bytes]:
    """Blocks for ``2 * ANSWER_S`` at most, as long as something comes."""
    pages = []
    for path in ("/varz", "/jsz?streams=true&consumers=true"):
        with _DIRECT.open(url + path, timeout=ANSWER_S) as answer:
            page = answer.read(MOST_BYTES + 1)
        if len(page) > MOST_BYTES:
            raise ValueError("the answer is too long")
        pages.append(page)
    return pages[0], pages[1]
