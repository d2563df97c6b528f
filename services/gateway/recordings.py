"""A recording on its way to the ears and back: a claimed worker, the bytes, the segments.

The gateway holds the bytes until the transcript is there: when the worker is lost in the middle (nothing is
heard of it for ``SILENT_S``), another one is claimed and has them from the beginning, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from services.gateway.problems import RecordingFailed
from services.gateway.surroundings import Surroundings
from services.gateway.transcript import Told
from shared import subjects
from shared.errors import BusDown, EvaError, NoResponders, RequestTimedOut
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsClaimed,
    FileChunk,
    FileDone,
    FileFailed,
    FileSegment,
    FileTaken,
    OpenFile,
)
from shared.observe import Log

log = Log("eva.gateway")

CHUNK_BYTES = 128 * 1024
CHUNK_TIMEOUT_S = 1.5
CLAIM_TIMEOUT_S = 0.5
CLAIMS, CLAIM_AGAIN_S = 4, 0.1
"""So often ears are asked, with a pause: one who has just been let go has room again within it."""
SILENT_S = 1.5
"""A worker tells each 0.5 s how far it is; after this it counts as lost."""
LOOKS = 3
"""How often within that it is listened for: a gateway that stood still has not listened for long."""
ATTEMPTS = 2
ANOTHER_MAY = frozenset({"lost", "draining"})
"""Failures that are the worker's own: another one may do it."""


Tell = Callable[[FileSegment], None]


class NoEars(EvaError):
    """Nobody has room for a recording."""

    code: ClassVar[str] = "no_ears"


class _Lost(Exception):
    """The worker is gone, or gives the recording up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What is to be transcribed."""

    data: bytes
    """As the client sent it: any container."""
    language: str | None = None
    has_words: bool = False


async def transcribe(around: Surroundings, recording: Recording, tell: Tell | None = None) -> Told:
    """Has a recording transcribed; cancelling it frees the worker.

    ``tell`` is given each segment as it comes, once and in order, whichever worker it is of.

    Raises:
        NoEars: nobody has room; at once.
        RecordingFailed: with the worker's own code, or ``lost`` when the second worker was lost as well.
        BusDown: the broker is not reachable.
    """
    began, told = time.monotonic(), 0

    def take(segment: FileSegment) -> None:
        nonlocal told
        if tell is not None and segment.index == told:
            told += 1
            tell(segment)

    for attempt in range(1, ATTEMPTS + 1):
        try:
            segments, done = await _Attempt(around, recording, take).run()
        except _Lost as lost:
            log.warning("recording.worker_lost", attempt=attempt, reason=str(lost))
        else:
            return Told(segments=segments, done=done, total_ms=1000 * (time.monotonic() - began))
    raise RecordingFailed("lost", "the workers that listened were lost in the middle of the recording")


class _Attempt:
    """One worker's try."""

    def __init__(self, around: Surroundings, recording: Recording, tell: Tell) -> None:
        self._bus, self._gw = around.bus, around.gw
        self._tell = tell
        self._recording = recording
        self._sid = subjects.new_token()
        self._inbox: asyncio.Queue[AnyMessage] = asyncio.Queue()

    async def run(self) -> tuple[list[FileSegment], FileDone]:
        heard = await self._bus.subscribe(subjects.event(self._gw, self._sid, "stt"), self._take)
        try:
            worker = (await self._claim()).worker
            try:
                await self._send(worker)
                return await self._collect()
            finally:  # a worker that is done does not mind
                with contextlib.suppress(BusDown):
                    await self._bus.publish(subjects.mic(worker, self._sid), CloseEars(sid=self._sid))
        finally:
            await heard.close()

    def _take(self, _subject: str, message: AnyMessage) -> None:
        self._inbox.put_nowait(message)

    async def _claim(self) -> EarsClaimed:
        wanted = self._recording
        opened = OpenFile(gw=self._gw, sid=self._sid, language=wanted.language, has_words=wanted.has_words)
        for number in range(CLAIMS):
            if number:
                await asyncio.sleep(CLAIM_AGAIN_S)
            with contextlib.suppress(NoResponders, RequestTimedOut):
                reply = await self._bus.request(subjects.STT_OPEN, opened, timeout_s=CLAIM_TIMEOUT_S)
                if isinstance(reply, EarsClaimed):
                    return reply
        raise NoEars("nobody has room for a recording right now")

    async def _send(self, worker: str) -> None:
        data, subject = memoryview(self._recording.data), subjects.recording(worker, self._sid)
        for seq, start in enumerate(range(0, max(1, len(data)), CHUNK_BYTES)):
            end = start + CHUNK_BYTES
            chunk = FileChunk(sid=self._sid, seq=seq, data=bytes(data[start:end]), is_last=end >= len(data))
            try:
                reply = await self._bus.request(subject, chunk, timeout_s=CHUNK_TIMEOUT_S)
            except (NoResponders, RequestTimedOut, BusDown) as error:
                raise _Lost(str(error)) from error
            if isinstance(reply, FileFailed):
                raise _failure(reply)
            if not isinstance(reply, FileTaken) or reply.next_seq != seq + 1:
                raise _Lost("the worker has other bytes than it was sent")

    async def _collect(self) -> tuple[list[FileSegment], FileDone]:
        segments: list[FileSegment] = []
        while True:
            match await self._next():
                case FileSegment() as segment:
                    segments.append(segment)
                    self._tell(segment)
                case FileFailed() as failed:
                    raise _failure(failed)
                case FileDone() as done:
                    if [segment.index for segment in segments] != list(range(done.segments)):
                        raise _Lost("some of the segments did not come")
                    return segments, done
                case _:
                    pass  # it lives

    async def _next(self) -> AnyMessage:
        for _ in range(LOOKS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SILENT_S / LOOKS):
                    return await self._inbox.get()
        raise _Lost(f"nothing was heard for {SILENT_S:g} s")


def _failure(failed: FileFailed) -> Exception:
    if failed.code in ANOTHER_MAY:
        return _Lost(failed.message)
    return RecordingFailed(failed.code, failed.message)
