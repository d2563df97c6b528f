"""One answer on its way out: captions to the gateway, segments to the voice, as they come into being.

A reader pumps the mind's text into a small queue, so that the cutter's clock runs while the mind is
silent and the mind is read on while captions are sent. A segment is sent in the step in which its last
token came: nothing waits for the broker to confirm the ones before it. Segments go first: no caption is
sent before the segments that the same text completed.

A turn may be told in several passages: another route goes on where one broke off, a tool's result comes
between. Numbers and captions run through.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from services.llm import trail
from services.llm.borders import SPACELESS
from services.llm.captions import Captions
from services.llm.engine import CutShort, Opened, Piece, Usage
from services.llm.guard import Guard
from services.llm.moods import Marks, Mood
from services.llm.opening import Opening, Thoughts
from services.llm.outlet import Outlet
from services.llm.segments import Cutter
from services.llm.trail import Trail
from services.llm.turn import Bounds, Figures, Turn
from shared import subjects
from shared.bus import Bus
from shared.errors import EngineFailed, EvaError
from shared.messages import Synthesize, ToolUse

PIECES_AHEAD = 64
"""Pieces that may be read ahead of the captions; beyond it the mind waits."""
SPEECHLESS = {"en": "Okay.", "fr": "D'accord."}
"""Said for an answer that has nothing to be spoken, an emoji for instance."""
_CLOSE_TO_NEXT = re.compile(rf"[\s{SPACELESS}。！？、，；：」]$")
_LEANING = ".,;:!?…。！？、，；：)]}»”’"


@dataclass(slots=True)
class Told:
    """What has been sent of one answer, and when (seconds since it was taken up)."""

    segments: int = 0
    """Of the turn, those of earlier attempts included."""
    first_token_s: float = 0.0
    first_segment_s: float = 0.0
    usage: Usage | None = None
    """Of the newest passage; None: the provider has not told."""
    is_cut_short: bool = False


@dataclass(slots=True)
class _Passage:
    """What is told without a break."""

    opening: Opening
    marks: Marks
    thoughts: Thoughts = field(default_factory=Thoughts)
    cutter: Cutter = field(default_factory=Cutter)
    trail: Trail = field(default_factory=Trail)
    uses: list[ToolUse] = field(default_factory=list)
    is_begun: bool = False


@dataclass(frozen=True, slots=True)
class _End:
    error: EvaError | None


class Telling:
    """Sends one answer."""

    def __init__(self, bus: Bus, turn: Turn, bounds: Bounds, *, clock: Callable[[], float]) -> None:
        self.told = Told(segments=turn.work.first_segment)
        self._bus, self._turn, self._work = bus, turn, turn.work
        self._bounds, self._clock = bounds, clock
        self.captions = Captions(bus, turn.work, clock=clock)
        self._outlet = Outlet(bus, subjects.work("tts", turn.work.gw, turn.work.sid))
        max_speech_s = bounds.max_speech_s * turn.work.speed if turn.work.audio else 0.0
        self._guard = Guard(turn.max_tokens(bounds), max_speech_s=max_speech_s)
        self._passage = self._new_passage(turn.work.spoken)
        self._mood = ""

    @property
    def has_spoken(self) -> bool:
        """Whether anything of this turn stands that the person gets to hear, or to read where that is all."""
        return self.told.segments > 0 if self._work.audio else bool(self.captions.text)

    @property
    def is_over(self) -> bool:
        """Whether the answer has all that it may have."""
        return self._guard.is_over

    @property
    def is_cut_short(self) -> bool:
        """Whether it had as many tokens as it may have, by the provider's count or the guard's."""
        return self.told.is_cut_short or self._guard.is_full

    async def tell(self, pieces: AsyncIterator[Piece], *, spoken: str = "") -> list[ToolUse]:
        """Sends one passage, up to its end or to a call; returns the calls in it.

        ``spoken`` is what has been said before it, of the same answer: it is not said again.

        Raises:
            EngineFailed: the mind stopped; ``break_off`` is to be called, or nothing more of this.
            EvaError: what the broker says to a segment.
        """
        self._passage = passage = self._new_passage(spoken)
        self.told.usage, self.told.is_cut_short = None, False
        queue: asyncio.Queue[Piece | _End] = asyncio.Queue(PIECES_AHEAD)
        async with self._outlet:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(_pump(pieces, queue), name="reader")
                end = await self._drain(queue)
                reader.cancel()
            if end.error is not None:
                await self.captions.send()
            elif self._guard.is_over:
                await self.break_off()
            else:
                await self.complete()
        if end.error is not None:
            raise end.error
        return passage.uses

    async def break_off(self) -> None:
        """Ends a passage in the middle: a finished clause is said, what is behind it is taken back."""
        passage = self._passage
        behind = passage.trail.behind
        kept = trail.finished(behind[: max(0, len(behind) - self._guard.surplus)])
        if kept and self._work.audio is not None:
            last = Cutter()
            await self._say_all(last.feed(kept, 0.0) + last.flush())
        elif kept:
            passage.trail.cut(kept)
        self.captions.take_back(passage.trail.drop_behind())
        await self.captions.send()

    async def say(self, text: str) -> None:
        """Says a sentence of EVA's own, as a segment and as a part of the text."""
        self._passage = self._new_passage("")
        await self._pass_on(text)
        await self.complete()

    async def finish(self) -> None:
        """The answer is over."""
        if self._work.audio is not None and not self.told.segments:
            await self._say_all([SPEECHLESS.get(self._turn.language, SPEECHLESS["en"])])
        await self.captions.send()

    def figures(self) -> Figures:
        """Returns them for the turn's report."""
        told = self.told
        return Figures(
            deltas=self.captions.count,
            segments=told.segments,
            queue_ms=1000 * self._turn.waited_s,
            first_token_ms=1000 * told.first_token_s,
            first_segment_ms=1000 * told.first_segment_s,
            total_ms=1000 * (self._clock() - self._turn.began_s),
        )

    def _new_passage(self, spoken: str) -> _Passage:
        return _Passage(Opening(spoken), Marks(self._bounds.moods))

    async def _drain(self, queue: asyncio.Queue[Piece | _End]) -> _End:
        """Sends what comes until the end, which is returned and not raised: a task group would wrap it."""
        passage = self._passage
        try:
            while not self._guard.is_over:
                match await self._next(queue):
                    case _End() as end:
                        return end
                    case Usage() as usage:
                        self.told.usage = usage
                    case ToolUse() as use:
                        self._note_first_token()
                        passage.uses.append(use)
                    case str() as piece:
                        self._note_first_token()
                        await self._take(passage.marks.feed(passage.thoughts.feed(piece)))
                    case CutShort():
                        self.told.is_cut_short = True
                    case Opened():
                        pass
                    case _:
                        await self._speak(passage.cutter.poll(self._clock()))
                        await self.captions.send_if_due()
        except EvaError as error:
            return _End(error)
        return _End(None)

    async def _next(self, queue: asyncio.Queue[Piece | _End]) -> Piece | _End | None:
        """Returns what comes next, None when the clock is needed first."""
        try:
            async with asyncio.timeout(self._wait_s()):
                return await queue.get()
        except TimeoutError:
            return None

    def _wait_s(self) -> float | None:
        """How long until the clock is needed; None: not at all."""
        dues = [self.captions.due_s, self._passage.cutter.deadline() if self._work.audio else None]
        due_s = min((due for due in dues if due is not None), default=None)
        return None if due_s is None else max(0.0, due_s - self._clock())

    def _note_first_token(self) -> None:
        if not self.told.first_token_s:
            self.told.first_token_s = self._clock() - self._turn.began_s

    async def _take(self, parts: Iterable[str | Mood]) -> None:
        for part in parts:
            if isinstance(part, str):
                await self._pass_on(self._passage.opening.feed(part))
            elif part.name != self._mood:
                if self._work.audio is not None:
                    await self._speak(self._passage.cutter.flush())
                    self._passage.cutter.feed("", self._clock())
                self._mood = part.name

    async def _pass_on(self, text: str) -> None:
        text = self._joined(self._guard.allow(text)) if text else ""
        if not text:
            return
        passage = self._passage
        passage.trail.add(text)
        if self._work.audio is not None:
            now_s = self._clock()
            await self._speak(passage.cutter.feed(text, now_s) + passage.cutter.poll(now_s))
        await self.captions.add(text)

    def _joined(self, text: str) -> str:
        """Sets the first text of a passage off from the passage before it."""
        passage = self._passage
        if passage.is_begun or not self.captions.text:
            passage.is_begun = True
            return text
        text = text.lstrip()
        passage.is_begun = bool(text)
        is_close = not text or text[0] in _LEANING or _CLOSE_TO_NEXT.search(self.captions.text)
        return text if is_close else f" {text}"

    async def complete(self) -> None:
        """The passage is over."""
        passage = self._passage
        await self._take(passage.marks.feed(passage.thoughts.flush()))
        await self._take(passage.marks.flush())
        await self._pass_on(passage.opening.flush())
        if self._work.audio is not None:
            await self._say_all(passage.cutter.flush())
        await self.captions.send()

    async def _say_all(self, segments: list[str]) -> None:
        async with self._outlet:
            await self._speak(segments)

    async def _speak(self, segments: list[str]) -> None:
        for text in segments:
            if self._guard.is_stuck(text):
                return
            self._passage.trail.cut(text)
            await self._outlet.send(self._item(text), self._note_segment)
            self.told.segments += 1

    def _note_segment(self) -> None:
        if not self.told.first_segment_s:
            self.told.first_segment_s = self._clock() - self._turn.began_s

    def _item(self, text: str) -> Synthesize:
        work = self._work
        assert work.audio is not None
        return Synthesize(
            gw=work.gw,
            sid=work.sid,
            turn=work.turn,
            attempt=work.attempt,
            segment=self.told.segments,
            text=text,
            audio=work.audio,
            remaining_ms=max(0, round(1000 * (self._turn.due_s - self._clock()))),
            language=self._turn.language,
            voice=work.voice,
            speed=work.speed,
            mood=self._mood,
            reuse="never" if work.is_canary else "may",
        )


async def _pump(pieces: AsyncIterator[Piece], queue: asyncio.Queue[Piece | _End]) -> None:
    try:
        async for piece in pieces:
            await queue.put(piece)
    except EngineFailed as error:
        await queue.put(_End(error))
    else:
        await queue.put(_End(None))
