"""A decoding in a thread of its own: fed while a person speaks, so that a pause finds it all but done.

Calls of one decoding go one after another; those of different decodings never wait for each other. Whatever
goes wrong, in it or because it cannot keep up, ends it for good: the same audio is transcribed as a whole
then. The engine bounds how many there are.
"""

from __future__ import annotations

import asyncio
import time

from services.stt.chain import Chain, Followed, Heard
from services.stt.engine import RATE_HZ, Pcm
from services.stt.threads import DaemonPool
from shared.errors import EngineFailed

MAX_BEHIND = 20 * RATE_HZ
"""Samples that may wait to be decoded."""
DRAFT_S = 5.0
"""A draft that takes longer is given up: reading the audio as a whole is quicker then."""


class Stream:
    """One piece of speech on its way through an incremental engine."""

    def __init__(
        self, chain: Chain, language: str | None, learnt: str = "", *, timeout_s: float = DRAFT_S
    ) -> None:
        self._timeout_s = timeout_s
        self._thread = DaemonPool(1, "stt-decoding")
        self._decoding: Followed | None = None
        self._behind = 0
        self._is_closed = False
        self.draft_s = 0.0
        """What the last draft took."""
        self.has_failed = False
        """It is of no use (any more)."""
        self.learnt = ""
        """What the engine has learnt of how the person sounds, as of the last draft."""
        self._thread.submit(lambda: self._begin(chain, language, learnt))

    def feed(self, pcm: Pcm) -> None:
        """Takes more audio; returns at once."""
        if self.has_failed or self._is_closed or not len(pcm):
            return
        self._behind += len(pcm)
        if self._behind > MAX_BEHIND:
            self.has_failed = True
            self.close()
            return
        self._thread.submit(lambda: self._feed(pcm))

    async def draft(self) -> Heard | None:
        """Returns what was said in all that was fed; None: it has failed."""
        if self.has_failed or self._is_closed:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                heard = await asyncio.wrap_future(self._thread.submit(self._draft))
        except TimeoutError:
            heard = None
            self._let_go()
        if heard is None:
            self.has_failed = True
            self.close()
        return heard

    def close(self) -> None:
        """Ends it, behind the drafts that were asked for, and gives its place free; may be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        self._thread.submit(self._end)
        self._thread.close()

    def _let_go(self) -> None:
        """Its thread hangs: the place is given free from another one."""
        thread = DaemonPool(1, "stt-decoding-end")
        thread.submit(self._end)
        thread.close()

    def _begin(self, chain: Chain, language: str | None, learnt: str) -> None:
        self._decoding = chain.begin(language, learnt)
        if self._decoding is None:
            self.has_failed = True

    def _feed(self, pcm: Pcm) -> None:
        self._behind -= len(pcm)
        if self._decoding is None or self.has_failed:
            return
        try:
            self._decoding.feed(pcm)
        except EngineFailed:
            self.has_failed = True

    def _draft(self) -> Heard | None:
        if self._decoding is None or self.has_failed:
            return None
        began = time.perf_counter()
        try:
            transcript = self._decoding.draft()
        except EngineFailed:
            self.has_failed = True
            return None
        self.draft_s = time.perf_counter() - began
        self.learnt = self._decoding.learnt
        return Heard(transcript=transcript, info=self._decoding.info)

    def _end(self) -> None:
        if self._decoding is not None:
            self._decoding.close()
