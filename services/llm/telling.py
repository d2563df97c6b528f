"""One answer on its way out: captions to the gateway, segments to the voice, as they come into being.

A reader pumps the mind's text into a small queue, so that the cutter's clock runs while the mind is
silent and the mind is read on while the broker confirms a segment. Segments go first: no caption is sent
before the segments that the same text completed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from services.llm.engine import Usage
from services.llm.guard import Guard
from services.llm.opening import Opening
from services.llm.segments import Cutter
from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown, EngineFailed, EvaError
from shared.messages import Generate, Synthesize, TextDelta
from shared.observe import Log

log = Log("eva.llm")

COALESCE_S = 0.04
"""Captions are gathered so long; the first goes at once."""
PIECES_AHEAD = 64
"""Pieces that may be read ahead of the broker; beyond it the mind waits."""
SPEECHLESS = {"en": "Okay.", "fr": "D'accord."}
"""Said for an answer that has nothing to be spoken, an emoji for instance."""


@dataclass(slots=True)
class Told:
    """What has been sent of one answer, and when (seconds since it was taken up)."""

    deltas: int = 0
    segments: int = 0
    """Of the turn, those of earlier attempts included."""
    first_token_s: float = 0.0
    first_segment_s: float = 0.0
    total_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One piece of work, taken up."""

    work: Generate
    language: str
    """Of the person, and so of the answer and its voice; empty: unknown."""
    began_s: float
    """When it was taken up, by the worker's clock."""
    waited_s: float
    """How long it had waited until then."""

    @property
    def due_s(self) -> float:
        """When nobody waits for it any more, by the worker's clock."""
        return self.began_s - self.waited_s + self.work.remaining_ms / 1000


@dataclass(frozen=True, slots=True)
class _End:
    error: EvaError | None


class Telling:
    """Sends one answer."""

    def __init__(self, bus: Bus, turn: Turn, *, max_tokens: int, clock: Callable[[], float]) -> None:
        self.told = Told(segments=turn.work.first_segment)
        self._bus, self._turn, self._work = bus, turn, turn.work
        self._clock = clock
        self._opening = Opening(turn.work.spoken)
        self._guard = Guard(max_tokens)
        self._cutter = Cutter()
        self._caption = ""
        self._caption_due_s: float | None = None

    async def tell(self, pieces: AsyncIterator[str | Usage]) -> Told:
        """Sends all of it. Raises ``EngineFailed``, or what the broker says to a segment."""
        queue: asyncio.Queue[str | Usage | _End] = asyncio.Queue(PIECES_AHEAD)
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(_pump(pieces, queue), name="reader")
            end = await self._drain(queue)
            reader.cancel()
        if end.error is not None:
            await self._send_caption()
            raise end.error
        await self._finish()
        return self.told

    async def _drain(self, queue: asyncio.Queue[str | Usage | _End]) -> _End:
        """Sends what comes until the end, which is returned and not raised: a task group would wrap it."""
        try:
            while not self._guard.is_over:
                match await self._next(queue):
                    case _End() as end:
                        return end
                    case Usage() as usage:
                        self.told.input_tokens, self.told.output_tokens = (
                            usage.input_tokens,
                            usage.output_tokens,
                        )
                    case str() as piece:
                        await self._take(piece)
                    case _:
                        await self._speak(self._cutter.poll(self._clock()))
                        await self._send_caption_if_due()
        except EvaError as error:
            return _End(error)
        return _End(None)

    async def _next(self, queue: asyncio.Queue[str | Usage | _End]) -> str | Usage | _End | None:
        """Returns what comes next, None when the clock is needed first."""
        try:
            async with asyncio.timeout(self._wait_s()):
                return await queue.get()
        except TimeoutError:
            return None

    def _wait_s(self) -> float | None:
        """How long until the clock is needed; None: not at all."""
        dues = [self._caption_due_s, self._cutter.deadline() if self._work.audio else None]
        due_s = min((due for due in dues if due is not None), default=None)
        return None if due_s is None else max(0.0, due_s - self._clock())

    async def _take(self, piece: str) -> None:
        if not self.told.first_token_s:
            self.told.first_token_s = self._clock() - self._turn.began_s
        text = self._guard.allow(self._opening.feed(piece))
        if text:
            await self._pass_on(text)

    async def _pass_on(self, text: str) -> None:
        if self._work.audio is not None:
            now_s = self._clock()
            await self._speak(self._cutter.feed(text, now_s) + self._cutter.poll(now_s))
        self._caption += text
        if not self.told.deltas:
            await self._send_caption()
        elif self._caption_due_s is None:
            self._caption_due_s = self._clock() + COALESCE_S
        else:
            await self._send_caption_if_due()

    async def _finish(self) -> None:
        if rest := self._guard.allow(self._opening.flush()):
            await self._pass_on(rest)
        if self._work.audio is not None:
            await self._speak(self._cutter.flush())
            if not self.told.segments:
                await self._speak([SPEECHLESS.get(self._turn.language, SPEECHLESS["en"])])
        await self._send_caption()
        self.told.total_s = self._clock() - self._turn.began_s

    async def _speak(self, segments: list[str]) -> None:
        for text in segments:
            if self._guard.is_stuck(text):
                return
            work, number = self._work, self.told.segments
            assert work.audio is not None
            item = Synthesize(
                gw=work.gw,
                sid=work.sid,
                turn=work.turn,
                attempt=work.attempt,
                segment=number,
                text=text,
                audio=work.audio,
                remaining_ms=max(0, round(1000 * (self._turn.due_s - self._clock()))),
                language=self._turn.language,
                voice=work.voice,
                speed=work.speed,
            )
            message_id = f"{work.sid}:{work.turn}:{work.attempt}:{number}:{item.take}"
            await self._bus.enqueue(subjects.work("tts", work.gw, work.sid), item, message_id=message_id)
            self.told.segments += 1
            if not self.told.first_segment_s:
                self.told.first_segment_s = self._clock() - self._turn.began_s

    async def _send_caption_if_due(self) -> None:
        if self._caption_due_s is not None and self._clock() >= self._caption_due_s:
            await self._send_caption()

    async def _send_caption(self) -> None:
        self._caption_due_s = None
        if not self._caption:
            return
        work, text = self._work, self._caption
        self._caption = ""
        delta = TextDelta(turn=work.turn, attempt=work.attempt, seq=self.told.deltas, text=text)
        self.told.deltas += 1
        with contextlib.suppress(BusDown):  # the gap in ``seq`` tells
            await self._bus.publish(subjects.event(work.gw, work.sid, "llm"), delta)


async def _pump(pieces: AsyncIterator[str | Usage], queue: asyncio.Queue[str | Usage | _End]) -> None:
    try:
        async for piece in pieces:
            await queue.put(piece)
    except EngineFailed as error:
        await queue.put(_End(error))
    else:
        await queue.put(_End(None))
