"""One recording at work: its bytes in, its segments out, behind everybody who is speaking now.

The bytes are gathered in memory (bounded by ``MAX_BYTES``), unpacked bit by bit in a thread, judged by the
same voice activity as microphones, cut between words, and handed to the desk. Decoded audio is kept only
until its piece is transcribed, so memory does not grow with the length of the recording.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from services.stt.chain import Heard
from services.stt.engine import (
    FRAME,
    RATE_HZ,
    Clip,
    EngineInfo,
    Pcm,
    UnsupportedLanguage,
    Voice,
    short_language,
)
from services.stt.pieces import Piece, Splitter
from services.stt.teller import Teller
from services.stt.threads import DaemonPool
from services.stt.unpack import TooLong, Unpacker, Unreadable
from shared.errors import EngineFailed
from shared.messages import (
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

T = TypeVar("T")

MAX_BYTES = 25 * 1024 * 1024
MAX_S = 2 * 60 * 60
STALLED_S = 10.0
PROGRESS_EVERY_S = 0.5
ENOUGH_S = 8.0
"""A piece so long ends at the next pause: what a live session may have to wait for is then short."""
ENOUGH_WINDOWED_S = 20.0
"""For engines whose calls cost the same up to 30 s."""
SURE_LANGUAGE = 0.8
PROMPT_CHARS = 200

DRAINED = FileFailed(code="draining", message="this worker is stopping; another one will do it")

Transcribe = Callable[[Clip], Awaitable[Heard]]
Attempt = Heard | EngineFailed | UnsupportedLanguage


@dataclass(kw_only=True)
class _Tally:
    """What the answer tells besides the text."""

    language: str = ""
    info: EngineInfo | None = None
    decode_s: float = 0.0
    transcribe_s: float = 0.0
    segments: int = 0
    done: int = 0
    """Samples that are transcribed or hold no speech."""


class FileJob:
    """One recording; ``run`` ends with ``FileDone`` or ``FileFailed``, or is cancelled."""

    def __init__(
        self, opened: OpenFile, transcribe: Transcribe, voice: Voice, teller: Teller, info: EngineInfo
    ) -> None:
        self.opened = opened
        self._transcribe, self._voice, self._teller = transcribe, voice, teller
        self._language = short_language(opened.language)
        self._splitter = Splitter(enough_s=ENOUGH_WINDOWED_S if info.is_windowed else ENOUGH_S)
        self._at_once = max(1, info.parallel - 1)
        """One thread stays free for those who are speaking now."""
        self.stalled_s = STALLED_S
        """A gateway of which nothing comes for so long is gone."""
        self._file = io.BytesIO()
        self._next_seq = 0
        self._news = asyncio.Event()
        self._is_whole = False
        self._drained = asyncio.Event()
        self._pcm = bytearray()
        self._base = 0
        """Position of the first sample kept."""
        self._flight: deque[tuple[Piece, asyncio.Task[Attempt]]] = deque()
        self._context = ""
        self._tally = _Tally(info=info)
        self._thread = DaemonPool(1, "stt-unpack")
        self._tasks: asyncio.TaskGroup

    def take(self, chunk: FileChunk) -> Message:
        """Takes the next bytes, at once; one that is not the next is told which one is."""
        if chunk.seq == self._next_seq and not self._is_whole:
            if self._file.tell() + len(chunk.data) > MAX_BYTES:
                return FileFailed(code="too_large", message=f"a recording may have {MAX_BYTES} bytes")
            self._file.write(chunk.data)
            self._next_seq += 1
            self._is_whole = chunk.is_last
            self._news.set()
        return FileTaken(next_seq=self._next_seq)

    def drain(self) -> None:
        """Gives the recording up: another worker will have it from the beginning."""
        self._drained.set()

    async def run(self) -> None:
        """Transcribes the recording and tells how it ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                beat = tasks.create_task(self._beat(), name="file-progress")
                work = tasks.create_task(self._outcome(), name="file-work")
                drained = tasks.create_task(self._drained.wait(), name="file-drained")
                await asyncio.wait({work, drained}, return_when=asyncio.FIRST_COMPLETED)
                message = work.result() if work.done() else DRAINED
                for task in (beat, work, drained):
                    task.cancel()
        finally:
            self._thread.close()
        await self._teller.insist(message)

    async def _outcome(self) -> Message:
        try:
            await self._gather()
            return await self._work()
        except TimeoutError:
            return FileFailed(code="lost", message=f"nothing came for {self.stalled_s:g} s")
        except (Unreadable, TooLong, UnsupportedLanguage, EngineFailed) as error:
            return FileFailed(code=error.code, message=str(error))
        finally:
            for _, piece in self._flight:
                piece.cancel()

    async def _gather(self) -> None:
        while not self._is_whole:
            self._news.clear()
            async with asyncio.timeout(self.stalled_s):
                await self._news.wait()

    async def _beat(self) -> None:
        while True:
            await self._teller.say(FileProgress(done_ms=_ms(self._tally.done)))
            await asyncio.sleep(PROGRESS_EVERY_S)

    async def _work(self) -> FileDone:
        self._file.seek(0)
        unpacker = await self._unpack(lambda: Unpacker(self._file, longest_s=MAX_S))
        try:
            while (samples := await self._unpack(unpacker.read)) is not None:
                self._pcm += samples.tobytes()
                await self._judge()
        finally:
            self._thread.submit(unpacker.close)
        self._pcm += bytes(2 * (-(self._base + len(self._pcm) // 2) % FRAME))  # the last frame, made whole
        await self._judge()
        if (piece := self._splitter.finish()) is not None:
            await self._begin(piece)
        while self._flight:
            await self._settle()
        return self._done(unpacker.samples)

    async def _unpack(self, call: Callable[[], T]) -> T:
        began = time.perf_counter()
        work: Future[T] = self._thread.submit(call)
        try:
            return await asyncio.wrap_future(work)
        finally:
            self._tally.decode_s += time.perf_counter() - began

    async def _judge(self) -> None:
        """Cuts what is there into pieces; waits while enough of them are at work."""
        position = self._splitter.position
        count = (self._base + len(self._pcm) // 2 - position) // FRAME
        frames = self._audio(position, position + count * FRAME).reshape(count, FRAME)
        for probability in await self._voice.probabilities(frames):
            piece = self._splitter.feed(probability)
            if piece is not None:
                await self._begin(piece)
        if not self._flight:
            self._tally.done = self._splitter.needed
        drop = self._splitter.needed - self._base
        del self._pcm[: 2 * drop]
        self._base += drop

    async def _begin(self, piece: Piece) -> None:
        # The first piece tells the language of the others.
        while len(self._flight) >= (self._at_once if self._tally.segments else 1):
            await self._settle()
        clip = Clip(
            pcm=self._audio(piece.audio_from, piece.audio_to),
            language=self._language,
            likely=self._tally.language,
            prompt=self._context if self._at_once == 1 else "",
            has_words=self.opened.has_words,
        )
        work = self._tasks.create_task(self._attempt(clip), name="file-piece")
        self._flight.append((piece, work))

    async def _attempt(self, clip: Clip) -> Attempt:
        began = time.perf_counter()
        try:
            return await self._transcribe(clip)
        except (EngineFailed, UnsupportedLanguage) as error:
            return error
        finally:
            self._tally.transcribe_s += time.perf_counter() - began

    async def _settle(self) -> None:
        """Tells the oldest piece that is at work."""
        piece, work = self._flight.popleft()
        heard = await work
        if not isinstance(heard, Heard):
            raise heard
        transcript, tally = heard.transcript, self._tally
        tally.info, tally.done = heard.info, piece.audio_to
        if not transcript.text:
            return
        if not tally.language or transcript.language_probability >= SURE_LANGUAGE:
            tally.language = transcript.language
        self._context = f"{self._context} {transcript.text}"[-PROMPT_CHARS:]
        offset = piece.audio_from / RATE_HZ
        words = [
            Word(
                text=word.text,
                start_ms=round(1000 * (offset + word.start_s)),
                end_ms=round(1000 * (offset + word.end_s)),
                probability=word.probability,
            )
            for word in transcript.words
        ]
        await self._teller.insist(
            FileSegment(
                index=tally.segments,
                start_ms=_ms(piece.start),
                end_ms=_ms(piece.end),
                text=transcript.text,
                words=words,
            )
        )
        tally.segments += 1

    def _done(self, samples: int) -> FileDone:
        tally = self._tally
        assert tally.info is not None
        return FileDone(
            segments=tally.segments,
            duration_ms=_ms(samples),
            language=tally.language,
            engine=tally.info.name,
            device=tally.info.device,
            model=tally.info.model,
            is_degraded=tally.info.is_degraded,
            decode_ms=1000 * tally.decode_s,
            transcribe_ms=1000 * tally.transcribe_s,
        )

    def _audio(self, start: int, end: int) -> Pcm:
        piece = self._pcm[2 * (start - self._base) : 2 * (end - self._base)]
        return np.frombuffer(piece, dtype=np.int16).astype(np.float32) / 32768.0


def _ms(samples: int) -> int:
    return samples * 1000 // RATE_HZ
