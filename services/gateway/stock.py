"""Has fillers and apologies spoken ahead, in the voices and formats that sessions use, and keeps them.

One phrase at a time is ordinary work of the voice's queue, so that turns in flight lose a slot at most for
one short phrase. Nothing waits for it: what is not there yet is not played. When the voice's engine or model
changes all is made again, for a filler in another voice would be another person's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from services.gateway.answer import AUDIBLE_LEVEL
from services.gateway.clips import Clip
from services.gateway.phrases import Fillers, apology
from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown, EvaError
from shared.messages import (
    AnyMessage,
    AudioChunk,
    AudioFormat,
    Cancel,
    Facts,
    Failed,
    SegmentDone,
    Synthesize,
)
from shared.observe import Log

log = Log("eva.gateway")

MOST_MANNERS = 24
"""Some 6 phrases of a second each: in PCM at 24 kHz less than 8 MB in all."""
TRIES = 3
AGAIN_S = 2.0
MAKE_S = 10.0
GONE_S = 5.0
"""A voice that has said nothing for so long is gone."""
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Manner:
    """How something is said. ``language`` and ``voice``: as ``Synthesize`` has them."""

    language: str
    voice: str
    audio: AudioFormat


@dataclass(slots=True)
class _Take:
    """The phrase that is being made."""

    turn: int
    text: str
    made: asyncio.Future[Clip | None]
    chunks: list[AudioChunk] = field(default_factory=list)

    def hear(self, message: AnyMessage) -> None:
        """Takes what the voice sends; what is lost, mute or failed is no clip."""
        match message:
            case AudioChunk(seq=seq) if seq == len(self.chunks):  # an earlier one: delivered again
                self.chunks.append(message)
            case SegmentDone(chunks=count):
                is_whole = count == len(self.chunks)
                is_audible = any(chunk.level >= AUDIBLE_LEVEL for chunk in self.chunks)
                clip = Clip(self.text, tuple(self.chunks), message) if is_whole and is_audible else None
                self._end(clip)
            case Failed():
                self._end(None)
            case _:
                pass

    def _end(self, clip: Clip | None) -> None:
        if not self.made.done():
            self.made.set_result(clip)


class Stock:
    """Clips of one gateway."""

    def __init__(self, bus: Bus, gw: str, fillers: Fillers) -> None:
        self._bus, self._gw, self._fillers = bus, gw, fillers
        self._key = subjects.new_token()
        self._made: OrderedDict[Manner, dict[str, Clip]] = OrderedDict()
        """The manner that was used last stands last."""
        self._failures: dict[tuple[Manner, str], int] = {}
        self._voices: dict[str, tuple[str, float]] = {}
        """Engine and model of each worker, and when it said so."""
        self._voice: frozenset[str] = frozenset()
        self._news = asyncio.Event()
        self._take: _Take | None = None
        self._turns = 0

    async def listen(self) -> None:
        """Begins to hear what voices there are, and what they make. Raises ``BusDown``."""
        events = await self._bus.subscribe(subjects.event(self._gw, self._key, "tts"), self._deliver)
        try:
            await self._bus.subscribe(subjects.FACTS_ALL, self._hear)
        except EvaError:
            await events.close()
            raise

    def want(self, audio: AudioFormat, *, language: str = "", voice: str = "") -> None:
        """Has all phrases made in this format; without a language in all that there are fillers of."""
        for each in [language] if language else self._fillers.languages:
            self._use(Manner(each, voice, audio))

    def fillers(self, manner: Manner) -> Sequence[Clip]:
        """Returns those that are there; what is missing is made for the next time."""
        made = self._use(manner)
        return [made[text] for text in self._fillers.of(manner.language) if text in made]

    def apology(self, manner: Manner) -> Clip | None:
        """Returns it if it is there."""
        return self._use(manner).get(apology(_primary(manner.language)))

    async def run(self) -> NoReturn:
        """Makes what is wanted, until cancelled."""
        while True:
            wish = self._next()
            if wish is None:
                self._news.clear()
                await self._news.wait()
                continue
            manner, text = wish
            voice = self._voice
            clip = await self._make(manner, text)
            if voice != self._voice:
                continue  # it is not known whose it is
            if clip is None:
                self._failures[wish] = self._failures.get(wish, 0) + 1
                log.info("clip.not_made", language=manner.language, voice=manner.voice)
                await asyncio.sleep(AGAIN_S)
            elif manner in self._made:
                self._made[manner][text] = clip

    def _use(self, manner: Manner) -> dict[str, Clip]:
        made = self._made.setdefault(manner, {})
        self._made.move_to_end(manner)
        while len(self._made) > MOST_MANNERS:
            gone, _ = self._made.popitem(last=False)
            self._failures = {wish: count for wish, count in self._failures.items() if wish[0] != gone}
        self._news.set()
        return made

    def _next(self) -> tuple[Manner, str] | None:
        """Returns what is to be made next: of what was used last first."""
        if not self._voices:
            return None
        for manner, made in reversed(self._made.items()):
            for text in [*self._fillers.of(manner.language), apology(_primary(manner.language))]:
                if text not in made and self._failures.get((manner, text), 0) < TRIES:
                    return manner, text
        return None

    async def _make(self, manner: Manner, text: str) -> Clip | None:
        self._turns += 1
        take = self._take = _Take(self._turns, text, asyncio.get_running_loop().create_future())
        work = Synthesize(
            gw=self._gw,
            sid=self._key,
            turn=take.turn,
            attempt=1,
            segment=0,
            text=text,
            audio=manner.audio,
            remaining_ms=int(1000 * MAKE_S),
            language=manner.language,
            voice=manner.voice,
            reuse="will",
        )
        subject = subjects.work("tts", self._gw, self._key)
        try:
            async with asyncio.timeout(MAKE_S):
                await self._bus.enqueue(subject, work, message_id=f"{self._key}:{take.turn}")
                return await take.made
        except TimeoutError:
            await self._cancel(take.turn)
        except EvaError as error:
            log.info("clip.undelivered", code=error.code)
        finally:
            self._take = None
        return None

    async def _cancel(self, turn: int) -> None:
        try:
            await self._bus.publish(subjects.cancel(self._gw, self._key), Cancel(sid=self._key, turn=turn))
        except BusDown:
            log.info("cancel.undelivered", session=self._key)

    def _deliver(self, _subject: str, message: AnyMessage) -> None:
        take = self._take
        if take is not None and getattr(message, "turn", None) == take.turn:
            take.hear(message)

    def _hear(self, _subject: str, message: AnyMessage) -> None:
        if not isinstance(message, Facts) or message.stage != "tts":
            return
        now = asyncio.get_running_loop().time()
        serving = next((engine for engine in message.engines if engine.state == "serving"), None)
        if message.state in {"ready", "degraded"} and serving is not None:
            self._voices[message.worker] = (f"{serving.name}:{serving.model}:{serving.model_sha256}", now)
        else:
            self._voices.pop(message.worker, None)
        self._voices = {name: heard for name, heard in self._voices.items() if now - heard[1] <= GONE_S}
        voice = frozenset(identity for identity, _ in self._voices.values())
        if voice and voice != self._voice:
            self._voice = voice
            self._failures.clear()
            for made in self._made.values():
                made.clear()
        self._news.set()


class SessionClips:
    """The stock as one session sees it. ``audio``: returns the format that the session has sound made in."""

    def __init__(self, stock: Stock, audio: Callable[[], AudioFormat]) -> None:
        self._stock, self._audio = stock, audio

    def fillers(self, language: str, voice: str) -> Sequence[Clip]:
        """Returns the fillers that can be played now."""
        return self._stock.fillers(self._manner(language, voice))

    def apology(self, language: str, voice: str) -> Clip | None:
        """Returns what is said when no answer could be made."""
        return self._stock.apology(self._manner(language, voice))

    def _manner(self, language: str, voice: str) -> Manner:
        return Manner(language or DEFAULT_LANGUAGE, voice, self._audio())


def _primary(language: str) -> str:
    return language.partition("-")[0].lower()
