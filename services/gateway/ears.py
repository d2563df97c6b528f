"""A session's ears: a claimed STT worker, its frames, and another worker when the first is lost.

The gateway asks who has room (``OpenEars``); nobody subscribed means nobody has, and the client is told at
once. While the worker listens it says which frames a successor would need; the ring keeps those, so that
the next worker hears the utterance from its beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.mic import MicRing
from services.gateway.surroundings import Surroundings
from shared import subjects
from shared.errors import BusDown, EvaError, NoResponders, RequestTimedOut
from shared.messages import (
    CloseEars,
    EarsAlive,
    EarsClaimed,
    EarsFailed,
    EarsRefused,
    EndUtterance,
    Final,
    MicFrame,
    OpenEars,
    Partial,
    SpeechStarted,
)
from shared.observe import Log

log = Log("eva.gateway")

EarsEvent = EarsAlive | SpeechStarted | Partial | Final | EarsFailed
CLAIM_TIMEOUT_S = 0.5
CLAIM_AGAIN_S = 0.3
SILENT_S = 1.3
"""A worker says that it is alive every 0.5 s; after this it counts as lost."""
CHECK_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class EarsWanted:
    """What is to be listened to."""

    rate_hz: int
    language: str = ""
    end_silence_ms: int = 500


class Ears:
    """Ears of one session. ``changed`` is told who listens now, or None and why nobody does."""

    def __init__(
        self,
        around: Surroundings,
        sid: str,
        wanted: EarsWanted,
        changed: Callable[[EarsClaimed | EvaError], None],
        *,
        lease: int,
    ) -> None:
        self.ring = MicRing(wanted.rate_hz)
        self.claimed: EarsClaimed | None = None
        self._bus, self._gw, self._sid = around.bus, around.gw, sid
        self._clock = around.clock
        self._wanted = wanted
        self._changed = changed
        self.lease = lease
        """Number of the newest claim; counts on from the session's earlier ears."""
        self._lease_start = 0
        self._cursor = 0
        self._ends: deque[int] = deque()
        self._alive_at = 0.0
        self._more = asyncio.Event()

    def hear(self, pcm: bytes) -> None:
        """Takes one frame from the client."""
        self.ring.append(pcm, self._clock())
        self._more.set()

    def end_utterance(self) -> None:
        """The client says that the utterance is over, behind the frames heard so far."""
        self._ends.append(self.ring.next_seq)
        self._more.set()

    def is_current(self, event: EarsEvent) -> bool:
        """Whether the event comes from the worker that listens now; notes what it tells about itself."""
        if event.lease != self.lease or self.claimed is None:
            return False
        if isinstance(event, EarsAlive):
            self._alive_at = self._clock()
            self.ring.trim(event.needed_seq)
        elif isinstance(event, EarsFailed) and event.utterance == 0:
            self._alive_at = 0.0  # the worker gives the lease up
            self._more.set()
        return True

    def spoke_until(self, final: Final) -> float | None:
        """When the utterance's last sample reached the gateway; forgets the utterance's frames."""
        position = self._lease_start + final.end_ms * self.ring.rate_hz // 1000
        arrived_at = self.ring.arrival(position - 1)
        self.ring.trim(final.needed_seq)
        return arrived_at

    async def run(self) -> None:
        """Claims a worker and feeds it, again and again, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._check(), name="ears-check")
            while True:
                self.claimed = await self._claim()
                self._changed(self.claimed)
                await self._feed(self.claimed.worker)
                log.warning("ears.lost", session=self._sid, worker=self.claimed.worker)
                self.claimed = None

    async def close(self) -> None:
        """Frees the worker's slot."""
        claimed, self.claimed = self.claimed, None
        if claimed is not None:
            with contextlib.suppress(BusDown):
                await self._bus.publish(subjects.mic(claimed.worker, self._sid), CloseEars(sid=self._sid))

    async def _claim(self) -> EarsClaimed:
        was_told = False
        while True:
            self.lease += 1
            try:
                return await self._request()
            except EvaError as error:
                if not was_told:
                    self._changed(error)
                was_told = True
            await asyncio.sleep(CLAIM_AGAIN_S)

    async def _request(self) -> EarsClaimed:
        wanted = self._wanted
        message = OpenEars(
            gw=self._gw,
            sid=self._sid,
            lease=self.lease,
            rate_hz=wanted.rate_hz,
            language=wanted.language or None,
            end_silence_ms=wanted.end_silence_ms,
        )
        reply = await self._bus.request(subjects.STT_OPEN, message, timeout_s=CLAIM_TIMEOUT_S)
        match reply:
            case EarsClaimed():
                return reply
            case EarsRefused():
                raise NoResponders(subjects.STT_OPEN)
            case _:
                raise RequestTimedOut(subjects.STT_OPEN, CLAIM_TIMEOUT_S)

    async def _feed(self, worker: str) -> None:
        """Sends frames, from the first that is still needed, until the worker is lost."""
        self._cursor = self.ring.first_seq
        self._lease_start = self.ring.start_of(self._cursor)
        self._alive_at = self._clock()
        subject = subjects.mic(worker, self._sid)
        with contextlib.suppress(BusDown):
            while self._clock() - self._alive_at < SILENT_S:
                while self._ends and self._ends[0] <= self._cursor:
                    self._ends.popleft()
                    await self._bus.publish(subject, EndUtterance(sid=self._sid))
                self._cursor = max(self._cursor, self.ring.first_seq)
                frame = self.ring.get(self._cursor)
                if frame is not None:
                    self._cursor += 1
                    await self._bus.publish(subject, MicFrame(sid=self._sid, seq=frame.seq, pcm=frame.pcm))
                else:
                    self._more.clear()
                    await self._more.wait()

    async def _check(self) -> None:
        """Wakes the feeding now and then, so that a silent worker is noticed while no frames come."""
        while True:
            await asyncio.sleep(CHECK_S)
            self._more.set()
