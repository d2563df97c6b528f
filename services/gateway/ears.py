"""A session's ears: a claimed STT worker, its frames, and another worker when the first is lost.

The gateway asks who has room (``OpenEars``); nobody subscribed means nobody has, and the client is told at
once. While the worker listens it says which frames a successor would need; the ring keeps those, so that
the next worker hears the utterance from its beginning, or from where its text is settled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.board import Outlook
from services.gateway.handover import Handover
from services.gateway.mic import MicRing
from services.gateway.surroundings import Surroundings
from shared import subjects
from shared.bus import Outlet
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
    SpeechProgress,
    SpeechResumed,
    SpeechStarted,
    TurnDetection,
    TurnLikely,
)
from shared.observe import Log

log = Log("eva.gateway")

Heard = SpeechStarted | SpeechProgress | Partial | TurnLikely | SpeechResumed | Final | EarsFailed
"""What a worker tells of an utterance."""
EarsEvent = EarsAlive | Heard
CLAIM_TIMEOUT_S = 0.5
CLAIM_AGAIN_S = 0.3
SILENT_S = 1.3
"""A worker says that it is alive every 0.5 s; after this it counts as lost …"""
SILENT_IN_FLIGHT_S = 0.6
"""… and after this while an utterance is in flight, when it says so every 0.2 s."""
LATE_S = 0.1
BEHIND_S = 0.1
"""A broker that does not read as fast as is said gets so much time: it is not the ears that are lost."""
NOBODY: dict[Outlook, tuple[str, int]] = {
    "busy": ("all who can listen are taken", 3000),
    "starting": ("those who will listen are just starting", 1000),
    "gone": ("no worker that listens is running", 5000),
    "unknown": ("nobody can listen right now", 1000),
}
"""Why, and when to come back, milliseconds."""
FRAME_MS = 40
"""Longer frames of a client are cut: another worker begins with a whole frame, whatever it holds."""


class NoEars(EvaError):
    """Nobody can listen now; ``retry_after_ms`` says when somebody may be able to."""

    code = "no_ears"

    def __init__(self, reason: str, retry_after_ms: int) -> None:
        super().__init__(reason)
        self.reason, self.retry_after_ms = reason, retry_after_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class EarsWanted:
    """What is to be listened to."""

    rate_hz: int
    language: str = ""
    end_silence_ms: int = 500
    turn_detection: TurnDetection = "auto"
    min_silence_ms: int = 300
    max_silence_ms: int = 1200
    onset: float = 0.5


class Ears:
    """Ears of one session. ``changed`` is told who listens now, or None and why nobody does."""

    __slots__ = (
        "_alive_at", "_bus", "_changed", "_clock", "_cursor", "_frame_bytes", "_gw", "_handover",
        "_is_given_up", "_lease_start", "_more", "_outlet", "_outlook", "_sid", "_since_ms", "_ticks",
        "_wanted", "claimed", "lease", "ring",
    )  # fmt: skip

    def __init__(
        self,
        around: Surroundings,
        sid: str,
        wanted: EarsWanted,
        changed: Callable[[EarsClaimed | EvaError], None],
        *,
        after: Ears | None = None,
    ) -> None:
        """``after``: the session's ears before these; leases, audio time and what was learnt go on."""
        self.ring = MicRing(wanted.rate_hz)
        self.claimed: EarsClaimed | None = None
        self._bus, self._gw, self._sid = around.bus, around.gw, sid
        self._clock, self._outlook, self._ticks = around.clock, around.ears_outlook, around.ticks
        self._wanted = wanted
        self._changed = changed
        self.lease: int = 0 if after is None else after.lease
        """Number of the newest claim; counts on from the session's earlier ears."""
        self._since_ms = 0 if after is None else after.heard_ms
        self._lease_start = 0
        self._cursor = 0
        self._handover = Handover(pace_ms=0.0 if after is None else after.pace_ms)
        self._alive_at = 0.0
        self._is_given_up = False
        """The worker lets go of the lease."""
        self._more = asyncio.Event()
        self._frame_bytes = 2 * wanted.rate_hz * FRAME_MS // 1000
        self._outlet: Outlet | None = None
        """Where frames go as they come; None: they wait for ``_feed``."""

    def hear(self, pcm: bytes) -> None:
        """Takes one frame from the client, and sends it on if that can be done at once."""
        size = self._frame_bytes
        if len(pcm) > size:
            for start in range(0, len(pcm), size):
                self.hear(pcm[start : start + size])
            return
        seq = self.ring.append(pcm, self._clock())
        outlet, message = self._outlet, MicFrame(sid=self._sid, seq=seq, pcm=pcm)
        if outlet is not None and seq == self._cursor and outlet.post(message):
            self._cursor = seq + 1
        else:
            self._more.set()

    def end_utterance(self, *, is_discarded: bool = False) -> None:
        """The client says that the utterance is over, behind the frames heard so far."""
        self._handover.end_at(self.ring.next_seq, is_discarded=is_discarded)
        self._outlet = None  # what comes next comes behind it
        self._more.set()

    def is_current(self, event: EarsEvent) -> bool:
        """Whether the event comes from the worker that listens now; notes what it tells about itself."""
        if event.lease != self.lease or self.claimed is None:
            return False
        self._alive_at = self._clock()
        needed_seq = self._handover.hear(event)
        if needed_seq is not None:
            self.ring.trim(needed_seq)
        if isinstance(event, EarsFailed) and event.utterance == 0:
            self._is_given_up = True
            self._more.set()
        return True

    @property
    def heard_ms(self) -> int:
        """Audio time since the session's first frame."""
        return self._since_ms + self.ring.heard_ms

    def session_ms(self, at_ms: int) -> int:
        """Returns a time of this lease as audio time since the session's first frame."""
        return self._since_ms + 1000 * self._lease_start // self.ring.rate_hz + at_ms

    def arrived_at(self, at_ms: int) -> float | None:
        """When the audio at a time of this lease reached the gateway; None if its frame is gone."""
        return self.ring.arrival(self._lease_start + at_ms * self.ring.rate_hz // 1000)

    def spoke_until(self, final: Final) -> float | None:
        """When the utterance's last sample reached the gateway; forgets the utterance's frames."""
        position = self._lease_start + final.end_ms * self.ring.rate_hz // 1000
        arrived_at = self.ring.arrival(position - 1)
        self.ring.trim(final.needed_seq)
        return arrived_at

    async def run(self) -> None:
        """Claims a worker and feeds it, again and again, until cancelled."""
        with self._ticks.calling(self._look):
            while True:
                self.claimed = await self._claim()
                self._changed(self.claimed)
                await self._feed(self.claimed.worker)
                silent_s = round(self._clock() - self._alive_at, 2)
                log.warning("ears.lost", session=self._sid, worker=self.claimed.worker, silent_s=silent_s)
                self.claimed = None

    @property
    def pace_ms(self) -> float:
        """What has been learnt of this person's pauses; 0: nothing."""
        return self._handover.pace_ms

    async def close(self) -> None:
        """Frees the worker's slot."""
        claimed, self.claimed = self.claimed, None
        if claimed is not None:
            with contextlib.suppress(BusDown):
                await self._bus.publish(subjects.mic(claimed.worker, self._sid), CloseEars(sid=self._sid))

    async def _claim(self) -> EarsClaimed:
        was_told = was_slow = False
        while True:
            self.lease += 1
            try:
                return await self._request()
            except EvaError as error:
                # Whoever is merely slow to answer is asked once more before the client is told of it.
                is_slow = isinstance(error, RequestTimedOut) and not was_slow
                was_slow = True
                if not (was_told or is_slow):
                    was_told = True
                    self._changed(error)
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
            turn_detection=wanted.turn_detection,
            min_silence_ms=wanted.min_silence_ms,
            max_silence_ms=wanted.max_silence_ms,
            onset=wanted.onset,
            pace_ms=self._handover.pace_ms,
            prefix=self._handover.prefix,
            is_midway=self._handover.is_midway,
        )
        try:
            reply = await self._bus.request(subjects.STT_OPEN, message, timeout_s=CLAIM_TIMEOUT_S)
        except NoResponders:
            raise NoEars(*NOBODY[self._outlook()]) from None
        match reply:
            case EarsClaimed():
                return reply
            case EarsRefused():
                raise NoEars(reply.message, reply.retry_after_ms)
            case _:
                raise RequestTimedOut(subjects.STT_OPEN, CLAIM_TIMEOUT_S)

    async def _feed(self, worker: str) -> None:
        """Sends frames, from the first that is still needed, until the worker is lost."""
        self._cursor = self.ring.first_seq
        self._lease_start = self.ring.start_of(self._cursor)
        self._alive_at, self._is_given_up = self._clock(), False
        self._handover.begin()
        subject = subjects.mic(worker, self._sid)
        outlet = self._bus.outlet(subject)
        with contextlib.suppress(BusDown):
            while not self._is_lost():
                while (end := self._handover.take_end(self._cursor)) is not None:
                    ending = EndUtterance(sid=self._sid, is_discarded=end.is_discarded)
                    await self._bus.publish(subject, ending)
                self._cursor = max(self._cursor, self.ring.first_seq)
                frame = self.ring.get(self._cursor)
                if frame is None:
                    await self._nap(outlet)
                elif outlet.post(MicFrame(sid=self._sid, seq=frame.seq, pcm=frame.pcm)):
                    self._cursor += 1
                elif self._bus.is_up:
                    await asyncio.sleep(BEHIND_S)  # what is said stays in the ring meanwhile
                else:
                    return

    async def _nap(self, outlet: Outlet) -> None:
        """Waits until something is to be done that cannot go straight."""
        self._more.clear()
        self._outlet = outlet
        try:
            await self._more.wait()
        finally:
            self._outlet = None

    def _is_lost(self) -> bool:
        silent_s = SILENT_IN_FLIGHT_S if self._handover.is_in_flight else SILENT_S
        return self._is_given_up or self._clock() - self._alive_at >= silent_s

    def _look(self, late_s: float) -> None:
        """Wakes the feeding if the worker has been silent for too long: so it is noticed without frames."""
        if late_s > LATE_S:  # it was this process that stood still: what came meanwhile is not read yet
            self._alive_at += late_s
        if self._is_lost():
            self._more.set()
