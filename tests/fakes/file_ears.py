"""A worker that takes recordings, without an engine: what it does with them is set before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared import subjects
from shared.bus import Bus
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsClaimed,
    EarsRefused,
    FileChunk,
    FileDone,
    FileFailed,
    FileProgress,
    FileSegment,
    FileTaken,
    Message,
    OpenFile,
    Word,
)

SEGMENTS = [
    FileSegment(
        index=0, start_ms=100, end_ms=900, text="Hello there.",
        words=[Word(text="Hello", start_ms=100, end_ms=400), Word(text="there.", start_ms=450, end_ms=900)],
    ),
    FileSegment(index=1, start_ms=2000, end_ms=2500, text="Bye."),
]  # fmt: skip
DONE = FileDone(segments=2, duration_ms=3000, language="en", engine="whisper", device="cpu", model="tiny")


class FakeFileEars:
    """Answers each recording with ``answer``, or as ``faults`` say, one for each recording in turn."""

    def __init__(self, bus: Bus, *, worker: str = "filer") -> None:
        self.answer: list[Message] = [*SEGMENTS, DONE]
        self.faults: list[str] = []
        """``silent``: takes the bytes and is never heard again; ``mute``: does not take the first chunk;
        ``gap``: a segment is missing; ``slow``: tells that it lives until ``may_answer``; ``busy``."""
        self.may_answer = asyncio.Event()
        self.opened: list[OpenFile] = []
        self.received: list[bytes] = []
        self.closed: list[str] = []
        self._bus, self._worker = bus, worker
        self._bytes: dict[str, bytearray] = {}
        self._fault: dict[str, str] = {}
        self._by_sid: dict[str, OpenFile] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> Callable[[], object]:
        """Begins; returns what stops it."""
        claims = await self._bus.serve(subjects.STT_OPEN, self._claim, queue=subjects.STT_QUEUE)
        await self._bus.serve(subjects.recording(self._worker, "*"), self._take)
        await self._bus.subscribe(subjects.mic(self._worker, "*"), self._close)
        return claims.close

    def _claim(self, message: AnyMessage) -> Message:
        assert isinstance(message, OpenFile)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "busy":
            return EarsRefused(code="busy", message="no room")
        self.opened.append(message)
        self._by_sid[message.sid] = message
        self._bytes[message.sid], self._fault[message.sid] = bytearray(), fault
        return EarsClaimed(worker=self._worker, engine="whisper", device="cpu")

    def _take(self, message: AnyMessage) -> Message:
        assert isinstance(message, FileChunk)
        assert len(message.data) <= 128 * 1024
        if self._fault[message.sid] == "mute":
            return FileFailed(code="lost", message="what recording?")
        self._bytes[message.sid] += message.data
        if message.is_last:
            self.received.append(bytes(self._bytes[message.sid]))
            task = asyncio.create_task(self._tell(self._by_sid[message.sid], self._fault[message.sid]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return FileTaken(next_seq=message.seq + 1)

    def _close(self, _: str, message: AnyMessage) -> None:
        if isinstance(message, CloseEars):
            self.closed.append(message.sid)

    async def _tell(self, opened: OpenFile, fault: str) -> None:
        subject = subjects.event(opened.gw, opened.sid, "stt")
        if fault == "silent":
            return
        while fault == "slow" and not self.may_answer.is_set():
            await self._bus.publish(subject, FileProgress(done_ms=0))
            await asyncio.sleep(0.02)
        for message in self.answer[1:] if fault == "gap" else self.answer:
            await self._bus.publish(subject, message)
