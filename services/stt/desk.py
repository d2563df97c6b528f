"""Where transcriptions wait for a thread: finals always, partials only while there is room to spare.

As many threads run as the engine takes calls at once. One of them is kept free of partials, so a final
never waits behind one. What an engine does not answer in time is given up; when all threads hang, the
worker is of no use any more and says so (``lost``), so that its supervisor starts it anew.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future

from services.stt.chain import Chain, Heard
from services.stt.engine import RATE_HZ, EngineInfo, Pcm
from services.stt.threads import DaemonPool
from shared.errors import EngineFailed

PARTIAL_BUDGET_S = 0.5
"""A partial that would take longer is not worth its while."""


class Desk:
    """Hands audio to the chain in threads."""

    def __init__(self, chain: Chain, *, parallel: int, timeout_s: float = 30.0) -> None:
        self._chain = chain
        self._parallel = parallel
        self._timeout_s = timeout_s
        self._threads = DaemonPool(parallel, "stt")
        self._in_hand = 0
        self._hung = 0
        self.lost = asyncio.Event()
        """Set when every thread hangs, or no engine is left."""
        self.wall_s = 0.0
        """Of the last transcription."""
        self.rtf = 0.0
        """Its wall time by the length of its audio."""
        self.partials_shed = 0

    @property
    def info(self) -> EngineInfo | None:
        """The engine that serves now."""
        return self._chain.info

    async def transcribe(self, pcm: Pcm, language: str | None, likely: str = "") -> Heard:
        """Returns what is said.

        Raises:
            UnsupportedLanguage, EngineFailed: as the chain; ``EngineFailed`` also when it takes too long.
        """
        self._in_hand += 1
        work = self._threads.submit(lambda: self._timed(pcm, language, likely))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            if work.running():
                self._hung += 1
                work.add_done_callback(self._came_back)
            if self._hung >= self._parallel:
                self.lost.set()
            raise EngineFailed("stt", f"no answer within {self._timeout_s:g} s") from None
        except EngineFailed:
            if self._chain.info is None:
                self.lost.set()
            raise
        finally:
            self._in_hand -= 1

    def has_room_for_partial(self, samples: int) -> bool:
        """Whether a partial over so much audio would hold nobody up; counts those that are shed."""
        info = self._chain.info
        expected_s = self.wall_s if info is None or info.is_windowed else self.rtf * samples / RATE_HZ
        has_room = self._in_hand + 1 < self._parallel and expected_s <= PARTIAL_BUDGET_S
        self.partials_shed += not has_room
        return has_room

    def close(self) -> None:
        """Lets the threads and the engines go."""
        self._threads.close()
        self._chain.close()

    def _came_back(self, _: Future[Heard]) -> None:
        self._hung -= 1

    def _timed(self, pcm: Pcm, language: str | None, likely: str) -> Heard:
        began = time.perf_counter()
        heard = self._chain.transcribe(pcm, language, likely)
        self.wall_s = time.perf_counter() - began
        self.rtf = self.wall_s * RATE_HZ / max(1, len(pcm))
        return heard
