"""One claimed session: its frames in, its events out, until the gateway lets go of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from services.stt.endpoint import Ended, Heard, Paused, Resumed, Started
from services.stt.engine import FRAME, RATE_HZ, Voice
from services.stt.scribe import Scribe
from services.stt.utterance import Session
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsAlive,
    EarsFailed,
    EndUtterance,
    Final,
    MicFrame,
    OpenEars,
    SpeechProgress,
    SpeechStarted,
)

ALIVE_EVERY_S = 0.5
IN_FLIGHT_EVERY_S = 0.2
"""While an utterance is in flight: a person waits for it, so a death must be noticed soon."""
MAX_WAITING_FRAMES = 3000
"""A minute of 20 ms frames: a whole replay. Beyond it frames are dropped and counted."""
BURST = 64
"""Frames that are heard in a row before the other sessions have their turn, and judged in one call."""
PROGRESS = 3 * FRAME
"""Samples of speech after which it is told how much there was: 96 ms."""
PROGRESS_FOR = RATE_HZ * 3 // 2
"""Samples of an utterance after which nobody wonders any more whether it interrupts."""
MAX_UNSETTLED = 90 * RATE_HZ
"""Samples of an utterance that wait for their text; beyond it hearing stands still. Memory is bounded."""
WHY = {
    "idle": "no audio came for a long time",
    "draining": "this worker is stopping; another one will listen",
}


class Lease:
    """A session's ears on this worker. ``run`` returns when they are closed, idle or drained."""

    def __init__(
        self, opened: OpenEars, session: Session, voice: Voice, scribe: Scribe, *, worker: str, idle_s: float
    ) -> None:
        self.opened = opened
        self._session, self._voice, self._scribe = session, voice, scribe
        self._ears, self._teller, self._counts = session.ears, session.teller, session.counts
        self._worker, self._idle_s = worker, idle_s
        self._inbox: deque[AnyMessage | None] = deque()
        self._news = asyncio.Event()
        self._utterance = 0
        """The one in flight, or the last one."""
        self._started = self._progress_at = 0
        self._hurry = asyncio.Event()

    def put(self, message: AnyMessage) -> None:
        """Takes a message of the gateway; a frame too many is dropped and counted."""
        if isinstance(message, MicFrame) and len(self._inbox) >= MAX_WAITING_FRAMES:
            self._counts.frames_dropped += 1
            return
        self._inbox.append(message)
        self._news.set()

    def drain(self) -> None:
        """Gives the session up once the finals in hand are told."""
        self._inbox.append(None)
        self._news.set()

    async def run(self) -> None:
        """Hears the session until it is over."""
        try:
            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._beat(), name="ears-alive")
                telling = tasks.create_task(self._scribe.run(), name="ears-finals")
                why = await tasks.create_task(self._listen(), name="ears-listen")
                if why is not None:
                    await self._scribe.all_told()
                    await self._give_up(why)
                beating.cancel()
                telling.cancel()
        finally:
            self._scribe.close()
            self._counts.frames_lost += self._ears.lost
            self._counts.frames_unusable += self._ears.unusable

    async def _give_up(self, why: str) -> None:
        """Tells the gateway to claim other ears, and from which frame those have to hear."""
        await self._teller.say(self._alive())
        await self._teller.insist(
            EarsFailed(lease=self.opened.lease, utterance=0, code=why, message=WHY[why])
        )

    async def _listen(self) -> str | None:
        """Takes messages until the session is over; returns why it is given up, None if it was closed."""
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await self._next()
            except TimeoutError:
                return "idle"
            match message:
                case MicFrame():
                    await self._hear(message)
                case EndUtterance(is_discarded=is_discarded):
                    await self._finish(is_discarded=is_discarded)
                case CloseEars():
                    return None
                case None:
                    return "draining"
                case _:
                    continue

    async def _next(self) -> AnyMessage | None:
        while not self._inbox:
            self._news.clear()
            await self._news.wait()
        return self._inbox.popleft()

    async def _hear(self, frame: MicFrame) -> None:
        """Hears a frame, and those that have come meanwhile with it: a replay is a burst."""
        self._ears.take(frame.seq, frame.pcm)
        if self.opened.is_midway and not self._utterance:
            self._ears.begin_midway()
            self._utterance = self._scribe.begin(0, self.opened.prefix)
            self._started = -PROGRESS_FOR  # it was judged long ago
        for _ in range(BURST):
            if not self._inbox or not isinstance(self._inbox[0], MicFrame):
                break
            following = self._inbox.popleft()
            assert isinstance(following, MicFrame)
            self._ears.take(following.seq, following.pcm)
        for event in self._ears.judge(await self._voice.probabilities(self._ears.pending())):
            await self._heed(event)
        self._scribe.hear()
        await self._tell_progress()
        await self._scribe.room(MAX_UNSETTLED)
        if self._inbox:
            await asyncio.sleep(0)

    async def _heed(self, event: Heard) -> None:
        match event:
            case Started(start=start, audio_from=audio_from):
                self._utterance = self._scribe.begin(audio_from)
                self._started = self._progress_at = start
                at_ms = start * 1000 // RATE_HZ
                await self._teller.say(
                    SpeechStarted(lease=self.opened.lease, utterance=self._utterance, at_ms=at_ms)
                )
                self._hurry.set()
            case Paused():
                self._scribe.pause(event)
            case Resumed():
                await self._scribe.resume()
            case Ended():
                self._scribe.end(event)

    async def _tell_progress(self) -> None:
        """How much was spoken in an utterance's first moments: what an interruption is judged by."""
        ears = self._ears
        is_early = ears.is_speaking and ears.position - self._started <= PROGRESS_FOR
        if is_early and ears.position - self._progress_at >= PROGRESS:
            self._progress_at = ears.position
            await self._teller.say(
                SpeechProgress(
                    lease=self.opened.lease,
                    utterance=self._utterance,
                    speech_ms=ears.speech * 1000 // RATE_HZ,
                    silence_ms=ears.silence * 1000 // RATE_HZ,
                )
            )

    async def _finish(self, *, is_discarded: bool) -> None:
        """Ends the utterance at once; where nothing was said and nothing is waited for, says so if asked."""
        ended = self._ears.finish()
        if ended is not None:
            self._scribe.end(ended)
        elif self._scribe.is_idle and not is_discarded:
            lease, number, needed_seq = self.opened.lease, self._scribe.skip(), self._ears.needed_seq
            await self._teller.insist(
                Final(lease=lease, utterance=number, text="", needed_seq=needed_seq, ended_by="manual")
            )

    def _alive(self) -> EarsAlive:
        needed = self._scribe.needed
        return EarsAlive(
            lease=self.opened.lease,
            worker=self._worker,
            next_seq=self._ears.next_seq,
            needed_seq=needed.seq,
            settled=needed.settled,
            is_midway=needed.is_midway,
        )

    async def _beat(self) -> None:
        while True:
            self._hurry.clear()
            await self._teller.say(self._alive())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_EVERY_S if self._scribe.is_idle else IN_FLIGHT_EVERY_S):
                    await self._hurry.wait()
