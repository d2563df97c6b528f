"""One claimed session: its frames in, its events out, until the gateway lets go of it."""

from __future__ import annotations

import asyncio

from services.stt.ears import Ears
from services.stt.endpoint import Ended, Paused, Resumed, Started
from services.stt.engine import RATE_HZ
from services.stt.scribe import Counts, Scribe, Teller
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsAlive,
    EarsFailed,
    EndUtterance,
    Final,
    MicFrame,
    OpenEars,
    SpeechStarted,
)

ALIVE_EVERY_S = 0.5
MAX_WAITING_FRAMES = 3000
"""A minute of 20 ms frames: a whole replay. Beyond it frames are dropped and counted."""
BURST = 25
"""Frames that are heard in a row before the other sessions have their turn."""
WHY = {
    "idle": "no audio came for a long time",
    "draining": "this worker is stopping; another one will listen",
}


class Lease:
    """A session's ears on this worker. ``run`` returns when they are closed, idle or drained."""

    def __init__(  # noqa: PLR0913 - what belongs to the session, made by the worker
        self,
        opened: OpenEars,
        ears: Ears,
        scribe: Scribe,
        teller: Teller,
        counts: Counts,
        *,
        worker: str,
        idle_s: float,
    ) -> None:
        self.opened = opened
        self._ears, self._scribe, self._teller, self._counts = ears, scribe, teller, counts
        self._worker, self._idle_s = worker, idle_s
        self._inbox: asyncio.Queue[AnyMessage | None] = asyncio.Queue()

    def put(self, message: AnyMessage) -> None:
        """Takes a message of the gateway; a frame too many is dropped and counted."""
        if isinstance(message, MicFrame) and self._inbox.qsize() >= MAX_WAITING_FRAMES:
            self._counts.frames_dropped += 1
            return
        self._inbox.put_nowait(message)

    def drain(self) -> None:
        """Gives the session up once the finals in hand are told."""
        self._inbox.put_nowait(None)

    async def run(self) -> None:
        """Hears the session until it is over."""
        try:
            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._beat(), name="ears-alive")
                telling = tasks.create_task(
                    self._scribe.run(lambda: self._ears.needed_seq), name="ears-finals"
                )
                why = await tasks.create_task(self._listen(), name="ears-listen")
                if why is not None:
                    await self._scribe.settle()
                    await self._give_up(why)
                beating.cancel()
                telling.cancel()
        finally:
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
        heard = 0
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await self._inbox.get()
            except TimeoutError:
                return "idle"
            match message:
                case MicFrame(seq=seq, pcm=pcm):
                    await self._hear(seq, pcm)
                    heard += 1
                    if heard % BURST == 0:
                        await asyncio.sleep(0)
                case EndUtterance():
                    await self._finish()
                case CloseEars():
                    return None
                case None:
                    return "draining"
                case _:
                    continue

    async def _hear(self, seq: int, pcm: bytes) -> None:
        for event in self._ears.feed(seq, pcm):
            match event:
                case Started(start=start, audio_from=audio_from):
                    number = self._scribe.begin(self._ears.seq_at(audio_from))
                    at_ms = start * 1000 // RATE_HZ
                    await self._teller.say(
                        SpeechStarted(lease=self.opened.lease, utterance=number, at_ms=at_ms)
                    )
                case Paused(audio_from=audio_from, audio_to=audio_to):
                    self._scribe.pause(self._ears.audio(audio_from, audio_to))
                case Resumed():
                    self._scribe.resume()
                case Ended():
                    self._end(event)
        self._scribe.consider_partial(self._ears.spoken)

    async def _finish(self) -> None:
        """Ends the utterance at once; where nothing was said and nothing is waited for, says so."""
        ended = self._ears.finish()
        if ended is not None:
            self._end(ended)
        elif self._scribe.is_idle:
            number = self._scribe.skip()
            needed_seq = self._ears.needed_seq
            await self._teller.insist(
                Final(lease=self.opened.lease, utterance=number, text="", needed_seq=needed_seq)
            )

    def _end(self, ended: Ended) -> None:
        self._scribe.end(ended, self._ears.audio(ended.audio_from, ended.audio_to))

    def _alive(self) -> EarsAlive:
        return EarsAlive(
            lease=self.opened.lease,
            worker=self._worker,
            next_seq=self._ears.next_seq,
            needed_seq=self._scribe.needed_seq(self._ears.needed_seq),
        )

    async def _beat(self) -> None:
        while True:
            await self._teller.say(self._alive())
            await asyncio.sleep(ALIVE_EVERY_S)
