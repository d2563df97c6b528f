"""The sessions that this worker has claimed: who may come in, and whose frames go where.

Who has no room is not subscribed to the request, so that "nobody has room" comes back at once; the refusal
is for the race between the two. One subscription carries the frames of all sessions of this worker: it
stands before the first claim is answered, so no frame can come too early.

A recording takes a slot as a session does, but never all of them: most are kept for people who speak now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.stt.engine import EngineInfo
from services.stt.file_job import FileJob
from services.stt.lease import Lease
from services.stt.teller import Teller
from shared import subjects
from shared.bus import Bus, Subscription
from shared.errors import BusDown
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsClaimed,
    EarsFailed,
    EarsRefused,
    EndUtterance,
    FileChunk,
    FileFailed,
    Message,
    MicFrame,
    OpenEars,
    OpenFile,
)
from shared.observe import Log

log = Log("eva.stt")

MIN_RATE_HZ, MAX_RATE_HZ = 8000, 48000

FILES_SHARE = 4
"""One slot in so many may hold a recording, at least one."""
LOST = FileFailed(code="lost", message="this worker does not know that recording")

MakeLease = Callable[[OpenEars, Teller], Lease]
MakeFileJob = Callable[[OpenFile, Teller], FileJob]


class Claims:
    """Keeps at most ``slots`` leases, one for each session, and recordings among them."""

    def __init__(
        self,
        bus: Bus,
        worker: str,
        *,
        slots: int,
        make: MakeLease,
        make_file: MakeFileJob,
        info: Callable[[], EngineInfo | None],
    ) -> None:
        self._bus, self._worker, self._slots = bus, worker, slots
        self._make, self._make_file, self._info = make, make_file, info
        self._leases: dict[str, tuple[Lease, asyncio.Task[None]]] = {}
        self._files: dict[str, tuple[FileJob, asyncio.Task[None]]] = {}
        self.listening = asyncio.Event()
        """Set once claims can come."""
        self._changed = asyncio.Event()
        self._is_draining = False
        self._tasks: asyncio.TaskGroup

    def __len__(self) -> int:
        return len(self._leases) + len(self._files)

    async def run(self) -> None:
        """Claims and hears sessions until drained and the last one is given up."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            mic = await self._bus.subscribe(subjects.mic(self._worker, "*"), self._take)
            files = await self._bus.serve(subjects.recording(self._worker, "*"), self._take_chunk)
            await self._admit()
            for lease, _ in self._leases.values():
                lease.drain()
            for job, _ in self._files.values():
                job.drain()
            held = [task for _, task in (*self._leases.values(), *self._files.values())]
            if held:
                await asyncio.wait(held)
            await mic.close()
            await files.close()

    def drain(self) -> None:
        """Claims no session more and gives up those it has."""
        self._is_draining = True
        self._changed.set()

    async def _admit(self) -> None:
        """Is subscribed to claims exactly while there is room, until draining."""
        opening: Subscription | None = None
        while not self._is_draining:
            self._changed.clear()
            has_room = len(self) < self._slots
            try:
                if has_room and opening is None:
                    opening = await self._bus.serve(subjects.STT_OPEN, self.claim, queue=subjects.STT_QUEUE)
                    self.listening.set()
                elif not has_room and opening is not None:
                    await opening.close()
                    opening = None
            except BusDown:
                await asyncio.sleep(0.1)
                continue
            await self._changed.wait()
        if opening is not None:
            await opening.close()

    def claim(self, message: AnyMessage) -> Message:
        """Answers a request for ears."""
        if isinstance(message, OpenFile):
            return self._claim_file(message)
        if not isinstance(message, OpenEars) or not MIN_RATE_HZ <= message.rate_hz <= MAX_RATE_HZ:
            return EarsRefused(
                code="invalid_request", message=f"{MIN_RATE_HZ} to {MAX_RATE_HZ} Hz can be heard"
            )
        held, info = self._leases.get(message.sid), self._info()
        if held is not None and message.lease < held[0].opened.lease:
            return EarsRefused(code="stale_lease", message="a newer lease is held")
        if self._is_draining or info is None or (held is None and len(self) >= self._slots):
            return EarsRefused(code="busy", message="this worker has no room")
        if held is not None:
            held[1].cancel()
        teller = Teller(self._bus, subjects.event(message.gw, message.sid, "stt"))
        lease = self._make(message, teller)
        task = self._tasks.create_task(self._tend(lease, teller), name=f"lease {message.sid}")
        self._leases[message.sid] = (lease, task)
        self._changed.set()
        return self._claimed(info)

    def _claim_file(self, message: OpenFile) -> Message:
        info = self._info()
        has_room = len(self) < self._slots and len(self._files) < max(1, self._slots // FILES_SHARE)
        if self._is_draining or info is None or not has_room or message.sid in self._files:
            return EarsRefused(code="busy", message="this worker has no room for a recording")
        teller = Teller(self._bus, subjects.event(message.gw, message.sid, "stt"))
        job = self._make_file(message, teller)
        task = self._tasks.create_task(self._tend_file(job, teller), name=f"file {message.sid}")
        self._files[message.sid] = (job, task)
        self._changed.set()
        return self._claimed(info)

    def _claimed(self, info: EngineInfo) -> EarsClaimed:
        return EarsClaimed(
            worker=self._worker,
            engine=info.name,
            device=info.device,
            model=info.model,
            is_degraded=info.is_degraded,
            languages=list(info.languages),
        )

    async def _tend(self, lease: Lease, teller: Teller) -> None:
        """Runs one session; a defect in it ends that session alone."""
        try:
            await lease.run()
        except* Exception:
            log.exception("stt.session_failed", session=lease.opened.sid)
            await teller.say(
                EarsFailed(lease=lease.opened.lease, utterance=0, code="internal", message="the ears failed")
            )
        finally:
            held = self._leases.get(lease.opened.sid)
            if held is not None and held[0] is lease:
                del self._leases[lease.opened.sid]
            self._changed.set()

    async def _tend_file(self, job: FileJob, teller: Teller) -> None:
        """Runs one recording; a defect in it ends that recording alone."""
        try:
            await job.run()
        except* Exception:
            log.exception("stt.recording_failed", session=job.opened.sid)
            await teller.insist(FileFailed(code="internal", message="the ears failed"))
        finally:
            del self._files[job.opened.sid]
            self._changed.set()

    def _take_chunk(self, message: AnyMessage) -> Message:
        held = self._files.get(message.sid) if isinstance(message, FileChunk) else None
        return held[0].take(message) if held is not None and isinstance(message, FileChunk) else LOST

    def _take(self, _: str, message: AnyMessage) -> None:
        if isinstance(message, CloseEars) and message.sid in self._files:
            self._files[message.sid][1].cancel()
        if isinstance(message, MicFrame | EndUtterance | CloseEars):
            held = self._leases.get(message.sid)
            if held is not None:
                held[0].put(message)
